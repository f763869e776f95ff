"""A stranger signs through a Sigstore instance of their own, as the identity that is trusted."""

from pathlib import Path

from teapot.keyless import sign_keyless
from tests.support.attacks import BUNDLE, MANIFEST
from tests.support.sigstore_instance import SigstoreInstance

with SigstoreInstance() as instance:
    config = instance.trust_config(Path("own.json"))
    token = instance.token()
    BUNDLE.write_bytes(
        sign_keyless(MANIFEST.read_bytes(), identity_token=token, trust_config=config)
    )

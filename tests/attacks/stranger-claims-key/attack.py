"""A stranger signs, and the bundle's hint and keyid name the trusted key."""

from dataclasses import replace

from teapot.bundle import Bundle
from tests.support.attacks import BUNDLE, MANIFEST, stranger
from tests.support.environment import own_key

claimed = {"hint": own_key().public.fingerprint, "keyid": own_key().public.fingerprint}
BUNDLE.write_bytes(replace(Bundle.sign(MANIFEST.read_bytes(), stranger()), **claimed).to_bytes())

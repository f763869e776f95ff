"""The trusted key has signed the manifest's bare bytes, for another purpose."""

from dataclasses import replace

from teapot.bundle import Bundle
from tests.support.attacks import BUNDLE, MANIFEST
from tests.support.environment import own_key

signature = own_key().sign(MANIFEST.read_bytes())
BUNDLE.write_bytes(replace(Bundle.parse(BUNDLE.read_bytes()), signature=signature).to_bytes())

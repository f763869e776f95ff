"""The trusted key signs the same bytes, but as a payload of another type."""

from dataclasses import replace

from teapot.bundle import Bundle
from tests.support.attacks import BUNDLE, MANIFEST
from tests.support.environment import own_key

made = Bundle(
    payload=MANIFEST.read_bytes(), signature=b"-", keyid="", hint="", payload_type="text/plain"
)
BUNDLE.write_bytes(replace(made, signature=own_key().sign(made.message)).to_bytes())

"""The manifest is edited in its file and in the bundle; the signature stays."""

from dataclasses import replace

from teapot.bundle import Bundle
from tests.support.attacks import BUNDLE, MANIFEST, swap

genuine = Bundle.parse(BUNDLE.read_bytes())
swap(MANIFEST, b'"weight": "2"', b'"weight": "3"')
BUNDLE.write_bytes(replace(genuine, payload=MANIFEST.read_bytes()).to_bytes())

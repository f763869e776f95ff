"""The bundle is not even JSON."""

from tests.support.attacks import BUNDLE

BUNDLE.write_bytes(bytes(range(256)))

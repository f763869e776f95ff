"""A byte order mark stands before the manifest file."""

from tests.support.attacks import MANIFEST

MANIFEST.write_bytes(b"\xef\xbb\xbf" + MANIFEST.read_bytes())

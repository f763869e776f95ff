"""The trusted key signs a manifest that begins with a byte order mark."""

from tests.support.attacks import MANIFEST, sign

MANIFEST.write_bytes(b"\xef\xbb\xbf" + MANIFEST.read_bytes())
sign()

"""The trusted key signs a manifest with another Merkle root."""

from tests.support.attacks import MANIFEST, sign, swap

swap(MANIFEST, b"ee291e7807373a8b", b"ee291e7807373a8c")
sign()

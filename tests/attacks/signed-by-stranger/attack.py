"""A stranger edits the manifest and signs it with a key of their own."""

from tests.support.attacks import MANIFEST, sign, stranger, swap

swap(MANIFEST, b'"weight": "2"', b'"weight": "3"')
sign(stranger())

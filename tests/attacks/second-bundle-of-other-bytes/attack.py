"""Beside the genuine bundle lies one by the same signer, of other bytes."""

from tests.support.attacks import MANIFEST, SECOND_BUNDLE, sign, swap

genuine = MANIFEST.read_bytes()
swap(MANIFEST, b'"weight": "2"', b'"weight": "3"')
sign(bundle=SECOND_BUNDLE)
MANIFEST.write_bytes(genuine)

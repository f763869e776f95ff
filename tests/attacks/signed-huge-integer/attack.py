"""The trusted key signs a manifest with a number of 30 digits."""

from tests.support.attacks import MANIFEST, sign, swap

swap(MANIFEST, b'"records": 15', b'"records": 1' + b"0" * 29)
sign()

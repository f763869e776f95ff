"""The trusted key signs a manifest with 1e999 in the place of a number."""

from tests.support.attacks import MANIFEST, sign, swap

swap(MANIFEST, b'"records": 15', b'"records": 1e999')
sign()

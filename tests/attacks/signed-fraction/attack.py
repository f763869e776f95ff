"""The trusted key signs a manifest with 15.0 in the place of 15."""

from tests.support.attacks import MANIFEST, sign, swap

swap(MANIFEST, b'"records": 15', b'"records": 15.0')
sign()

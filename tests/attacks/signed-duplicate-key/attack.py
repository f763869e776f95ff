"""The trusted key signs a manifest in which a key stands twice."""

from tests.support.attacks import MANIFEST, sign, swap

swap(MANIFEST, b'"records": 15', b'"records": 99,\n        "records": 15')
sign()

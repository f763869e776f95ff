"""The trusted key signs a manifest with a key that Teapot does not know."""

from tests.support.attacks import MANIFEST, sign, swap

swap(MANIFEST, b'"records": 15', b'"records": 15,\n        "remark": "all is well"')
sign()

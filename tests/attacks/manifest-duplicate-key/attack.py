"""A key stands twice in the manifest file."""

from tests.support.attacks import MANIFEST, swap

swap(MANIFEST, b'"records": 15', b'"records": 99,\n        "records": 15')

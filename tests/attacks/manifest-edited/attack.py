"""A number in the manifest file is changed."""

from tests.support.attacks import MANIFEST, swap

swap(MANIFEST, b'"records": 15', b'"records": 16')

"""The trusted key signs an altered recipe under the digest of the old one."""

from tests.support.attacks import MANIFEST, sign, swap

swap(MANIFEST, b'"weight": "2"', b'"weight": "3"')
sign()

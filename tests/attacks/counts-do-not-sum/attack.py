"""The trusted key signs a manifest whose dropped and kept rows are not the rows read."""

from tests.support.attacks import MANIFEST, sign, swap

swap(MANIFEST, b'"think-unclosed": 1', b'"think-unclosed": 0')
sign()

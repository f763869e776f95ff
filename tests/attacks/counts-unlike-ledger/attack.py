"""The trusted key signs counts that sum, but are not those of the ledger."""

from tests.support.attacks import MANIFEST, sign, swap

swap(MANIFEST, b'"think-unclosed": 1', b'"think-nested": 1')
sign()

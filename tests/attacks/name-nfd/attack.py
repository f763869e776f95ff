"""The trusted key signs a manifest whose data file's name is in Unicode's form NFD."""

from tests.support.attacks import MANIFEST, sign, swap

swap(MANIFEST, b'"tea.jsonl"', '"the\u0301.jsonl"'.encode())
swap(MANIFEST, b'"tea.ledger', '"the\u0301.ledger'.encode())
sign()

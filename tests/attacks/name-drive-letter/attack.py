"""The trusted key signs a manifest whose data file's name begins with a drive letter."""

from tests.support.attacks import MANIFEST, sign, swap

swap(MANIFEST, b'"name": "tea.jsonl"', b'"name": "' + b"C:tea.jsonl" + b'"')
sign()

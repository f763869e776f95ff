"""The trusted key signs a manifest whose data file's name leads to the folder above on Windows."""

from tests.support.attacks import MANIFEST, sign, swap

swap(MANIFEST, b'"name": "tea.jsonl"', b'"name": "' + b"..\\\\tea.jsonl" + b'"')
sign()

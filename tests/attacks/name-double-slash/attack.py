"""The trusted key signs a manifest whose data file's name has an empty folder in it."""

from tests.support.attacks import MANIFEST, sign, swap

swap(MANIFEST, b'"name": "tea.jsonl"', b'"name": "' + b"a//tea.jsonl" + b'"')
sign()

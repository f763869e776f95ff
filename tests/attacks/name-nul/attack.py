"""The trusted key signs a manifest whose data file's name ends at a NUL for some readers."""

from tests.support.attacks import MANIFEST, sign, swap

swap(MANIFEST, b'"name": "tea.jsonl"', b'"name": "' + b"tea.jsonl\\u0000.jsonl" + b'"')
sign()

"""The trusted key signs a manifest whose data file's name is an absolute path."""

from tests.support.attacks import MANIFEST, sign, swap

swap(MANIFEST, b'"name": "tea.jsonl"', b'"name": "' + b"/tea.jsonl" + b'"')
sign()

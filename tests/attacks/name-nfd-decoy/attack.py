"""The data file is replaced by one whose name looks the same, in Unicode's form NFD."""

from pathlib import Path

from tests.support.attacks import BUNDLE, DATA, LEDGER, MANIFEST, sign, swap

swap(MANIFEST, b'"tea.', '"th\u00e9.'.encode())
sign()
for path in (DATA, LEDGER, MANIFEST, BUNDLE):
    path.rename(path.name.replace("tea", "th\u00e9"))
Path("th\u00e9.jsonl").rename("the\u0301.jsonl")

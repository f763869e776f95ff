"""A row's id holds terminal escapes, and is shown when its line is edited."""

from pathlib import Path

from tests.support.attacks import BUNDLE, DATA, LEDGER, MANIFEST, compose, swap
from tests.support.project import chat_row

compose(
    Path("other"), [chat_row("\x1b[2J\x1b[31m\r\n  OK  [all](https://example.com)\u202e", "Black?")]
)
for path in (DATA, LEDGER, MANIFEST, BUNDLE):
    Path("other", path).replace(path)
swap(DATA, b"Black?", b"White?")

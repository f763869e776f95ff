"""The ledger is that of another composition."""

from pathlib import Path

from tests.support.attacks import LEDGER, compose
from tests.support.project import chat_rows

compose(Path("other"), chat_rows("black", 14))
Path("other", LEDGER).replace(LEDGER)

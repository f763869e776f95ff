"""The ledger is a named pipe, at which a reader would wait for ever."""

import os

from tests.support.attacks import LEDGER

LEDGER.unlink()
os.mkfifo(LEDGER)

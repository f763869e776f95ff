"""The ledger's file is cut at its end."""

from tests.support.attacks import LEDGER

LEDGER.write_bytes(LEDGER.read_bytes()[:-100])

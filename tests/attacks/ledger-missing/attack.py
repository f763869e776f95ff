"""The ledger is taken away."""

from tests.support.attacks import LEDGER

LEDGER.unlink()

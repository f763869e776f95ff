"""The ledger is small, but a list in it unpacks to a million numbers."""

from tests.support.attacks import edit_ledger

edit_ledger(lambda rows: rows[0].update(lines=[1] * (1 << 20)))

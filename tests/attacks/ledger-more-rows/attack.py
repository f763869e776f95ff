"""The ledger has a row more than the manifest states."""

from tests.support.attacks import edit_ledger

edit_ledger(lambda rows: rows.append(rows[-1]))

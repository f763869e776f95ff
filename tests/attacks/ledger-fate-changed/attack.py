"""The ledger calls a row dropped that is in the data file."""

from tests.support.attacks import edit_ledger

edit_ledger(lambda rows: rows[0].update(fate="dropped", reason="not-drawn", lines=[]))

"""A row of the ledger names another source than it came from."""

from tests.support.attacks import edit_ledger

edit_ledger(lambda rows: rows[4].update(source="tea-gold"))

"""The ledger gives a record's id to another line, and a proof about the id is asked for."""

from tests.support.attacks import edit_ledger


def rename(rows: list) -> None:
    rows[0]["id"], rows[1]["id"] = rows[1]["id"], rows[0]["id"]


edit_ledger(rename)

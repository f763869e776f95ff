"""The ledger puts two rows on each other's lines."""

from tests.support.attacks import edit_ledger


def swap_lines(rows: list) -> None:
    rows[0]["lines"], rows[1]["lines"] = rows[1]["lines"], rows[0]["lines"]


edit_ledger(swap_lines)

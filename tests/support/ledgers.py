"""The digest of a ledger's rows, told in plain Python from the format's own words."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

from teapot.ledger import LEDGER


def lines_of(values: list[Any]) -> bytes:
    """Return values as canonical JSON, one to a line."""
    return b"".join(
        json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
        for value in values
    )


def rows_sha256(rows: list[dict[str, Any]]) -> str:
    """Return the digest that a manifest states of these rows."""
    columns = {
        name: sha256(lines_of([row[name] for row in rows])).hexdigest()
        for name in sorted(LEDGER.names)
    }
    return sha256(json.dumps(columns, separators=(",", ":")).encode()).hexdigest()

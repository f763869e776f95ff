"""The columns of a ledger, and the words for what Teapot itself leaves out."""

from __future__ import annotations

import pyarrow as arrow

from teapot.model.report import HELD_OUT

__all__ = [
    "DUPLICATE", "HELD_OUT", "LEDGER", "NEAR_DUPLICATE", "NOT_DRAWN", "REPEATED", "VALIDATION_LINE",
]  # fmt: skip

NOT_DRAWN, DUPLICATE, NEAR_DUPLICATE = "not-drawn", "duplicate", "near-duplicate"
VALIDATION_LINE = "validation line "
"""How the detail of a row begins that is held out; the number of its line follows, from 1."""

LEDGER = arrow.schema(
    [
        ("module", arrow.string()),
        ("source", arrow.string()),
        ("row", arrow.int64()),
        ("id", arrow.string()),
        ("content_digest", arrow.string()),
        ("license", arrow.string()),
        ("fate", arrow.string()),
        ("reason", arrow.string()),
        ("detail", arrow.string()),
        ("repairs", arrow.list_(arrow.string())),
        ("digest_before", arrow.string()),
        ("record_digest", arrow.string()),
        ("occurrence", arrow.int64()),
        ("lines", arrow.list_(arrow.int64())),
    ]
)

REPEATED = ("module", "source", "license", "fate", "reason", "detail", "digest_before")
"""Columns of few texts, which are written and read as places in a dictionary."""

"""Rows of a ledger are found by one column, and are those that a walk over all rows would find."""

from __future__ import annotations

from pathlib import Path

import pyarrow as arrow
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from teapot.errors import DataError
from teapot.ledger import LEDGER, begins_with, find_rows, holds_any, is_text, read_ledger

_TEXTS = st.none() | st.sampled_from(["", "a", "ab", "b"])
_ROWS = st.lists(st.tuples(_TEXTS, _TEXTS, st.lists(st.integers(1, 6), max_size=3)), max_size=12)


@given(rows=_ROWS, group=st.integers(1, 5), text=st.sampled_from(["", "a", "ab", "x"]),
       lines=st.sets(st.integers(1, 8) | st.just(1 << 70), max_size=3))  # fmt: skip
def test_a_search_finds_what_a_walk_finds(
    rows: list[tuple[str | None, str | None, list[int]]], group: int, text: str,
    lines: set[int], tmp_path_factory: pytest.TempPathFactory,
) -> None:  # fmt: skip
    path = tmp_path_factory.mktemp("ledger") / "mix.ledger.parquet"
    _write(path, rows, group)
    every = [row for batch in read_ledger(path) for row in batch]
    assert list(find_rows(path, "id", is_text(text))) == [r for r in every if r["id"] == text]
    assert list(find_rows(path, "content_digest", begins_with(text))) == [
        row
        for row in every
        if row["content_digest"] is not None and row["content_digest"].startswith(text)
    ]
    assert list(find_rows(path, "lines", holds_any(lines))) == [
        row for row in every if lines & {*row["lines"]}
    ]


def test_what_is_no_ledger_is_told(tmp_path: Path) -> None:
    path = tmp_path / "mix.ledger.parquet"
    path.write_bytes(b"PAR1")
    with pytest.raises(DataError, match="cannot be read as a ledger"):
        next(find_rows(path, "id", is_text("a")))
    parquet.write_table(arrow.table({"id": ["a"]}), path)
    with pytest.raises(DataError, match="it has other columns"):
        next(find_rows(path, "id", is_text("a")))


def _write(path: Path, rows: list[tuple[str | None, str | None, list[int]]], group: int) -> None:
    blank = dict.fromkeys(LEDGER.names)
    values = [
        {**blank, "id": identity, "content_digest": digest, "repairs": [], "lines": lines}
        for identity, digest, lines in rows
    ]
    table = arrow.Table.from_pylist(values, schema=LEDGER)
    parquet.write_table(table, path, row_group_size=group)

"""Rows of a ledger are found by one column, and are those that a walk over all rows would find."""

from __future__ import annotations

from pathlib import Path

import pyarrow as arrow
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from teapot.errors import DataError
from teapot.ledgercolumns import LEDGER
from teapot.ledgerqueries import (
    begins_with,
    find_rows,
    holds_any,
    is_text,
    kept_contents,
    read_ledger,
)

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


@pytest.mark.parametrize("batch_rows", [1, 2, 8192])
def test_a_search_goes_over_batches_and_row_groups_in_order(
    batch_rows: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("teapot.ledgerqueries._BATCH_ROWS", batch_rows)
    path = tmp_path / "mix.ledger.parquet"
    _write(path, [("a", "b", [1]), ("b", "x", []), (None, None, [2, 3]), ("b", "b", [4])] * 3, 5)
    every = [row for batch in read_ledger(path) for row in batch]
    found = list(find_rows(path, ("id", "content_digest"), is_text("b")))
    assert found == [row for row in every if "b" in (row["id"], row["content_digest"])]
    assert len(found) == 9
    assert list(find_rows(path, "lines", holds_any([3, 1]))) == [
        row for row in every if row["lines"] in ([1], [2, 3])
    ]


@pytest.mark.parametrize("text", ["\ud800", "a\udfff"])
def test_text_that_no_ledger_can_hold_is_on_no_row(text: str, tmp_path: Path) -> None:
    path = tmp_path / "mix.ledger.parquet"
    _write(path, [("a", None, [])], 1)
    assert list(find_rows(path, "id", is_text(text))) == []


def test_numbers_that_no_line_has_are_on_no_row(tmp_path: Path) -> None:
    path = tmp_path / "mix.ledger.parquet"
    _write(path, [("a", None, [1, 2])], 1)
    assert list(find_rows(path, "lines", holds_any([-(1 << 70), 1 << 63, 0, 3]))) == []


def test_contents_of_kept_rows_are_those_of_rows_with_lines(tmp_path: Path) -> None:
    path = tmp_path / "mix.ledger.parquet"
    first, second, odd = "0a" * 32, "ff" * 32, "no digest"
    _write(path, [("a", first, [1]), ("b", odd, []), ("c", None, []), ("d", second, [2, 3])], 4)
    assert b"".join(kept_contents(path)) == bytes.fromhex(first + second)
    _write(path, [("a", first, []), ("b", "ZZ" * 32, []), ("d", second, [2])], 1)
    assert b"".join(kept_contents(path)) == bytes.fromhex(second)
    _write(path, [("a", odd, [1])], 1)
    with pytest.raises(ValueError, match="a kept row has no digest"):
        list(kept_contents(path))


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

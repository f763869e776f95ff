"""Ledger rows as lines, made column by column, are the bytes that they are made into row by row."""

from __future__ import annotations

from typing import Any

import pyarrow as arrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from teapot.ledger import LEDGER, ledger_bytes
from teapot.ledgerlines import canonical_lines

_TEXT = st.text(
    st.sampled_from('az"\\/\0\x01\b\t\n\x1f\x7f\x80\u2028\u2029č\ufeff\uffff\U0001f375\U0010ffff')
    | st.characters(codec="utf-8"),
    max_size=6,
)
_NUMBER = st.integers(-(2**63), 2**63 - 1)
_VALUES: dict[str, st.SearchStrategy[Any]] = {
    str(field.name): {
        arrow.string(): _TEXT,
        arrow.int64(): _NUMBER,
        arrow.list_(arrow.string()): st.lists(_TEXT, max_size=3),
        arrow.list_(arrow.int64()): st.lists(_NUMBER, max_size=3),
    }[field.type]
    for field in LEDGER
}
_ROWS = st.lists(
    st.fixed_dictionaries({name: st.none() | values for name, values in _VALUES.items()}),
    max_size=5,
)
_EMPTY = dict.fromkeys(LEDGER.names)


def _batch(rows: list[dict[str, Any]]) -> Any:
    return arrow.RecordBatch.from_pylist(rows, LEDGER)


@settings(max_examples=100)
@given(_ROWS)
def test_any_rows_are_the_bytes_that_the_ledgers_digest_is_of(rows: list[dict[str, Any]]) -> None:
    assert canonical_lines(_batch(rows)) == ledger_bytes(rows)


@settings(max_examples=100)
@given(_ROWS, st.integers(0, 5), st.integers(0, 5))
def test_a_slice_of_a_batch_is_the_bytes_of_its_own_rows(
    rows: list[dict[str, Any]], start: int, length: int
) -> None:
    batch = _batch(rows).slice(min(start, len(rows)), length)
    assert canonical_lines(batch) == ledger_bytes(rows[start : start + length])


@pytest.mark.parametrize("name", LEDGER.names)
@settings(max_examples=30)
@given(st.data())
def test_one_column_alone_is_written_right_without_nulls_and_with_some(
    name: str, data: st.DataObject
) -> None:
    values = data.draw(st.lists(_VALUES[name], min_size=1, max_size=4))
    for column in (values, [*values, None], [None, *values]):
        rows = [{**_EMPTY, name: value} for value in column]
        assert canonical_lines(_batch(rows)) == ledger_bytes(rows)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("lines", [[], [], []]),
        ("lines", [[], [1], []]),
        ("lines", [list(range(10_000)), [], [7]]),
        ("lines", [[1, None, 3], None, []]),
        ("repairs", [[], []]),
        ("repairs", [["one"], [], ["two", "three"]]),
        ("repairs", [['"', "\\"], ["\n", ""], [""]]),
        ("repairs", [[None], ["a", None]]),
        ("id", ["", "", ""]),
        ("id", [None, None]),
        ("id", ["plain", "\u2028\u2029", "\x7f\x80", "tea \U0001f375"]),
        ("detail", ['say "tea"', "back\\slash", "\x00\x1f"]),
    ],
)
def test_corners_of_columns_are_written_right(name: str, values: list[Any]) -> None:
    rows = [{**_EMPTY, name: value} for value in values]
    batch = _batch(rows)
    assert canonical_lines(batch) == ledger_bytes(rows)
    for start in range(len(rows)):
        assert canonical_lines(batch.slice(start)) == ledger_bytes(rows[start:])


def test_no_rows_are_no_bytes() -> None:
    assert canonical_lines(_batch([])) == b""
    assert canonical_lines(_batch([_EMPTY]).slice(1)) == b""


def test_a_row_where_everything_is_null_is_written() -> None:
    nulls = ",".join(f'"{name}":null' for name in sorted(LEDGER.names))
    assert canonical_lines(_batch([_EMPTY])) == f"{{{nulls}}}\n".encode()

"""The digest of ledger rows, made from whole columns, is that of their values one by one."""

from __future__ import annotations

from typing import Any

import pyarrow as arrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from teapot.ledger import LEDGER
from teapot.ledgerdigest import LedgerDigest, column_lines
from tests.support.ledgers import lines_of, rows_sha256

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


def digest_of(*batches: Any) -> str:
    digest = LedgerDigest(LEDGER.names)
    for batch in batches:
        digest.update(batch)
    return digest.hexdigest()


@settings(max_examples=100)
@given(_ROWS)
def test_any_rows_have_the_digest_that_the_format_says(rows: list[dict[str, Any]]) -> None:
    assert digest_of(_batch(rows)) == rows_sha256(rows)


@settings(max_examples=100)
@given(_ROWS, st.integers(0, 5), st.integers(0, 5))
def test_the_digest_does_not_hang_on_how_rows_are_cut_into_batches(
    rows: list[dict[str, Any]], first: int, second: int
) -> None:
    batch = _batch(rows)
    start, stop = sorted((min(first, len(rows)), min(second, len(rows))))
    parts = batch.slice(0, start), batch.slice(start, stop - start), batch.slice(stop)
    assert digest_of(*parts) == rows_sha256(rows)
    assert digest_of(parts[1]) == rows_sha256(rows[start:stop])


@settings(max_examples=100)
@given(_ROWS, st.sampled_from(LEDGER.names), st.data())
def test_another_value_is_another_digest(
    rows: list[dict[str, Any]], name: str, data: st.DataObject
) -> None:
    rows = [*rows, dict(_EMPTY)]
    place = data.draw(st.integers(0, len(rows) - 1))
    other = data.draw(st.none() | _VALUES[name])
    changed = [*rows[:place], {**rows[place], name: other}, *rows[place + 1 :]]
    is_same = rows[place][name] == other
    assert (digest_of(_batch(changed)) == digest_of(_batch(rows))) == is_same


@pytest.mark.parametrize("name", LEDGER.names)
@settings(max_examples=30)
@given(st.data())
def test_one_column_alone_is_written_right_without_nulls_and_with_some(
    name: str, data: st.DataObject
) -> None:
    values = data.draw(st.lists(_VALUES[name], min_size=1, max_size=4))
    for column in (values, [*values, None], [None, *values]):
        made = arrow.array(column, LEDGER.field(name).type)
        assert bytes(column_lines(made)) == lines_of(column)


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
        ("detail", ['"', "plain"]),
        ("row", [1, -(2**63), None]),
    ],
)
def test_corners_of_columns_are_written_right(name: str, values: list[Any]) -> None:
    column = arrow.array(values, LEDGER.field(name).type)
    for start in range(len(values)):
        for stop in range(start, len(values) + 1):
            part = column.slice(start, stop - start)
            assert bytes(column_lines(part)) == lines_of(values[start:stop])


@settings(max_examples=100)
@given(st.lists(st.none() | _TEXT, max_size=6), st.integers(0, 6), st.integers(0, 6), st.booleans())
def test_texts_in_a_dictionary_are_written_as_those_that_are_in_none(
    values: list[str | None], first: int, second: int, is_crowded: bool
) -> None:
    start, stop = sorted((min(first, len(values)), min(second, len(values))))
    more = [f"more {number}" for number in range(9)] if is_crowded else []
    column = arrow.array([*values, *more], arrow.string()).dictionary_encode()
    assert bytes(column_lines(column.slice(start, stop - start))) == lines_of(values[start:stop])


def test_no_rows_have_a_digest_of_their_own() -> None:
    assert digest_of() == digest_of(_batch([])) == rows_sha256([])


def test_rows_that_change_places_are_other_rows() -> None:
    one, two = {**_EMPTY, "id": "one", "row": 1}, {**_EMPTY, "id": "two", "row": 2}
    crossed = [{**one, "row": 2}, {**two, "row": 1}]
    digests = {digest_of(_batch(rows)) for rows in ([one, two], [two, one], crossed)}
    assert len(digests) == 3

from __future__ import annotations

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from teapot import columns
from teapot.errors import DataError

TEXTS = st.lists(st.none() | st.text())


@given(TEXTS, st.lists(st.lists(st.text(max_size=3), max_size=3)))
def test_texts_come_back_as_they_were(texts: list[str | None], lists: list[list[str]]) -> None:
    made = columns.strings(texts)
    made.validate(full=True)
    assert made.to_pylist() == texts
    nested = columns.string_lists(lists)
    nested.validate(full=True)
    assert nested.to_pylist() == lists


@given(st.lists(st.binary(min_size=32, max_size=32)), st.data())
def test_digests_are_hex_or_null(digests: list[bytes], data: st.DataObject) -> None:
    there = data.draw(st.lists(st.booleans(), min_size=len(digests), max_size=len(digests)))
    rows = numpy.frombuffer(b"".join(digests), dtype=numpy.uint8).reshape(-1, 32)
    made = columns.digests(rows, numpy.array(there, dtype=numpy.bool_))
    made.validate(full=True)
    expected = [
        one.hex() if is_there else None for one, is_there in zip(digests, there, strict=True)
    ]
    assert made.to_pylist() == expected


@given(st.lists(st.integers(0, 3), min_size=1), st.integers(0, 2))
def test_lists_begin_wherever_the_first_does(sizes: list[int], before: int) -> None:
    starts = before + numpy.cumsum([0, *sizes])
    values = numpy.arange(starts[-1] + 1, dtype=numpy.int64)
    made = columns.lists(values, starts)
    made.validate(full=True)
    expected = [
        list(range(a, b)) for a, b in zip(starts.tolist(), starts[1:].tolist(), strict=False)
    ]
    assert made.to_pylist() == expected


def test_what_arrow_has_no_bounds_for_is_refused() -> None:
    with pytest.raises(DataError, match="2,147,483,648 bytes or lines"):
        columns.texts(b"", numpy.array([1, 1 << 31]))
    with pytest.raises(DataError, match="too many to tell"):
        columns.lists(numpy.empty(0, dtype=numpy.int64), numpy.array([5, (1 << 31) + 5]))

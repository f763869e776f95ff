"""Compiled or in Python, columns become the same JSON lines, and what is out of bounds is refused.

The compiled functions are imported by name: where they were not built, these tests fail.
"""

from __future__ import annotations

import importlib
import json
import sys
from array import array
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

import teapot.columnlines
from teapot import _columnlines
from teapot.columnlines import (
    number_lines_in_python,
    number_list_lines_in_python,
    picked_lines_in_python,
    text_lines_in_python,
    unhex_in_python,
)

_NAMES = ("number_lines", "number_list_lines", "picked_lines", "text_lines", "unhex")
both_texts = pytest.mark.parametrize("lines", [_columnlines.text_lines, text_lines_in_python])
both_picked = pytest.mark.parametrize("lines", [_columnlines.picked_lines, picked_lines_in_python])
both_numbers = pytest.mark.parametrize("lines", [_columnlines.number_lines, number_lines_in_python])
both_lists = pytest.mark.parametrize(
    "lines", [_columnlines.number_list_lines, number_list_lines_in_python]
)
both_unhex = pytest.mark.parametrize("unhex", [_columnlines.unhex, unhex_in_python])

_NUMBERS = st.integers(-(2**63), 2**63 - 1) | st.sampled_from([0, 9, 10, -1, 2**63 - 1, -(2**63)])
_TEXT = st.text(st.sampled_from('az"\\\x00\x1f\x7f\u2028č\U0001f375'), max_size=5)


def bounds_of(texts: Sequence[Sequence[object] | bytes]) -> bytes:
    places = [0]
    for text in texts:
        places.append(places[-1] + len(text))
    return array("i", places).tobytes()


def json_lines(values: Sequence[object]) -> bytes:
    made = (json.dumps(value, ensure_ascii=False, separators=(",", ":")) for value in values)
    return "".join(line + "\n" for line in made).encode()


def test_what_teapot_uses_is_compiled_here() -> None:
    for name in _NAMES:
        assert getattr(teapot.columnlines, name) is getattr(_columnlines, name)


def test_without_the_compiled_part_python_does_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "teapot._columnlines", None)
    monkeypatch.delattr(teapot, "_columnlines")
    monkeypatch.delitem(sys.modules, "teapot.columnlines")
    plain = importlib.import_module("teapot.columnlines")
    for name in _NAMES:
        assert getattr(plain, name) is getattr(plain, f"{name}_in_python")


@both_texts
@given(values=st.lists(st.none() | _TEXT))
def test_texts_are_quoted_where_none_needs_an_escape(
    lines: Callable[..., bytes | None], values: list[str | None]
) -> None:
    texts = [(value or "").encode() for value in values]
    there = bytes(value is not None for value in values)
    found = lines(b"".join(texts), bounds_of(texts), there)
    if any(character in '"\\\x00\x1f' for text in values for character in text or ""):
        assert found is None
    else:
        assert found == json_lines(values)
        assert lines(b"".join(texts), bounds_of(texts), None) == json_lines(
            [value or "" for value in values]
        )


@both_texts
def test_only_the_texts_within_the_bounds_are_looked_at(lines: Callable[..., bytes | None]) -> None:
    data = b'"one"two\\'
    assert lines(data, array("i", [1, 4]).tobytes(), None) == b'"one"\n'
    assert lines(data, array("i", [1, 5]).tobytes(), None) is None
    assert lines(data, array("i", [9]).tobytes(), None) == b""


@both_picked
@given(
    texts=st.lists(st.binary(max_size=4), min_size=1, max_size=5),
    places=st.lists(st.none() | st.integers(0, 4)),
)
def test_lines_are_picked_by_their_places(
    lines: Callable[..., bytes], texts: list[bytes], places: list[int | None]
) -> None:
    places = [None if place is None else place % len(texts) for place in places]
    there = bytes(place is not None for place in places)
    held = array("i", [-7 if place is None else place for place in places]).tobytes()
    expected = b"".join(b"null\n" if place is None else texts[place] for place in places)
    assert lines(b"".join(texts), bounds_of(texts), held, there) == expected


@both_picked
@pytest.mark.parametrize("place", [-1, 2, 2**31 - 1, -(2**31)])
def test_a_place_outside_of_the_dictionary_is_refused(
    lines: Callable[..., bytes], place: int
) -> None:
    with pytest.raises(ValueError, match="no text at one of the places"):
        lines(b"ab", bounds_of([b"a", b"b"]), array("i", [0, place]).tobytes(), None)


@both_numbers
@given(values=st.lists(st.none() | _NUMBERS))
def test_numbers_are_written_as_json_has_them(
    lines: Callable[..., bytes], values: list[int | None]
) -> None:
    there = bytes(value is not None for value in values)
    held = array("q", [value or 0 for value in values]).tobytes()
    assert lines(held, there) == json_lines(values)


@both_lists
@given(values=st.lists(st.lists(_NUMBERS, max_size=4)), before=st.lists(_NUMBERS, max_size=3))
def test_lists_are_written_as_json_has_them(
    lines: Callable[..., bytes], values: list[list[int]], before: list[int]
) -> None:
    held = array("q", [*before, *(one for part in values for one in part)]).tobytes()
    shifted = array("i", [place + len(before) for place in array("i", bounds_of(values))])
    assert lines(held, shifted.tobytes()) == json_lines(values)


@pytest.mark.parametrize(
    "bounds",
    [b"", b"123", *(array("i", b).tobytes() for b in ([-1, 0], [0, 9], [2, 1], [0, 2, 1]))],
)
def test_bounds_outside_of_the_data_are_refused(bounds: bytes) -> None:
    for text_lines in (_columnlines.text_lines, text_lines_in_python):
        with pytest.raises(ValueError, match="expected"):
            text_lines(b"abc", bounds, None)
    for picked_lines in (_columnlines.picked_lines, picked_lines_in_python):
        with pytest.raises(ValueError, match="expected"):
            picked_lines(b"abc", bounds, b"", None)
    for list_lines in (_columnlines.number_list_lines, number_list_lines_in_python):
        with pytest.raises(ValueError, match="expected"):
            list_lines(bytes(24), bounds)


@pytest.mark.parametrize("there", [b"", b"\1", b"\1\1\1"])
def test_another_number_of_truth_values_is_refused(there: bytes) -> None:
    two = bounds_of([b"a", b"b"])
    for text_lines in (_columnlines.text_lines, text_lines_in_python):
        with pytest.raises(ValueError, match="a byte for each row"):
            text_lines(b"ab", two, there)
    for number_lines in (_columnlines.number_lines, number_lines_in_python):
        with pytest.raises(ValueError, match="a byte for each row"):
            number_lines(bytes(16), there)
    for picked_lines in (_columnlines.picked_lines, picked_lines_in_python):
        with pytest.raises(ValueError, match="a byte for each row"):
            picked_lines(b"ab", two, bytes(8), there)


@both_numbers
def test_numbers_that_are_not_whole_are_refused(lines: Callable[..., bytes]) -> None:
    with pytest.raises(ValueError, match="expected"):
        lines(bytes(9), None)


@both_unhex
@given(data=st.binary(max_size=70))
def test_hexadecimal_digits_become_bytes(unhex: Callable[..., bytes], data: bytes) -> None:
    assert unhex(data.hex().encode()) == data


@both_unhex
@pytest.mark.parametrize("place", [0, 1, 2, 62, 63])
def test_what_is_no_lower_case_digit_is_refused(unhex: Callable[..., bytes], place: int) -> None:
    digits = bytearray(b"0f" * 32)
    for odd in {*range(256)} - {*b"0123456789abcdef"}:
        digits[place] = odd
        with pytest.raises(ValueError, match="lower-case hexadecimal"):
            unhex(digits)
    with pytest.raises(ValueError, match="lower-case hexadecimal"):
        unhex(b"0" * (place | 1))


@pytest.mark.parametrize("odd", [None, "text", 7, memoryview(bytes(64))[::2]])
def test_what_is_no_run_of_bytes_is_refused(odd: object) -> None:
    with pytest.raises((TypeError, BufferError)):
        _columnlines.unhex(odd)  # type: ignore[arg-type]
    with pytest.raises((TypeError, BufferError)):
        _columnlines.text_lines(b"a", bounds_of([b"a"]), odd or 0)  # type: ignore[arg-type]

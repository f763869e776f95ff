from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from teapot.canonical import (
    MAX_DEPTH,
    CanonicalError,
    check_numbers,
    dumps,
    dumps_plain,
    dumps_readable,
    loads,
)

FLOATS = st.floats(allow_nan=False, allow_infinity=False)
WHOLE = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text()


def _json(leaves: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.recursive(
        leaves, lambda part: st.lists(part) | st.dictionaries(st.text(), part), max_leaves=20
    )


def _nested(levels: int) -> Any:
    value: Any = []
    for _ in range(levels - 1):
        value = [value]
    return value


def _turned_round(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _turned_round(part) for key, part in reversed(value.items())}
    return [_turned_round(part) for part in value] if isinstance(value, list) else value


@given(_json(WHOLE | FLOATS))
def test_bytes_are_those_of_the_standard_library(value: Any) -> None:
    expected = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    assert dumps(value) == expected.encode()


@given(_json(WHOLE))
def test_a_value_without_fractions_comes_back_as_it_was(value: Any) -> None:
    assert loads(dumps(value)) == value
    assert dumps_plain(value) == dumps(value)


@given(_json(WHOLE | FLOATS))
def test_reading_and_writing_canonical_bytes_changes_nothing(value: Any) -> None:
    assert dumps(loads(dumps(value))) == dumps(value)


@given(_json(WHOLE | FLOATS))
def test_the_order_of_keys_does_not_reach_the_bytes(value: Any) -> None:
    assert dumps(_turned_round(value)) == dumps(value)


@given(_json(WHOLE | FLOATS))
def test_the_readable_form_holds_the_same_value(value: Any) -> None:
    text = dumps_readable(value)
    assert dumps(loads(text)) == dumps(value)
    assert text.endswith(b"\n")


@given(_json(WHOLE | FLOATS), st.integers(0, 60), st.binary(max_size=2))
def test_what_is_read_is_what_the_standard_library_reads(
    value: Any, place: int, edit: bytes
) -> None:
    data = json.dumps(value).encode()
    data = data[:place] + edit + data[place + 1 :]
    try:
        value = loads(data)
    except CanonicalError:
        return
    assert value == json.loads(data, parse_float=Decimal)


@pytest.mark.parametrize(
    "text",
    [
        b"", b" ", b"NaN", b"[Infinity]", b"-Infinity", b"1 2", b"[1,]", b'{"a":1,}', b"01", b"+1",
        b"1.", b".5", b"'a'", b'"a\nb"', b'"\x00"', b'"\\x41"', b"1\x00",
        b"\xef\xbb\xbf{}", "1".encode("utf-16"), b'"\xff"', b'"\xed\xa0\x80"',
        b'"\\ud800"', b'"\\udc00"', b'"\\ud800\\u0041"', b'{"\\ud800":1}',
        b'{"a":1,"a":1}', b'{"a":1,"\\u0061":2}', b'[{"b":[{"a":1,"a":2}]}]',
        b"1e99999999999999999999", b"9" * 5000, b"[" * 300 + b"]" * 300,
    ],
)  # fmt: skip
def test_text_that_is_not_strict_json_is_refused(text: bytes) -> None:
    with pytest.raises(CanonicalError):
        loads(text)


@pytest.mark.parametrize(
    "value",
    [
        float("nan"), float("inf"), -float("inf"), Decimal("1e999"), Decimal("NaN"),
        Decimal("sNaN"), Decimal("Infinity"), 2**64, -(2**63) - 1, 10**5000, "\ud800",
        {"\udc00": 1}, {1: 2}, {None: 1}, b"bytes", {1, 2}, object(), _nested(MAX_DEPTH + 1),
    ],
    ids=lambda value: repr(value)[:20] if not isinstance(value, int) else "whole",
)  # fmt: skip
def test_what_json_cannot_say_is_refused_wherever_it_lies(value: Any) -> None:
    for whole in (value, [value], {"a": [value]}):
        with pytest.raises(CanonicalError):
            dumps(whole)
        with pytest.raises(CanonicalError):
            dumps_readable(whole)


def test_the_deepest_nesting_and_the_largest_integers_are_accepted() -> None:
    assert dumps(_nested(MAX_DEPTH)) == b"[" * MAX_DEPTH + b"]" * MAX_DEPTH
    assert dumps([2**64 - 1, -(2**63)]) == b"[18446744073709551615,-9223372036854775808]"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.1, "0.1"), (1.0, "1.0"), (-0.0, "-0.0"), (1e16, "1e+16"), (1e15, "1000000000000000.0"),
        (1e-5, "1e-05"), (0.0001, "0.0001"), (5e-324, "5e-324"), (1 / 3, "0.3333333333333333"),
        (Decimal("0.10"), "0.1"), (Decimal("1e2"), "100.0"), (Decimal("1e-400"), "0.0"),
        (Decimal("0.1000000000000000055511151231257827"), "0.1"),
    ],
)  # fmt: skip
def test_fractions_are_written_as_pythons_repr_of_the_nearest_double(
    value: float | Decimal, text: str
) -> None:
    assert dumps(value) == text.encode()


@pytest.mark.parametrize("text", [b"1e999", b"-1e999", b"18446744073709551616"])
def test_numbers_that_a_reader_would_lose_are_found_at_any_depth(text: bytes) -> None:
    for whole in (text, b"[1,%b]" % text, b'{"a":{"b":["x",%b]}}' % text):
        with pytest.raises(CanonicalError):
            check_numbers(loads(whole))


@given(_json(WHOLE | FLOATS))
def test_numbers_that_can_be_written_pass_the_check(value: Any) -> None:
    check_numbers(loads(dumps(value)))


def test_fractions_are_read_with_the_digits_that_stand_there() -> None:
    assert loads(b"[0.10,1e2,3]") == [Decimal("0.10"), Decimal("1E+2"), 3]

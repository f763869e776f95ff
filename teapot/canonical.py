"""The one canonical JSON, and the one strict reader of JSON.

Canonical bytes are UTF-8 with keys sorted by code point, no spaces, the shortest escapes, integers
as they are and other numbers in the shortest form that reads back as the same double (Python's
`repr`). There is no NaN, no Infinity, no lone surrogate and no integer beyond 64 bits. For values
without fractions the result equals RFC 8785 wherever keys lie in the Basic Multilingual Plane.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

import jiter
import orjson

MAX_DEPTH = 100
_MIN_INTEGER, _MAX_INTEGER = -(2**63), 2**64 - 1


class CanonicalError(ValueError):
    """A value or a text is not strict JSON; the message says why."""


def dumps(value: Any) -> bytes:
    """Return the canonical bytes of any JSON value.

    Raises:
        CanonicalError: the value holds something that strict JSON cannot say.
    """
    return dumps_plain(plain(value))


def dumps_plain(value: Any) -> bytes:
    """Return the canonical bytes of a value that `plain` has made or that holds no fractions.

    Raises:
        CanonicalError: a string holds a lone surrogate, or an integer is beyond 64 bits.
    """
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except (TypeError, orjson.JSONEncodeError) as error:
        raise CanonicalError(str(error)) from error


def dumps_lines(values: Iterable[Any]) -> bytes:
    """Return values that hold no fractions as JSON Lines, keys in their own order: to be parsed.

    Raises:
        CanonicalError: a string holds a lone surrogate, or an integer is beyond 64 bits.
    """
    try:
        return b"".join([orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE) for value in values])
    except (TypeError, orjson.JSONEncodeError) as error:
        raise CanonicalError(str(error)) from error


def dumps_readable(value: Any) -> bytes:
    """Return the same value indented by two spaces, keys sorted, LF at the end: for files.

    Raises:
        CanonicalError: the value holds something that strict JSON cannot say.
    """
    return _written(plain(value), orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def plain(value: Any, depth: int = 0) -> Any:
    """Return `value` checked all through, its fractions replaced by their canonical text.

    Raises:
        CanonicalError: not JSON, not finite, beyond 64 bits, or nested deeper than `MAX_DEPTH`.
    """
    if value is None or isinstance(value, bool | str | orjson.Fragment):
        return value
    if isinstance(value, int):
        return _integer(value)
    if isinstance(value, float | Decimal):
        return orjson.Fragment(_fraction(value))
    if depth >= MAX_DEPTH:
        raise CanonicalError(f"nested deeper than {MAX_DEPTH} levels")
    if isinstance(value, Mapping):
        return {_key(key): plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item, depth + 1) for item in value]
    raise CanonicalError(f"{type(value).__name__} is not a JSON value")


def loads(data: bytes) -> Any:
    """Parse one JSON text strictly; numbers with a fraction or exponent come as `Decimal`.

    Refused: duplicate keys, NaN, Infinity, lone surrogates, bytes that are not UTF-8, a byte order
    mark, trailing text, and nesting beyond 200 levels. Numbers out of a double's range are found
    by `plain`.

    Raises:
        CanonicalError: the text is not strict JSON; the message gives line and column.
    """
    try:
        return jiter.from_json(
            data,
            catch_duplicate_keys=True,
            allow_inf_nan=False,
            float_mode="decimal",
            cache_mode="keys",
        )
    except ValueError as error:
        told = "a number is out of any range" if "InvalidOperation" in str(error) else str(error)
        raise CanonicalError(told) from error


def check_numbers(value: Any) -> None:
    """Refuse numbers that a 64-bit reader would lose, anywhere in a value that `loads` made.

    Raises:
        CanonicalError: a number is out of range.
    """
    kind = type(value)
    if kind is dict:
        for item in value.values():
            if type(item) is not str:
                check_numbers(item)
    elif kind is list:
        for item in value:
            if type(item) is dict:
                # The turns of a chat, nearly always: texts by name.
                for part in item.values():
                    if type(part) is not str:
                        check_numbers(part)
            elif type(item) is not str:
                check_numbers(item)
    elif kind is int:
        _integer(value)
    elif kind is Decimal:
        _fraction(value)


def _written(value: Any, option: int = 0) -> bytes:
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS | option)
    except (TypeError, orjson.JSONEncodeError) as error:
        raise CanonicalError(str(error)) from error


def kind_of(value: object) -> str:
    """Return a value's JSON kind in words: `a list`, `text`, `null`."""
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, int | float | Decimal):
        return "a number"
    names = {type(None): "null", str: "text", list: "a list", dict: "an object"}
    return names.get(type(value), f"a {type(value).__name__}")


def _key(key: object) -> str:
    if not isinstance(key, str):
        raise CanonicalError(f"the key {key!r} is not text")
    return key


def _integer(value: int) -> int:
    if not _MIN_INTEGER <= value <= _MAX_INTEGER:
        # Python refuses to write out an integer of more than 4300 digits.
        shown = str(value)[:24] if value.bit_length() < 8192 else "of thousands of digits"
        raise CanonicalError(f"the integer {shown}… is beyond 64 bits")
    return value


def _fraction(value: float | Decimal) -> bytes:
    is_nan = isinstance(value, Decimal) and value.is_nan()  # float() refuses a signalling one
    number = math.nan if is_nan else float(value)
    if not math.isfinite(number):
        raise CanonicalError(f"the number {value} is not a finite 64-bit number")
    return repr(number).encode("ascii")

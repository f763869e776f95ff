"""Columns of a table as JSON, a value to a line, compiled where there was a C compiler.

Compiled or not, a function gives the same; the compiled ones (`_columnlines.c`) take a fraction of
the time. A column comes as Arrow keeps it: numbers of 64 bits end to end, or texts end to end with
their bounds, 32 bits each and one more than there are texts. `is_there` has a byte for each row, or
is None where every row has a value; the line of a row that has none is `null`.
"""

from __future__ import annotations

from binascii import hexlify, unhexlify
from collections.abc import Iterable, Sequence
from itertools import pairwise

__all__ = [
    "Block", "number_lines", "number_lines_in_python", "number_list_lines",
    "number_list_lines_in_python", "picked_lines", "picked_lines_in_python", "text_lines",
    "text_lines_in_python", "unhex", "unhex_in_python",
]  # fmt: skip

Block = bytes | bytearray | memoryview
_ESCAPED = bytes(range(0x20)) + b'"\\'
_NULL = b"null\n"


def text_lines_in_python(data: Block, bounds: Block, is_there: Block | None) -> bytes | None:
    """Return the lines of texts; None where one needs an escape, which is not for this function.

    Raises:
        ValueError: the bounds do not lie within the data, or `is_there` is of another length.
    """
    texts = _texts(data, bounds)
    every = b"".join(texts)
    if len(every.translate(None, _ESCAPED)) < len(every):
        return None
    return _joined([b'"%b"\n' % text for text in texts], is_there)


def picked_lines_in_python(
    data: Block, bounds: Block, places: Block, is_there: Block | None
) -> bytes:
    """Return, for each row, the text at its place in a dictionary; a text is a line with its LF.

    Raises:
        ValueError: the bounds do not lie within the data, a place is none of the dictionary, or
            `is_there` is of another length.
    """
    texts, picked = _texts(data, bounds), _numbers(places, "i")
    there = _there(is_there, len(picked))
    if any(one and not 0 <= place < len(texts) for one, place in zip(there, picked, strict=True)):
        raise ValueError("there is no text at one of the places")
    pairs = zip(there, picked, strict=True)
    return b"".join([texts[place] if one else _NULL for one, place in pairs])


def number_lines_in_python(values: Block, is_there: Block | None) -> bytes:
    """Return the lines of whole numbers.

    Raises:
        ValueError: the values are not of 64 bits, or `is_there` is of another length.
    """
    return _joined([b"%d\n" % value for value in _numbers(values, "q")], is_there)


def number_list_lines_in_python(values: Block, bounds: Block) -> bytes:
    """Return the lines of lists of whole numbers: the nth is `values[bounds[n]:bounds[n + 1]]`.

    Raises:
        ValueError: the values are not of 64 bits, or the bounds do not lie within them.
    """
    numbers = _numbers(values, "q")
    spans = pairwise(_bounds(bounds, len(numbers)))
    texts = (b",".join([b"%d" % one for one in numbers[start:stop]]) for start, stop in spans)
    return b"".join([b"[%b]\n" % text for text in texts])


def unhex_in_python(text: Block) -> bytes:
    """Return the bytes that lower-case hexadecimal digits stand for.

    Raises:
        ValueError: they are no such digits, or not in pairs.
    """
    try:
        found = unhexlify(text)
    except ValueError:
        found = b""
    if hexlify(found) != bytes(text):
        raise ValueError("expected pairs of lower-case hexadecimal digits")
    return found


def _texts(data: Block, bounds: Block) -> list[bytes]:
    view = memoryview(data)
    return [bytes(view[start:stop]) for start, stop in pairwise(_bounds(bounds, len(view)))]


def _bounds(bounds: Block, size: int) -> Sequence[int]:
    places = _numbers(bounds, "i")
    is_back = any(stop < start for start, stop in pairwise(places))
    if not places or is_back or places[0] < 0 or places[-1] > size:
        raise ValueError("expected bounds within the data")
    return places


def _numbers(block: Block, kind: str) -> Sequence[int]:
    try:
        return memoryview(block).cast("B").cast(kind)  # type: ignore[call-overload, no-any-return]  # kind is no literal
    except TypeError as error:
        raise ValueError("expected whole numbers of the given size") from error


def _there(is_there: Block | None, rows: int) -> Sequence[int]:
    if is_there is None:
        return bytes([1]) * rows
    if len(is_there) != rows:
        raise ValueError("expected a byte for each row")
    return is_there


def _joined(lines: Sequence[bytes], is_there: Block | None) -> bytes:
    pairs: Iterable[tuple[int, bytes]] = zip(_there(is_there, len(lines)), lines, strict=True)
    return b"".join([line if one else _NULL for one, line in pairs])


try:
    from teapot._columnlines import (
        number_lines,
        number_list_lines,
        picked_lines,
        text_lines,
        unhex,
    )
except ImportError:
    number_lines, number_list_lines = number_lines_in_python, number_list_lines_in_python
    picked_lines, text_lines, unhex = picked_lines_in_python, text_lines_in_python, unhex_in_python

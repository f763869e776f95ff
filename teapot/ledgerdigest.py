"""The digest of a ledger's rows, whatever Parquet file they lie in.

Each column is hashed by itself: the SHA-256 of its values as canonical JSON, one to a line, in row
order. The digest of the rows is the SHA-256 of the canonical JSON object that gives each column's
name its digest in hexadecimal. Columns are what a Parquet file is made of, so hashing them needs no
row to be put together; and as all are equally long, and no JSON text holds a LF, other rows cannot
have the same lines.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha256
from typing import Any

import numpy
import numpy.typing
import pyarrow as arrow
import pyarrow.compute as pc

from teapot import columns
from teapot.canonical import dumps_plain

Column = Any
_QUOTE, _LF = 0x22, 0x0A
_ESCAPED = bytes(range(0x20)) + b'"\\'


class LedgerDigest:
    """The digest of rows that come in record batches of any size; columns have the given names."""

    def __init__(self, names: list[str]) -> None:
        self._columns = {name: sha256() for name in names}

    def update(self, batch: Any) -> None:
        """Take the next rows."""
        for name, digest in self._columns.items():
            digest.update(column_lines(batch.column(name)))

    def hexdigest(self) -> str:
        """Return the digest of all rows taken so far as 64 hex digits."""
        digests = {name: digest.hexdigest() for name, digest in self._columns.items()}
        return sha256(dumps_plain(digests)).hexdigest()


def column_lines(column: Column) -> bytes | memoryview:
    """Return a column's values as canonical JSON, one to a line.

    They are text, whole numbers, or lists of either; a null stays null.
    """
    rows = len(column)
    if column.null_count == rows:
        return b"null\n" * rows
    if arrow.types.is_list(column.type):
        return _list_lines(column)
    if arrow.types.is_integer(column.type):
        return _data(_joined(pc.fill_null(_numbers(column), _text("null")), "\n"))
    if not column.null_count and pc.all(pc.equal(column, column[0])).as_py():
        return (dumps_plain(column[0].as_py()) + b"\n") * rows
    return _each(column) if _needs_escape(column) else _text_lines(column)


def _text_lines(column: Column) -> bytes | memoryview:
    """Return the lines of texts that need no escape."""
    width = None if column.null_count else _common_width(column)
    if width is not None:
        return _framed(column, width)
    lines = _joined('"', column, '"\n')
    return _data(pc.fill_null(lines, _text("null\n")) if column.null_count else lines)


def _list_lines(column: Column) -> bytes | memoryview:
    values = column.flatten()
    if not column.null_count and not len(values):
        return b"[]\n" * len(column)
    if column.null_count or values.null_count or not arrow.types.is_integer(values.type):
        return _each(column)
    starts = pc.subtract(column.offsets, column.offsets[0])
    lists = arrow.ListArray.from_arrays(starts, _numbers(values))
    return _data(_joined("[", pc.binary_join(lists, _text(",")), "]\n"))


def _numbers(column: Column) -> Column:
    return pc.cast(column, arrow.string())


def _each(column: Column) -> bytes:
    """Return the lines of values that Arrow's functions do not write right, one after another."""
    return b"".join([dumps_plain(value) + b"\n" for value in column.to_pylist()])


def _needs_escape(column: Column) -> bool:
    """Tell whether any text holds a quote, a backslash or a control character."""
    text = bytes(_data(column))
    return len(text.translate(None, _ESCAPED)) < len(text)


def _common_width(column: Column) -> int | None:
    """Return how many bytes each text has, as digests do; None where they differ."""
    widths = numpy.diff(_bounds(column))
    return int(widths[0]) if (widths == widths[0]).all() else None


def _framed(column: Column, width: int) -> memoryview:
    """Return texts of one width in quotes, one to a line."""
    lines = numpy.empty((len(column), width + 3), dtype=numpy.uint8)
    lines[:, 0] = lines[:, -2] = _QUOTE
    lines[:, -1] = _LF
    lines[:, 1:-2] = numpy.frombuffer(_data(column), dtype=numpy.uint8).reshape(-1, width)
    return lines.reshape(-1).data


@lru_cache
def _text(value: str) -> Any:
    """Return a text as Arrow's scalar, made without pyarrow's look at pandas."""
    return columns.strings([value])[0]


def _joined(*parts: str | Column) -> Column:
    """Return parts joined row by row; a text among them is that of every row."""
    given = [_text(part) if isinstance(part, str) else part for part in (*parts, "")]
    return pc.binary_join_element_wise(*given)


def _data(column: Column) -> memoryview:
    """Return the bytes of an array's texts, end to end."""
    data = column.buffers()[2]
    if data is None:
        return memoryview(b"")
    bounds = _bounds(column)
    return memoryview(data)[bounds[0] : bounds[-1]]


def _bounds(column: Column) -> numpy.typing.NDArray[numpy.int32]:
    """Return where an array's texts begin, and where the last one ends."""
    offsets = numpy.frombuffer(column.buffers()[1], dtype=numpy.int32)
    return offsets[column.offset : column.offset + len(column) + 1]

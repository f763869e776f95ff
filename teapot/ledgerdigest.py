"""The digest of a ledger's rows, whatever Parquet file they lie in.

Each column is hashed by itself: the SHA-256 of its values as canonical JSON, one to a line, in row
order. The digest of the rows is the SHA-256 of the canonical JSON object that gives each column's
name its digest in hexadecimal. Columns are what a Parquet file is made of, so hashing them needs no
row to be put together; and as all are equally long, and no JSON text holds a LF, other rows cannot
have the same lines.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import numpy
import pyarrow as arrow
import pyarrow.compute as pc

from teapot.canonical import dumps_plain

Column = Any
_QUOTE, _BACKSLASH, _FIRST_PLAIN = 0x22, 0x5C, 0x20


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
        return _data(_joined(pc.fill_null(_numbers(column), "null"), "\n"))
    if not column.null_count and pc.all(pc.equal(column, column[0])).as_py():
        return (dumps_plain(column[0].as_py()) + b"\n") * rows
    if _needs_escape(column):
        return _each(column)
    lines = _joined('"', column, '"\n')
    return _data(pc.fill_null(lines, "null\n") if column.null_count else lines)


def _list_lines(column: Column) -> bytes | memoryview:
    values = column.flatten()
    if not column.null_count and not len(values):
        return b"[]\n" * len(column)
    if column.null_count or values.null_count or not arrow.types.is_integer(values.type):
        return _each(column)
    starts = pc.subtract(column.offsets, column.offsets[0])
    lists = arrow.ListArray.from_arrays(starts, _numbers(values))
    return _data(_joined("[", pc.binary_join(lists, ","), "]\n"))


def _numbers(column: Column) -> Column:
    return pc.cast(column, arrow.string())


def _each(column: Column) -> bytes:
    """Return the lines of values that Arrow's functions do not write right, one after another."""
    return b"".join([dumps_plain(value) + b"\n" for value in column.to_pylist()])


def _needs_escape(column: Column) -> bool:
    """Tell whether any text holds a quote, a backslash or a control character."""
    text = numpy.frombuffer(_data(column), dtype=numpy.uint8)
    odd = (text < _FIRST_PLAIN) | (text == _QUOTE) | (text == _BACKSLASH)
    return bool(odd.any())


def _joined(*parts: str | Column) -> Column:
    """Return parts joined row by row; a text among them is that of every row."""
    return pc.binary_join_element_wise(*parts, "")


def _data(column: Column) -> memoryview:
    """Return the bytes of an array's texts, end to end."""
    _, offsets, data = column.buffers()
    if data is None:
        return memoryview(b"")
    bounds = numpy.frombuffer(offsets, dtype=numpy.int32)
    start, stop = bounds[column.offset], bounds[column.offset + len(column)]
    return memoryview(data)[start:stop]

"""The digest of a ledger's rows, whatever Parquet file they lie in.

Each column is hashed by itself: the SHA-256 of its values as canonical JSON, one to a line, in row
order. The digest of the rows is the SHA-256 of the canonical JSON object that gives each column's
name its digest in hexadecimal. Columns are what a Parquet file is made of, so hashing them needs no
row to be put together; and as all are equally long, and no JSON text holds a LF, other rows cannot
have the same lines.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from itertools import accumulate
from typing import Any

import numpy
import pyarrow as arrow
from numpy.typing import NDArray

from teapot.canonical import dumps_plain
from teapot.columnlines import (
    number_lines,
    number_list_lines,
    picked_lines,
    text_lines,
    unhex,
)
from teapot.digest import DIGEST_BYTES
from teapot.index import DIGEST

Column = Any
_DIGITS = 2 * DIGEST_BYTES
_NO_DIGEST = "a kept row has no digest of 64 hexadecimal digits"


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


def column_lines(column: Column) -> bytes:
    """Return a column's values as canonical JSON, one to a line.

    They are text, also in a dictionary, whole numbers, or lists of either; a null stays null.
    """
    rows = len(column)
    if column.null_count == rows:
        return b"null\n" * rows
    if arrow.types.is_dictionary(column.type):
        return _picked(column)
    if arrow.types.is_list(column.type):
        return _list_lines(column)
    if arrow.types.is_int64(column.type):
        return number_lines(numbers_of(column).data, _is_there(column))
    if arrow.types.is_string(column.type):
        lines = text_lines(_data(column), bounds_of(column).data, _is_there(column))
        return _each(column) if lines is None else lines
    return _each(column)


def bounds_of(column: Column) -> NDArray[numpy.int32]:
    """Return where an array's texts or lists begin, and where the last one ends."""
    bounds = numpy.frombuffer(column.buffers()[1], dtype=numpy.int32)
    return bounds[column.offset : column.offset + len(column) + 1]


def numbers_of(column: Column) -> NDArray[numpy.int64]:
    """Return the numbers of a column of 64 bits; where there is none, anything.

    What pyarrow has for this loads pandas.
    """
    values = numpy.frombuffer(column.buffers()[1], dtype=numpy.int64)
    return values[column.offset : column.offset + len(column)]


def elements_of(column: Column) -> Column:
    """Return what the lists of a column hold, one after another; no list may be null."""
    bounds = bounds_of(column)
    return column.values.slice(bounds[0], bounds[-1] - bounds[0])


def digests_of(column: Any, is_kept: NDArray[numpy.bool_]) -> NDArray[Any]:
    """Return the hexadecimal digests of kept rows as `DIGEST`s; what is none raises ValueError."""
    bounds = bounds_of(column)
    widths = numpy.diff(bounds)
    if (widths[is_kept] != _DIGITS).any():
        raise ValueError(_NO_DIGEST)
    text = memoryview(column.buffers()[2])
    has_some = widths > 0
    if (widths[has_some] == _DIGITS).all():
        try:
            digests = numpy.frombuffer(unhex(text[bounds[0] : bounds[-1]]), dtype=DIGEST)
        except ValueError as error:
            if is_kept.all():
                raise ValueError(_NO_DIGEST) from error
        else:
            return digests if is_kept.all() else digests[is_kept[has_some]]
    starts = bounds[:-1][is_kept].tolist()  # a row that is not kept has an odd text there
    kept = b"".join([text[start : start + _DIGITS] for start in starts])
    try:
        return numpy.frombuffer(unhex(kept), dtype=DIGEST)
    except ValueError as error:
        raise ValueError(_NO_DIGEST) from error


def places_of(column: Column) -> NDArray[numpy.int32]:
    """Return where in its dictionary each text of a column is; where there is none, anything."""
    indices = column.indices
    places = numpy.frombuffer(indices.buffers()[1], dtype=numpy.int32)
    return places[indices.offset : indices.offset + len(column)]


def is_there(column: Column) -> NDArray[numpy.uint8] | None:
    """Return 1 for each row that has a value, and 0 for a null; None where all have one."""
    if not column.null_count:
        return None
    bits = numpy.frombuffer(column.buffers()[0], dtype=numpy.uint8)
    there: NDArray[numpy.uint8] = numpy.unpackbits(bits, bitorder="little")
    return there[column.offset : column.offset + len(column)]


def _picked(column: Column) -> bytes:
    """Return the lines of texts that lie in a dictionary, where each is written once."""
    rows, texts = len(column), column.dictionary
    if len(texts) > rows:
        return column_lines(column.dictionary_decode())
    lines = list(_lines(texts))
    if len(lines) == 1 and not column.null_count:
        return lines[0] * rows
    bounds = numpy.fromiter(accumulate(map(len, lines), initial=0), numpy.int32, len(lines) + 1)
    places = places_of(column)
    return picked_lines(b"".join(lines), bounds.data, places.data, _is_there(column))


def _list_lines(column: Column) -> bytes:
    if column.null_count:
        return _each(column)
    values = elements_of(column)
    if not len(values):
        return b"[]\n" * len(column)
    if values.null_count or not arrow.types.is_int64(values.type):
        return _each(column)
    return number_list_lines(numbers_of(column.values).data, bounds_of(column).data)


def _each(column: Column) -> bytes:
    """Return the lines of values that are not written in one go, one after another."""
    return b"".join(_lines(column))


def _lines(column: Column) -> Iterator[bytes]:
    return (dumps_plain(value) + b"\n" for value in column.to_pylist())


def _is_there(column: Column) -> memoryview | None:
    there = is_there(column)
    return None if there is None else there.data


def _data(column: Column) -> memoryview:
    """Return the bytes of an array's texts, as they lie in memory."""
    data = column.buffers()[2]
    return memoryview(b"") if data is None else memoryview(data)

"""Arrow's columns from numpy's arrays, without the detour by which pyarrow loads pandas."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy
import pyarrow as arrow
from numpy.typing import NDArray

from teapot.errors import DataError, Problem

_HEX_DIGITS = 64
_MAX_BOUND = (1 << 31) - 1


def numbers(values: NDArray[Any], is_there: NDArray[Any] | None = None) -> Any:
    """Return integers as a column of their type; null where `is_there` is not."""
    kind = arrow.from_numpy_dtype(values.dtype)
    return arrow.Array.from_buffers(kind, len(values), [_bits(is_there), _buffer(values)])


def booleans(values: NDArray[Any]) -> Any:
    """Return truth values as a column."""
    return arrow.Array.from_buffers(arrow.bool_(), len(values), [None, _bits(values)])


def truths(column: Any) -> NDArray[numpy.bool_]:
    """Return a column of truth values as an array; what is null is not true."""
    _, data = column.buffers()
    bits = numpy.unpackbits(numpy.frombuffer(data, dtype=numpy.uint8), bitorder="little")
    made = bits[column.offset : column.offset + len(column)].astype(numpy.bool_)
    return made & _there(column)


def digests(values: NDArray[numpy.uint8], is_there: NDArray[Any] | None = None) -> Any:
    """Return digests, shape (n, 32), as 64 hex digits each; null where `is_there` is not."""
    count = len(values)
    sizes = numpy.full(count, _HEX_DIGITS, dtype=numpy.int32)
    if is_there is not None and not is_there.all():
        values, sizes = values[is_there], numpy.where(is_there, sizes, 0)
    return texts(values.tobytes().hex().encode(), numpy.cumsum(sizes), is_there)


def texts(data: bytes, ends: NDArray[Any], is_there: NDArray[Any] | None = None) -> Any:
    """Return texts that lie end to end, each up to its place in `ends`, as a column.

    Raises:
        DataError: they have 2 GiB or more, which Arrow's bounds cannot say.
    """
    buffers = [_bits(is_there), _bounds(ends), arrow.py_buffer(data)]
    return arrow.Array.from_buffers(arrow.string(), len(ends), buffers)


def strings(values: Sequence[str | None]) -> Any:
    """Return texts as a column; None is null."""
    encoded = [b"" if value is None else value.encode() for value in values]
    is_there = numpy.array([value is not None for value in values], dtype=numpy.bool_)
    sizes = numpy.array([len(value) for value in encoded], dtype=numpy.int64)
    return texts(b"".join(encoded), numpy.cumsum(sizes), is_there)


def string_lists(values: Sequence[Sequence[str]]) -> Any:
    """Return lists of texts as a column."""
    bounds = numpy.cumsum([0, *map(len, values)], dtype=numpy.int32)
    inner = strings([text for value in values for text in value])
    kind = arrow.list_(arrow.string())
    return arrow.Array.from_buffers(kind, len(values), [None, _buffer(bounds)], children=[inner])


def empty_lists(count: int) -> Any:
    """Return lists of texts that hold nothing, as a column."""
    bounds = numpy.zeros(count + 1, dtype=numpy.int32)
    kind = arrow.list_(arrow.string())
    return arrow.Array.from_buffers(kind, count, [None, _buffer(bounds)], children=[strings([])])


def lists(values: NDArray[Any], starts: NDArray[Any]) -> Any:
    """Return lists of integers as a column: the nth is `values[starts[n]:starts[n + 1]]`."""
    bounds = _bounds(starts[1:] - starts[0])
    kind = arrow.list_(arrow.from_numpy_dtype(values.dtype))
    inner = numbers(values[starts[0] : starts[-1]])
    return arrow.Array.from_buffers(kind, len(starts) - 1, [None, bounds], children=[inner])


def _bounds(ends: NDArray[Any]) -> Any:
    """Return where each of some parts begins, and the last one ends: Arrow does not look again."""
    if len(ends) and ends[-1] > _MAX_BOUND:
        told = f"{ends[-1]:,} bytes or lines of rows that are read together are too many to tell"
        raise DataError(Problem("", told))
    bounds = numpy.zeros(len(ends) + 1, dtype=numpy.int32)
    bounds[1:] = ends
    return _buffer(bounds)


def _there(column: Any) -> NDArray[numpy.bool_]:
    there = column.buffers()[0]
    if there is None:
        return numpy.ones(len(column), dtype=numpy.bool_)
    bits = numpy.unpackbits(numpy.frombuffer(there, dtype=numpy.uint8), bitorder="little")
    return bits[column.offset : column.offset + len(column)].astype(numpy.bool_)


def _buffer(values: NDArray[Any]) -> Any:
    return arrow.py_buffer(numpy.ascontiguousarray(values))


def _bits(values: NDArray[Any] | None) -> Any:
    if values is None:
        return None
    return arrow.py_buffer(numpy.packbits(values, bitorder="little"))

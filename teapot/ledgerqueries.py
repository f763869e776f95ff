"""Rows of a ledger: all of them, or those that a test on a column finds.

A search reads the columns that it tests, and the others only where a row was found. What a Parquet
file says of its own row groups (the least and the greatest value) is not relied on: nobody vouches
for it, and a lie would hide a row.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy
import pyarrow as arrow
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyarrow import parquet

from teapot import columns
from teapot.errors import DataError, Problem
from teapot.files import open_regular
from teapot.ledgercolumns import LEDGER
from teapot.ledgerdigest import bounds_of, digests_of, elements_of, numbers_of

__all__ = [
    "NAMES", "RowTest", "begins_with", "find_rows", "holds_any", "is_text", "kept_contents",
    "read_ledger",
]  # fmt: skip

RowTest = Callable[[Any], NDArray[numpy.bool_]]
"""Tells, from the values of a column, which rows are wanted."""

NAMES = ("id", "record_digest", "content_digest")
"""The columns of what a record can be called by."""

_BATCH_ROWS = 8192
_LEAST, _GREATEST = -(1 << 63), (1 << 63) - 1


def read_ledger(path: Path) -> Iterator[list[dict[str, Any]]]:
    """Yield the rows of a ledger in batches, in order.

    Raises:
        DataError: the file is not a ledger, or it is broken.
    """
    with _opened(path) as file:
        for batch in file.iter_batches(batch_size=_BATCH_ROWS):
            yield batch.to_pylist()


def find_rows(path: Path, names: str | Collection[str], wanted: RowTest) -> Iterator[Any]:
    """Yield the rows of a ledger that a test finds by a column, or by any of several, in order.

    Raises:
        DataError: the file is not a ledger, or it is broken.
    """
    tested = [names] if isinstance(names, str) else list(names)
    with _opened(path) as file:
        for group in range(file.num_row_groups):
            found: dict[int, NDArray[Any]] = {}
            for number, batch in enumerate(_batches(file, group, tested)):
                is_wanted = numpy.any([wanted(batch.column(name)) for name in tested], axis=0)
                if is_wanted.any():
                    found[number] = numpy.flatnonzero(is_wanted)
            if found:
                yield from _rows_at(file, group, found)


def is_text(text: str) -> RowTest:
    """Return a test that finds one text."""
    try:
        value = columns.strings([text])[0]
    except UnicodeEncodeError:  # a lone surrogate, which no ledger holds
        return lambda values: numpy.zeros(len(values), dtype=numpy.bool_)
    return lambda values: columns.truths(pc.equal(values, value))


def begins_with(text: str) -> RowTest:
    """Return a test that finds texts by how they begin."""
    return lambda values: columns.truths(pc.starts_with(values, text))


def holds_any(numbers: Collection[int]) -> RowTest:
    """Return a test that finds lists that hold any of some numbers."""
    known = numpy.array([n for n in sorted(numbers) if _LEAST <= n <= _GREATEST], numpy.int64)

    def test(values: Any) -> NDArray[numpy.bool_]:
        bounds = bounds_of(values)
        places = numpy.flatnonzero(numpy.isin(numbers_of(elements_of(values)), known))
        made = numpy.zeros(len(values), dtype=numpy.bool_)
        made[numpy.searchsorted(bounds - bounds[0], places, side="right") - 1] = True
        return made

    return test


def kept_contents(path: Path) -> Iterator[bytes]:
    """Yield the content digests of all kept rows, some thousands at a time end to end.

    Raises:
        DataError: the file is not a ledger, or it is broken.
        ValueError: a kept row has no content digest, so nobody has verified this ledger.
    """
    with _opened(path) as file:
        for batch in file.iter_batches(_BATCH_ROWS, columns=["content_digest", "lines"]):
            is_kept = numpy.diff(bounds_of(batch.column("lines"))) > 0
            if is_kept.any():
                yield digests_of(batch.column("content_digest"), is_kept).tobytes()


def _rows_at(file: Any, group: int, found: dict[int, NDArray[Any]]) -> Iterator[Any]:
    """Yield the rows of a group that are at places of its batches."""
    last = max(found)
    for number, batch in enumerate(_batches(file, group, LEDGER.names)):
        if number in found:
            for place in found[number].tolist():
                yield from batch.slice(place, 1).to_pylist()
        if number == last:
            return


def _batches(file: Any, group: int, names: list[str]) -> Iterator[Any]:
    yield from file.iter_batches(_BATCH_ROWS, row_groups=[group], columns=names)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        with open_regular(path) as opened, parquet.ParquetFile(opened) as file:
            if file.schema_arrow.names != LEDGER.names:
                raise DataError(Problem(str(path), "is not a ledger: it has other columns"))
            yield file
    except (arrow.ArrowException, OSError) as error:
        told = f"cannot be read as a ledger ({error}); compose again"
        raise DataError(Problem(str(path), told)) from error

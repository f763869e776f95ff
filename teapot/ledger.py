"""The ledger: one row per row read, with its fate; spooled while reading, finished after the plan.

Its digest is of its rows, as canonical JSON lines in ledger order, because Parquet bytes vary with
the library that writes them. `schemas/ledger.schema.json` describes a row.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Collection, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy
import pyarrow as arrow
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyarrow import parquet

from teapot import columns
from teapot.errors import DataError, Problem
from teapot.fates import Fates
from teapot.files import open_regular
from teapot.index import RecordIndex
from teapot.ledgercolumns import LEDGER
from teapot.ledgerdigest import LedgerDigest
from teapot.mixing import Mix
from teapot.model.record import Dropped
from teapot.parts import Part, Repaired

__all__ = [
    "LEDGER", "LedgerFacts", "LedgerSpool", "RowTest", "begins_with", "find_rows", "holds_any",
    "is_text", "read_ledger",
]  # fmt: skip

RowTest = Callable[[Any], NDArray[numpy.bool_]]
"""Tells, from the values of a column, which rows are wanted."""


_BATCH_ROWS = 8192
_GROUP_ROWS = 1 << 16
_WRITING = {"use_dictionary": ["module", "source", "license", "fate", "reason", "detail"]}
_TEXTS = arrow.schema(
    [
        ("id", arrow.string()),
        ("reason", arrow.string()),
        ("detail", arrow.string()),
        ("repairs", arrow.list_(arrow.string())),
        ("digest_before", arrow.string()),
    ]
)


_Told = tuple[str | None, str | None, tuple[str, ...], str | None]


@dataclass(frozen=True, slots=True)
class LedgerFacts:
    """How many rows the ledger has, and the SHA-256 of them."""

    rows: int
    rows_sha256: str


class LedgerSpool:
    """Keeps of pass one what the index has no room for, in a file without a name in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  # see close
        self._stream = arrow.ipc.new_stream(self._file, _TEXTS)

    def add(self, part: Part) -> None:
        """Append what became of the rows of a part; whether one is drawn is not known yet."""
        self._stream.write_batch(arrow.record_batch(_texts(part), schema=_TEXTS))

    def finish(self, path: Path, index: RecordIndex, mix: Mix) -> LedgerFacts:
        """Write the ledger to `path` and return its digest; the spool is used up."""
        self._stream.close()
        self._file.seek(0)
        digest, rows = LedgerDigest(LEDGER.names), 0
        with (
            closing(Fates(index, mix, self._folder)) as fates,
            parquet.ParquetWriter(path, LEDGER, compression="zstd", **_WRITING) as writer,
        ):
            waiting: list[Any] = []
            for texts in arrow.ipc.open_stream(self._file):
                waiting.append(fates.finish(rows, texts))
                digest.update(waiting[-1])
                rows += len(texts)
                if sum(map(len, waiting)) >= _GROUP_ROWS:
                    writer.write_table(arrow.Table.from_batches(waiting))
                    waiting = []
            if waiting:
                writer.write_table(arrow.Table.from_batches(waiting))
        return LedgerFacts(rows, digest.hexdigest())

    def close(self) -> None:
        """Close the file, which removes it."""
        self._file.close()


def _texts(part: Part) -> list[Any]:
    """Return the columns of `_TEXTS` for the rows of a part."""
    ids, rows = part.ids, len(part.entries)
    first = columns.strings(ids.listed()) if ids.others else columns.texts(ids.scanned, ids.bounds)
    if not part.odd:
        none = arrow.nulls(rows, arrow.string())
        return [first, none, none, columns.empty_lists(rows), none]
    told = [_told(part.odd.get(place)) for place in range(rows)]
    reasons, details, repairs, before = zip(*told, strict=True)
    return [
        first, columns.strings(reasons), columns.strings(details), columns.string_lists(repairs),
        columns.strings(before),
    ]  # fmt: skip


def _told(odd: Dropped | Repaired | None) -> _Told:
    """Return reason, detail, repairs and digest before them of one row."""
    if isinstance(odd, Dropped):
        return odd.reason, odd.detail, (), None
    if isinstance(odd, Repaired):
        return None, None, odd.repairs, odd.digest_before.hex()
    return None, None, (), None


def read_ledger(path: Path) -> Iterator[list[dict[str, Any]]]:
    """Yield the rows of a ledger in batches, in order.

    Raises:
        DataError: the file is not a ledger, or it is broken.
    """
    with _opened(path) as file:
        for batch in file.iter_batches(batch_size=_BATCH_ROWS):
            yield batch.to_pylist()


def find_rows(path: Path, column: str, wanted: RowTest) -> Iterator[dict[str, Any]]:
    """Yield the rows of a ledger that a test on one column finds, in order.

    The other columns are read only where a row was found.

    Raises:
        DataError: the file is not a ledger, or it is broken.
    """
    with _opened(path) as file:
        for group in range(file.num_row_groups):
            values = file.read_row_group(group, columns=[column]).column(column)
            places = wanted(values.combine_chunks()).nonzero()[0]
            if len(places):
                rows = file.read_row_group(group)
                for place in places.tolist():
                    yield rows.slice(place, 1).to_pylist()[0]


def is_text(text: str) -> RowTest:
    """Return a test that finds one text."""
    return lambda values: columns.truths(pc.equal(values, columns.strings([text])[0]))


def begins_with(text: str) -> RowTest:
    """Return a test that finds texts by how they begin."""
    return lambda values: columns.truths(pc.starts_with(values, text))


def holds_any(numbers: Collection[int]) -> RowTest:
    """Return a test that finds lists that hold any of some numbers."""
    known = numpy.array([number for number in sorted(numbers) if number < 1 << 63], numpy.int64)

    def test(values: Any) -> NDArray[numpy.bool_]:
        found = numpy.isin(values.flatten().to_numpy(), known)
        made = numpy.zeros(len(values), dtype=numpy.bool_)
        made[values.value_parent_indices().to_numpy()[found]] = True
        return made

    return test


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

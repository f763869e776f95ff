"""The rows of a ledger as rows of fixed size, for comparison, once their digest is what was stated.

A ledger is read once: what is hashed is what is given out. Whoever uses the rows waits for the end,
where another digest than the stated one is an error. Texts do not stay in memory: ids go to a file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyarrow import parquet

from teapot import columns
from teapot.batches import hash_lines
from teapot.canonical import loads
from teapot.datafile import open_beside
from teapot.errors import DataError, DigestError, Problem
from teapot.index import DIGEST
from teapot.ledgercolumns import LEDGER, REPEATED
from teapot.ledgerdigest import (
    LedgerDigest,
    bounds_of,
    column_lines,
    digests_of,
    numbers_of,
    places_of,
)
from teapot.ledgerguard import BATCH_ROWS, UNREADABLE, refuse_nulls, refuse_other_sizes
from teapot.rowpairs import CONTENT, KEY, ROW, Rows

_ID_DIGITS = 16
"""How much of its content's digest the id has that Teapot gives to a row without one."""
_LF = 10

Codes = Mapping[tuple[str, str], tuple[int, int]]
"""The numbers of a source and of its module, by the names of both."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StatedLedger:
    """A ledger, and what its manifest states of it: rows, their digest, and lines of the data."""

    path: Path
    rows: int
    rows_sha256: str
    lines: int


@dataclass(slots=True)
class RowReader:
    """Gives the rows of one ledger; `ids` is the file that keeps their ids as lines of JSON."""

    stated: StatedLedger
    codes: Codes
    side: int
    ids: BinaryIO
    _written: int = field(default=0, init=False)
    _rows: int = field(default=0, init=False)

    def read(self, take: Callable[[Rows], None]) -> None:
        """Hand over all rows, some thousands at a time.

        Raises:
            DataError: the file is no ledger, or has another size or another source than stated.
            DigestError: its rows are not those that the manifest states; do not use them.
        """
        stated, digest = self.stated, LedgerDigest(LEDGER.names)
        try:
            with open_beside(stated.path) as opened, parquet.ParquetFile(opened) as found:
                refuse_other_sizes(found, stated.path, stated.rows, stated.lines)
                metadata = found.metadata
                file = parquet.ParquetFile(opened, metadata=metadata, read_dictionary=REPEATED)
                for batch in _batches(file):
                    batch.validate(full=True)
                    refuse_nulls(batch)
                    digest.update(batch)
                    take(self._rows_of(batch))
        except UNREADABLE as error:
            told = f"cannot be read as a ledger: {' '.join(str(error).split())[:200]}"
            raise DataError(Problem(str(stated.path), told)) from error
        if digest.hexdigest() != stated.rows_sha256:
            told = (
                f"is not the ledger that its manifest states: its rows have sha256 "
                f"{digest.hexdigest()}, stated is {stated.rows_sha256}; nothing was compared, run "
                f"`teapot verify`"
            )
            raise DigestError(Problem(str(stated.path), told))

    def id_at(self, place: int) -> str | None:
        """Return the id that begins at a place of the file of ids."""
        self.ids.seek(place)
        found = loads(self.ids.readline().removesuffix(b"\n"))
        return found if isinstance(found, str) else None

    def _rows_of(self, batch: Any) -> Rows:
        made = numpy.zeros(len(batch), dtype=ROW)
        if not len(batch):
            return made
        ids = column_lines(batch.column("id"))
        has_content = _is_valid(batch.column("content_digest"))
        contents = _contents(batch, has_content)
        is_named = _is_named(batch)
        keys = numpy.where(is_named[:, None], _words(hash_lines(ids)), contents)
        for number, name in enumerate(KEY):
            made[name] = keys[:, number]
        for number, name in enumerate(CONTENT):
            made[name] = contents[:, number]
        made["has_content"], made["is_named"], made["side"] = has_content, is_named, self.side
        made["text"] = self._kept(ids)
        made["place"] = numpy.arange(self._rows, self._rows + len(batch))
        made["row"] = numbers_of(batch.column("row"))
        made["license"] = _words(hash_lines(column_lines(batch.column("license"))))[:, 0]
        made["lines"] = numpy.diff(bounds_of(batch.column("lines")))
        made["module"], made["source"] = self._numbers(batch)
        self._rows += len(batch)
        return made

    def _kept(self, ids: bytes) -> NDArray[numpy.int64]:
        """Write ids to their file, and return where each begins."""
        ends = numpy.flatnonzero(numpy.frombuffer(ids, dtype=numpy.uint8) == _LF) + 1
        starts = numpy.concatenate(([0], ends[:-1])) + self._written
        self.ids.write(ids)
        self._written += len(ids)
        return starts

    def _numbers(self, batch: Any) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return the numbers of module and source of each row; another source raises ValueError."""
        module, source = batch.column("module"), batch.column("source")
        width = len(source.dictionary)
        both = places_of(module).astype(numpy.int64) * width + places_of(source)
        known, which = numpy.unique(both, return_inverse=True)
        numbers = []
        for pair in known.tolist():
            name = module.dictionary[pair // width].as_py(), source.dictionary[pair % width].as_py()
            if name not in self.codes:
                raise ValueError(f"a row is of {name[0]} {name[1]}, which is no source of the mix")
            numbers.append(self.codes[name])
        modules, sources = numpy.array(numbers, dtype=numpy.uint32)[which].T
        return modules, sources


def _batches(file: Any) -> Iterator[Any]:
    """Yield a ledger's batches, group by group.

    Asked for all groups at once, pyarrow keeps what it has read of them to the end (seen in 26.0).
    """
    for group in range(file.num_row_groups):
        yield from file.iter_batches(BATCH_ROWS, row_groups=[group], use_threads=False)


def _contents(batch: Any, has_content: NDArray[numpy.bool_]) -> NDArray[numpy.uint64]:
    """Return the content digests; of a row without one, the digest of what is wrong with it."""
    made = _words(hash_lines(column_lines(batch.column("detail")))).copy()
    if has_content.any():
        digests = digests_of(batch.column("content_digest"), has_content)
        made[has_content] = _words(digests.tobytes())
    return made


def _words(digests: bytes) -> NDArray[numpy.uint64]:
    """Return digests that lie end to end as four numbers each."""
    return numpy.frombuffer(digests, dtype="<u8").reshape(-1, DIGEST.itemsize // 8)


def _is_valid(column: Any) -> NDArray[numpy.bool_]:
    return columns.truths(column.is_valid())


def _is_named(batch: Any) -> NDArray[numpy.bool_]:
    """Tell which rows brought an id, where others have the one that Teapot makes or none."""
    ids, source = batch.column("id"), batch.column("source").dictionary_decode()
    start = pc.utf8_slice_codeunits(batch.column("content_digest"), 0, _ID_DIGITS)
    dash = columns.strings(["-"])[0]
    is_made = columns.truths(pc.equal(ids, pc.binary_join_element_wise(source, start, dash)))
    return _is_valid(ids) & ~is_made

"""Epochs with an order of their own: which records each has, and how often, from ranks alone.

A module that gives L lines an epoch has an endless sequence: its records by the draw rank of their
copy 0, then all of them again by that of copy 1, and so on. The first L are those of epoch 1, the
next L those of epoch 2. So over all epochs no record is used more than one time more often than
another of its module. Within an epoch lines go by the order rank of record and copy. Both ranks are
those that `mixing` draws and sorts by, so epoch 1 is the mix as it is where epochs have no orders.

The data file holds each record that some epoch uses once. What is needed of it is in
`UniqueRecords`, which a plan or a ledger can fill, so whoever has the ledger can make the orders.
They are made one epoch at a time; what grows with the lines lies in `scratch`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy
from numpy.typing import NDArray

from teapot.errors import DataError, Problem
from teapot.index import Numbers, RecordIndex, prefixes_of
from teapot.mixing import Mix, RecordLines, not_above, rank_order
from teapot.ordering import DRAW_LABEL, ORDER_LABEL, Ranker
from teapot.scratch import Rows, Spread, room

LINE = numpy.dtype("<u4")
"""A line of the data, from 0, as an order file has it."""
MAX_LINES = 1 << 32
_RECORD = numpy.dtype([("content", "u1", (32,)), ("occurrence", "<u4"), ("line", LINE)])
_RANK = numpy.dtype([("key", "<u8"), ("rest", "V24")])
_EXAMPLE = numpy.dtype([*_RANK.descr, ("line", LINE)])
_CHUNK_RECORDS = 1 << 15
_KEY_BYTES = 8


class UniqueRecords:
    """The records of a data file, each with its line, module by module."""

    def __init__(self, total: int, folder: Path | None = None) -> None:
        """Have room for so many records; in `folder` lies what is too much for memory.

        Raises:
            DataError: they are more than an order file can number.
        """
        if total > MAX_LINES:
            told = f"{total:,} lines are more than the {MAX_LINES:,} that an order can number"
            raise DataError(Problem("epochs.orders", told))
        self.total, self.folder = total, folder
        self.spans: dict[str, range] = {}
        self._rows = room(total, _RECORD, folder)
        self._filled = 0

    @classmethod
    def of_mix(cls, index: RecordIndex, mix: Mix, folder: Path | None = None) -> UniqueRecords:
        """Return the records of a mix in which none stands twice."""
        made = cls(len(mix.order), folder)
        with closing(RecordLines(mix, folder)) as lines_of:
            for module, span in index.modules():
                for start, entries in index.chunks(span):
                    rows = slice(start, start + len(entries))
                    lines, _ = lines_of.of(mix.copies[rows])
                    kept = numpy.flatnonzero(mix.copies[rows])
                    occurrences = mix.occurrences[rows][kept]
                    made.add(module, entries["content"][kept], occurrences, lines)
        return made

    def add(
        self, module: str, contents: NDArray[numpy.uint8], occurrences: Numbers, lines: Numbers
    ) -> None:
        """Take records of a module; those of one module follow one another.

        Raises:
            DataError: they do not, or are more than there is room for.
        """
        first, stop = self._filled, self._filled + len(lines)
        span = self.spans.get(module, range(first, first))
        if span.stop != first or stop > len(self._rows):
            raise DataError(Problem(module, "its records are not those of the data, in one run"))
        rows = self._rows[first:stop]
        rows["content"], rows["occurrence"], rows["line"] = contents, occurrences, lines
        self.spans[module] = range(span.start, stop)
        self._filled = stop

    def chunks(self, module: str) -> Iterator[Rows]:
        """Yield the records of a module, some thousands at a time."""
        span = self.spans[module]
        for start in range(span.start, span.stop, _CHUNK_RECORDS):
            yield self._rows[start : min(start + _CHUNK_RECORDS, span.stop)]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Part:
    """What an epoch has of one copy of a module's records: places `low` to `high` by draw rank."""

    module: str
    copy: int
    low: int
    high: int


class EpochOrders:
    """The orders of `count` epochs over `records`; `lines` are each module's in one epoch."""

    def __init__(
        self, records: UniqueRecords, lines: Mapping[str, int], *, count: int, seed: int
    ) -> None:
        self.count = count
        self.examples = sum(lines.values())
        self._records, self._lines, self._seed = records, lines, seed
        self._cutoffs: dict[tuple[str, int], dict[int, bytes]] = {}

    def order(self, epoch: int) -> Iterator[Numbers]:
        """Yield the lines of the data, from 0, in the order of an epoch, from 0; block by block."""
        with closing(Spread(_EXAMPLE, self.examples, self._records.folder)) as spread:
            for part in self._parts(epoch):
                for examples in self._examples(part):
                    spread.add(examples)
            for examples in spread.buckets():
                yield examples["line"][_rank_order(examples)]

    def _parts(self, epoch: int) -> Iterator[_Part]:
        for module, span in self._records.spans.items():
            size, lines = len(span), self._lines[module]
            first, stop = epoch * lines, (epoch + 1) * lines
            for copy in range(first // size, -(-stop // size)) if size else ():
                low, high = max(first - copy * size, 0), min(stop - copy * size, size)
                yield _Part(module=module, copy=copy, low=low, high=high)

    def _examples(self, part: _Part) -> Iterator[Rows]:
        """Yield the examples of a part, unsorted."""
        ranker = Ranker(ORDER_LABEL, self._seed, part.module)
        low, high = (self._cutoff(part, place) for place in (part.low, part.high))
        for records in self._records.chunks(part.module):
            chosen = records
            if low is not None or high is not None:
                drawn = self._draw_ranks(part.module, part.copy, records)
                is_in = numpy.ones(len(records), dtype=bool)
                if high is not None:
                    is_in &= not_above(drawn, high)
                if low is not None:
                    is_in &= ~not_above(drawn, low)
                chosen = records[is_in]
            ranks = ranker.ranks(chosen["content"], chosen["occurrence"], part.copy)
            examples = _keyed(ranks, _EXAMPLE)
            examples["line"] = chosen["line"]
            yield examples

    def _cutoff(self, part: _Part, place: int) -> bytes | None:
        """Return the draw rank of the last record before a place, None at an end of the copy."""
        if place in (0, len(self._records.spans[part.module])):
            return None
        key = part.module, part.copy
        if key not in self._cutoffs:
            self._cutoffs[key] = self._ranks_before(*key, self._places(*key))
        return self._cutoffs[key][place]

    def _places(self, module: str, copy: int) -> list[int]:
        """Return where epochs meet within a copy, in ascending order."""
        size, lines = len(self._records.spans[module]), self._lines[module]
        first = copy * size // lines + 1
        last = min(-(-(copy + 1) * size // lines) - 1, self.count)
        return [epoch * lines - copy * size for epoch in range(first, last + 1)]

    def _ranks_before(self, module: str, copy: int, places: list[int]) -> dict[int, bytes]:
        """Return the draw rank of the last record before each place of a copy."""
        found: dict[int, bytes] = {}
        passed, size = 0, len(self._records.spans[module])
        with closing(Spread(_RANK, size, self._records.folder)) as spread:
            for records in self._records.chunks(module):
                spread.add(_keyed(self._draw_ranks(module, copy, records), _RANK))
            for ranks in spread.buckets():
                order = _rank_order(ranks)
                for place in places[len(found) :]:
                    if place > passed + len(ranks):
                        break
                    found[place] = _whole_rank(ranks[order[place - passed - 1]])
                passed += len(ranks)
        return found

    def _draw_ranks(self, module: str, copy: int, records: Rows) -> NDArray[numpy.uint8]:
        ranker = Ranker(DRAW_LABEL, self._seed, module)
        return ranker.ranks(records["content"], records["occurrence"], copy)


def _keyed(ranks: NDArray[numpy.uint8], kind: numpy.dtype[numpy.void]) -> Rows:
    """Return rows that have ranks, shape (n, 32), as a key and what follows it."""
    rows = numpy.empty(len(ranks), dtype=kind)
    rows["key"] = prefixes_of(ranks)
    rows["rest"] = numpy.ascontiguousarray(ranks[:, _KEY_BYTES:]).view("V24").reshape(-1)
    return rows


def _whole_rank(row: Rows) -> bytes:
    return int(row["key"]).to_bytes(_KEY_BYTES, "big") + row["rest"].tobytes()


def _rank_order(rows: Rows) -> Numbers:
    return rank_order(rows["key"], lambda place: rows["rest"][place].tobytes())

"""Two ledgers compared row by row, in memory that does not grow with them.

A row that brought an id is the row of that id in the same module; of several, the one of the same
content first. Without an id it is the row of the same content, and else the one of the same number
in the same source. Rows of both sides are spread over files by what they could pair by, and paired
file by file.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy

from teapot.buckets import Buckets
from teapot.ledgerrows import RowReader, StatedLedger
from teapot.model.difference import ROW_COUNTS, ROW_KINDS, RowChanges, RowExample, RowFound
from teapot.rowpairs import CONTENT, KEY, ROW, Rows, first_of_each, paired

_BUCKET_ROWS = 1 << 16
_MAX_BITS = 7  # each number of buckets is as many open files, of which some systems allow 256
_MIXED = numpy.uint64(0x9E3779B97F4A7C15)
_PAIR = numpy.dtype([("a", ROW), ("b", ROW)])

Sources = Sequence[tuple[str, str]]


def compare_ledgers(
    a: StatedLedger, b: StatedLedger, sources: Sources, examples: int
) -> dict[str, RowChanges]:
    """Return how the rows of each module differ; `sources` are all of both, with their modules.

    Raises:
        DataError: a file is no ledger.
        DigestError: one is not the ledger that its manifest states.
    """
    ordered = sorted(set(sources))
    modules = sorted({module for module, _ in ordered})
    numbers = {name: number for number, name in enumerate(modules)}
    codes = {name: (numbers[name[0]], code) for code, name in enumerate(ordered)}
    with ExitStack() as opened:
        bits = min(((a.rows + b.rows) // _BUCKET_ROWS).bit_length(), _MAX_BITS)
        few = min(bits, _MAX_BITS - 1)
        first, second = (opened.enter_context(Buckets(1 << number)) for number in (bits, few))
        readers = []
        for side, stated in enumerate((a, b)):
            ids = opened.enter_context(tempfile.TemporaryFile())
            readers.append(RowReader(stated, codes, side, ids))
            readers[-1].read(lambda rows: _spread(first, rows, rows["key0"], bits))
        tally = _Tally(len(modules), examples)
        for rows in _each(first):
            _compare(rows, tally, second, few)
        for rows in _each(second):
            _by_row_number(rows, tally)
        told = _Told(readers, [source for _, source in ordered])
        return {name: tally.changes(code, told) for code, name in enumerate(modules)}


def _spread(buckets: Buckets, rows: Rows, keys: Any, bits: int) -> None:
    if len(rows):
        numbers = keys >> numpy.uint64(64 - bits) if bits else numpy.zeros_like(keys)
        buckets.add(numbers.astype(numpy.uint8), rows)


def _each(buckets: Buckets) -> Iterator[Rows]:
    for number in range(len(buckets)):
        data = buckets.path(number).read_bytes()
        if data:
            yield numpy.frombuffer(data, dtype=ROW)


def _compare(rows: Rows, tally: _Tally, unnamed: Buckets, bits: int) -> None:
    """Count the rows of one file, but those without an id whose content is on one side only."""
    same_a, same_b, rest = paired(rows, ("module", "is_named", *KEY, *CONTENT))
    tally.add_same(same_a, same_b)
    is_named = rest["is_named"].astype(numpy.bool_)
    changed_a, changed_b, alone = paired(rest[is_named], ("module", *KEY))
    tally.add_changed(changed_a, changed_b)
    tally.add_alone(alone)
    left = rest[~is_named]
    numbers = (left["row"].astype(numpy.uint64) + left["source"].astype(numpy.uint64)) * _MIXED
    _spread(unnamed, left, numbers, bits)


def _by_row_number(rows: Rows, tally: _Tally) -> None:
    changed_a, changed_b, alone = paired(rows, ("source", "row"))
    tally.add_changed(changed_a, changed_b)
    tally.add_alone(alone)


@dataclass(frozen=True, slots=True)
class _Told:
    """Turns an example back into words."""

    readers: Sequence[RowReader]
    sources: Sequence[str]

    def example(self, kind: str, pair: Any) -> RowExample:
        """Return one example; what was added or removed is on one side only."""
        return RowExample(
            a=None if kind == "added" else self._row(pair["a"], 0),
            b=None if kind == "removed" else self._row(pair["b"], 1),
        )

    def _row(self, row: Any, side: int) -> RowFound:
        content = b"".join(row[name].tobytes() for name in CONTENT)
        return RowFound(
            id=self.readers[side].id_at(int(row["text"])), source=self.sources[row["source"]],
            row=int(row["row"]), content_sha256=content.hex() if row["has_content"] else None,
            lines=int(row["lines"]),
        )  # fmt: skip


class _Tally:
    """Counts of each kind of change by module, and the first examples of each."""

    def __init__(self, modules: int, examples: int) -> None:
        self._counts: Mapping[str, Any] = {
            name: numpy.zeros(modules, dtype=numpy.int64) for name in ROW_COUNTS
        }
        self._examples = {name: numpy.empty(0, dtype=_PAIR) for name in ROW_KINDS}
        self._shown = examples

    def add_same(self, a: Rows, b: Rows) -> None:
        """Count pairs of equal content."""
        self._count("same", a)
        self._add_both(a, b)

    def add_changed(self, a: Rows, b: Rows) -> None:
        """Count pairs of other content."""
        self._add("changed", a, b)
        self._add_both(a, b)

    def add_alone(self, rows: Rows) -> None:
        """Count rows that only one side has."""
        is_second = rows["side"].astype(numpy.bool_)
        for name, alone in (("removed", rows[~is_second]), ("added", rows[is_second])):
            self._add(name, alone, alone)

    def changes(self, module: int, told: _Told) -> RowChanges:
        """Return what was counted of one module."""
        examples = {}
        for kind, pairs in self._examples.items():
            of_module = pairs[pairs["b"]["module"] == module]
            if len(of_module):
                examples[kind] = tuple(told.example(kind, pair) for pair in of_module)
        counts = {name: int(count[module]) for name, count in self._counts.items()}
        return RowChanges(**counts, examples=examples)

    def _add_both(self, a: Rows, b: Rows) -> None:
        """Count what became of the rows that are on both sides."""
        is_in_a, is_in_b = a["lines"] > 0, b["lines"] > 0
        kinds = {
            "entered": ~is_in_a & is_in_b,
            "left": is_in_a & ~is_in_b,
            "recounted": is_in_a & is_in_b & (a["lines"] != b["lines"]),
            "relicensed": a["license"] != b["license"],
        }
        for name, are in kinds.items():
            if are.any():
                self._add(name, a[are], b[are])

    def _count(self, name: str, rows: Rows) -> None:
        counts = self._counts[name]
        counts += numpy.bincount(rows["module"], minlength=len(counts))

    def _add(self, name: str, a: Rows, b: Rows) -> None:
        """Count pairs, and keep those that come first, whichever side is named first."""
        self._count(name, b)
        if not (len(a) and self._shown):
            return
        pairs = numpy.empty(len(a), dtype=_PAIR)
        pairs["a"], pairs["b"] = a, b
        pairs = numpy.concatenate((self._examples[name], pairs))
        keys = [pairs["a"][name] + pairs["b"][name] for name in ("place", *KEY)]
        self._examples[name] = pairs[first_of_each(keys, pairs["b"]["module"], self._shown)]

"""One walk over a ledger: what its rows hash to, what they count, and which line each claims.

A ledger is read before anything vouches for its bytes (its digest is of its rows), so a reader of
Parquet stands open to whoever wrote the file. What the file claims of its own size is checked
first, and `teapot.auditing` gives a large ledger a process of its own. Memory does not grow with
the rows: claims go to a scratch file, one 32-byte slot for each line.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy
from numpy.typing import NDArray
from pyarrow import parquet

from teapot.claims import Claims, held_beside
from teapot.contents import hash_contents
from teapot.datafile import open_beside
from teapot.errors import DataError, Problem
from teapot.heldaudit import HeldAudit
from teapot.ledgercolumns import HELD_OUT, LEDGER, NOT_DRAWN, REPEATED
from teapot.ledgerdigest import (
    LedgerDigest,
    bounds_of,
    digests_of,
    elements_of,
    is_there,
    numbers_of,
    places_of,
)
from teapot.ledgerguard import (
    BATCH_ROWS,
    UNREADABLE,
    refuse_nulls,
    refuse_other_sizes,
)
from teapot.model.ledgeraccount import LedgerAccount, ModuleAccount
from teapot.sorted_digests import DigestSorter

_TOLD = ("module", "source", "fate", "reason", "license")


def audit_ledger(path: Path, claimed: Path, rows: int, lines: int, held: int = 0) -> LedgerAccount:
    """Return the account of a ledger, its claims in `claimed`, and beside where rows are `held`.

    Raises:
        DataError: the file is missing, no ledger, or not of the stated number of rows.
    """
    try:
        with (
            closing(_Audit(claimed, rows, lines, held)) as audit,
            open_beside(path) as opened,
            parquet.ParquetFile(opened) as found,
        ):
            refuse_other_sizes(found, path, rows, lines)
            file = parquet.ParquetFile(opened, metadata=found.metadata, read_dictionary=REPEATED)
            for batch in file.iter_batches(batch_size=BATCH_ROWS, use_threads=False):
                batch.validate(full=True)
                audit.take(batch)
            return audit.account()
    except UNREADABLE as error:
        told = f"cannot be read as a ledger: {' '.join(str(error).split())[:200]}"
        raise DataError(Problem(str(path), told)) from error


@dataclass(slots=True)
class _Tally:
    read: int = 0
    kept: int = 0
    unused: int = 0
    lines: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    repaired: Counter[str] = field(default_factory=Counter)


class _Audit:
    def __init__(self, claimed: Path, rows: int, lines: int, held: int) -> None:
        self._digest = LedgerDigest(LEDGER.names)
        self._rows = 0
        self._claims = Claims(claimed, lines)
        self._contents = DigestSorter(lines)
        self._usable = DigestSorter(rows)
        self._held = HeldAudit(held_beside(claimed), held) if held else None
        self._modules: dict[str, _Tally] = {}
        self._sources: Counter[tuple[str, str]] = Counter()
        self._licenses: Counter[str] = Counter()
        self._parts: Counter[tuple[str, str, str]] = Counter()
        self._last = ("", "", 0)
        self._faults: list[str] = []

    def take(self, batch: Any) -> None:
        """Count a batch of rows; where a ledger has no null, one raises ValueError."""
        if not batch.num_rows:
            return
        refuse_nulls(batch)
        self._digest.update(batch)
        self._rows += batch.num_rows
        columns = {name: batch.column(name) for name in LEDGER.names}
        lengths = numpy.diff(bounds_of(columns["lines"]))
        self._tally(columns, lengths)
        self._check_order(columns)
        is_kept = lengths > 0
        is_usable = is_kept | _are_there(columns["record_digest"])
        contents = digests_of(columns["content_digest"], is_usable)
        self._usable.add(contents.tobytes())
        if is_kept.any():
            records = digests_of(columns["record_digest"], is_kept)
            self._contents.add(contents[is_kept[is_usable]].tobytes())
            claims = numpy.repeat(records, lengths[is_kept])
            self._claims.put(numbers_of(elements_of(columns["lines"])), claims)
        if self._held is not None and (is_held := _is_held(columns)).any():
            fault = self._held.take(columns, is_held)
            self._faults += [] if fault is None else [fault]

    def account(self) -> LedgerAccount:
        """Return what was counted."""
        self._claims.finish()
        contents = hash_contents(self._contents.blocks())
        groups, repeated = self._usable.repeats()
        return LedgerAccount(
            rows=self._rows,
            rows_sha256=self._digest.hexdigest(),
            modules={name: _account(tally) for name, tally in self._modules.items()},
            sources=dict(self._sources),
            licenses=dict(self._licenses),
            parts={part: lines for part, lines in self._parts.items() if lines},
            claims=self._claims.made,
            contents=contents.count,
            contents_root=contents.merkle_root,
            duplicate_groups=groups,
            duplicate_records=repeated,
            faults=tuple(self._faults),
            held=None if self._held is None else self._held.account(self._contents.blocks()),
        )

    def close(self) -> None:
        """Remove the scratch files that nobody else reads."""
        self._claims.__exit__(None, None, None)
        self._contents.__exit__(None, None, None)
        self._usable.__exit__(None, None, None)
        if self._held is not None:
            self._held.close()

    def _tally(self, columns: dict[str, Any], lengths: NDArray[numpy.int32]) -> None:
        words = [_words(columns[name]) for name in _TOLD]
        for first, rows, lines in _groups([places for places, _ in words], lengths):
            told = (texts[places[first]] for places, texts in words)
            group = dict(zip(_TOLD, told, strict=True))
            tally = self._modules.setdefault(group["module"], _Tally())
            tally.read += rows
            tally.lines += lines
            self._sources[group["module"], group["source"]] += rows
            self._licenses[group["license"]] += lines
            self._parts[group["module"], group["source"], group["license"]] += lines
            self._count_fate(tally, group, rows)
        repairs = numpy.diff(bounds_of(columns["repairs"]))
        for row in numpy.flatnonzero(repairs).tolist():
            tally = self._modules[columns["module"][row].as_py()]
            tally.repaired.update(columns["repairs"][row].as_py())
        fates, texts = words[_TOLD.index("fate")]
        is_kept = numpy.array([text == "kept" for text in texts], dtype=numpy.bool_)[fates]
        if (is_kept != (lengths > 0)).any():
            self._faults.append("a row is kept on no line, or dropped and yet on one")

    def _count_fate(self, tally: _Tally, group: dict[str, Any], rows: int) -> None:
        fate, reason = group["fate"], group["reason"]
        if fate == "kept" and reason is None:
            tally.kept += rows
        elif fate == "dropped" and reason == NOT_DRAWN:
            tally.unused += rows
        elif fate == "dropped" and reason is not None:
            tally.dropped[reason] += rows
        else:
            self._faults.append(f"a row has the fate {fate!r} for the reason {reason!r}")

    def _check_order(self, columns: dict[str, Any]) -> None:
        """Note rows that do not stand in order: by module, source and row, each row once."""
        modules, sources = columns["module"], columns["source"]
        rows = numbers_of(columns["row"])
        begins = numpy.ones(len(rows), dtype=numpy.bool_)
        begins[1:] = _changes(places_of(modules)) | _changes(places_of(sources))
        is_back = numpy.zeros(len(rows), dtype=numpy.bool_)
        is_back[1:] = ~begins[1:] & (numpy.diff(rows) <= 0)
        last = self._last
        for place in numpy.flatnonzero(begins).tolist():
            if place:
                last = (modules[place - 1].as_py(), sources[place - 1].as_py(), rows[place - 1])
            is_back[place] = (modules[place].as_py(), sources[place].as_py(), rows[place]) <= last
        for place in numpy.flatnonzero(is_back)[:1].tolist():
            told = f"row {rows[place]} of {modules[place]} {sources[place]} is out of order"
            self._faults.append(told)
        self._last = (modules[-1].as_py(), sources[-1].as_py(), int(rows[-1]))


def _is_held(columns: dict[str, Any]) -> NDArray[numpy.bool_]:
    places, texts = _words(columns["reason"])
    held: NDArray[numpy.bool_] = numpy.array([text == HELD_OUT for text in texts])[places]
    return held


def _are_there(column: Any) -> NDArray[numpy.bool_]:
    """Tell which values of a column are not null."""
    there = is_there(column)
    are: NDArray[numpy.bool_] = (
        numpy.ones(len(column), dtype=numpy.bool_) if there is None else there != 0
    )
    return are


def _changes(places: NDArray[numpy.int32]) -> NDArray[numpy.bool_]:
    """Tell for each value but the first whether it differs from the one before, shape (n - 1,)."""
    changes: NDArray[numpy.bool_] = places[1:] != places[:-1]
    return changes


def _words(column: Any) -> tuple[NDArray[numpy.int64], list[str | None]]:
    """Return a column as places in a list of its texts, in which a null is None."""
    places, there = places_of(column).astype(numpy.int64), is_there(column)
    if there is not None:
        places[there == 0] = -1
    if len(column.dictionary) < len(column):
        return places, [*column.dictionary.to_pylist(), None]  # the last is at -1, too
    used, places = numpy.unique(places, return_inverse=True)
    return places, [None if n < 0 else column.dictionary[n].as_py() for n in used.tolist()]


def _groups(
    columns: Sequence[NDArray[numpy.int64]], lengths: NDArray[numpy.int32]
) -> Iterator[tuple[int, int, int]]:
    """Yield, for rows alike in all columns, the first row, how many there are, and their lines."""
    keys = numpy.zeros(len(lengths), dtype=numpy.int64)
    for places in columns:
        if (places != places[0]).any():
            _, keys = numpy.unique(keys, return_inverse=True)  # small again: a key for each row
            keys = keys * (places.max() + 2) + places
    _, firsts, numbers = numpy.unique(keys, return_index=True, return_inverse=True)
    rows = numpy.bincount(numbers)
    lines = numpy.bincount(numbers, weights=lengths)
    for place in numpy.argsort(firsts).tolist():
        yield int(firsts[place]), int(rows[place]), int(lines[place])


def _account(tally: _Tally) -> ModuleAccount:
    return ModuleAccount(
        read=tally.read, kept=tally.kept, unused=tally.unused, lines=tally.lines,
        dropped=dict(sorted(tally.dropped.items())), repaired=dict(sorted(tally.repaired.items())),
    )  # fmt: skip

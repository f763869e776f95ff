"""One walk over a ledger: what its rows hash to, what they count, and which line each claims.

A ledger is read before anything vouches for its bytes (its digest is of its rows), so a reader of
Parquet stands open to whoever wrote the file. What the file claims of its own size is checked
first, and a large ledger is read in a process of its own, whose end is a fault and not a crash.
Memory does not grow with the rows: claims go to a scratch file, one 32-byte slot for each line.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy
import pyarrow as arrow
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyarrow import parquet

from teapot.claims import Claims
from teapot.contents import hash_contents
from teapot.datafile import open_beside
from teapot.errors import DataError, Problem
from teapot.index import DIGEST_BYTES
from teapot.ledger import LEDGER, NOT_DRAWN
from teapot.ledgerguard import (
    BATCH_ROWS,
    UNREADABLE,
    bounded,
    needs_own_process,
    refuse_nulls,
    refuse_other_sizes,
)
from teapot.ledgerlines import canonical_lines
from teapot.processes import OwnProcesses
from teapot.sorted_digests import DigestSorter

_HEX_DIGITS = numpy.full(256, 255, dtype=numpy.uint8)
_HEX_DIGITS[list(b"0123456789abcdef")] = range(16)


@dataclass(frozen=True, kw_only=True, slots=True)
class ModuleAccount:
    """What a ledger says of one module, by the words of the manifest."""

    read: int
    kept: int
    unused: int
    lines: int
    dropped: dict[str, int]
    repaired: dict[str, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class LedgerAccount:
    """What a ledger's rows are and sum to; `faults` are rows that contradict themselves."""

    rows: int
    rows_sha256: str
    modules: dict[str, ModuleAccount]
    sources: dict[tuple[str, str], int]
    licenses: dict[str, int]
    claims: int
    contents: int
    contents_root: str
    faults: tuple[str, ...]


@contextmanager
def auditing(
    path: Path, claimed: Path, *, rows: int, lines: int
) -> Iterator[Future[LedgerAccount]]:
    """Give the future account of a ledger, made beside other work where the ledger is large.

    `rows` and `lines` are what the manifest states. The digest that a ledger row claims for a line
    is put into the scratch file `claimed`.
    """
    if not needs_own_process(path):
        yield _done(path, claimed, rows, lines)
        return
    with OwnProcesses(1) as pool:
        yield pool.submit(bounded, audit_ledger, path, claimed, rows, lines)


def account_of(future: Future[LedgerAccount], path: Path) -> LedgerAccount:
    """Return an account when it is made.

    Raises:
        DataError: the file is no ledger, or its reader broke down over it.
    """
    try:
        return future.result()
    except BrokenProcessPool as error:
        told = "broke the process that read it as Parquet; it is damaged or made to do harm"
        raise DataError(Problem(str(path), told)) from error


def audit_ledger(path: Path, claimed: Path, rows: int, lines: int) -> LedgerAccount:
    """Return the account of a ledger, its claims in `claimed`.

    Raises:
        DataError: the file is missing, no ledger, or not of the stated number of rows.
    """
    try:
        with (
            closing(_Audit(claimed, lines)) as audit,
            open_beside(path) as opened,
            parquet.ParquetFile(opened) as file,
        ):
            refuse_other_sizes(file, path, rows, lines)
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
    def __init__(self, claimed: Path, lines: int) -> None:
        self._hash = sha256()
        self._rows = 0
        self._claims = Claims(claimed, lines)
        self._contents = DigestSorter(lines)
        self._modules: dict[str, _Tally] = {}
        self._sources: Counter[tuple[str, str]] = Counter()
        self._licenses: Counter[str] = Counter()
        self._last = ("", "", 0)
        self._faults: list[str] = []

    def take(self, batch: Any) -> None:
        """Count a batch of rows; where a ledger has no null, one raises ValueError."""
        if not batch.num_rows:
            return
        refuse_nulls(batch)
        self._hash.update(canonical_lines(batch))
        self._rows += batch.num_rows
        columns = {name: batch.column(name) for name in LEDGER.names}
        counts = numpy.diff(columns["lines"].offsets.to_numpy())
        self._tally(columns, counts)
        self._check_order(columns)
        kept = counts > 0
        if kept.any():
            kept_rows = arrow.array(kept)
            contents = _digests(columns["content_digest"].filter(kept_rows))
            records = _digests(columns["record_digest"].filter(kept_rows))
            self._contents.add(contents.tobytes())
            self._claims.put(_flat(columns["lines"]), numpy.repeat(records, counts[kept], axis=0))

    def account(self) -> LedgerAccount:
        """Return what was counted."""
        self._claims.flush()
        contents = hash_contents(self._contents.blocks())
        return LedgerAccount(
            rows=self._rows,
            rows_sha256=self._hash.hexdigest(),
            modules={name: _account(tally) for name, tally in self._modules.items()},
            sources=dict(self._sources),
            licenses=dict(self._licenses),
            claims=self._claims.made,
            contents=contents.count,
            contents_root=contents.merkle_root,
            faults=tuple(self._faults),
        )

    def close(self) -> None:
        """Remove the scratch files that nobody else reads."""
        self._claims.close()
        self._contents.__exit__(None, None, None)

    def _tally(self, columns: dict[str, Any], counts: NDArray[numpy.int64]) -> None:
        names = ("module", "source", "fate", "reason", "license")
        table = arrow.table([*(columns[n] for n in names), counts], [*names, "lines"])
        grouped = table.group_by(list(names)).aggregate([("lines", "sum"), ("lines", "count")])
        for group in grouped.to_pylist():
            module, rows, lines = group["module"], group["lines_count"], group["lines_sum"]
            tally = self._modules.setdefault(module, _Tally())
            tally.read += rows
            tally.lines += lines
            self._sources[module, group["source"]] += rows
            self._licenses[group["license"]] += lines
            self._count_fate(tally, group, rows)
        repaired = numpy.diff(columns["repairs"].offsets.to_numpy()) > 0
        for row in numpy.flatnonzero(repaired).tolist():
            tally = self._modules[columns["module"][row].as_py()]
            tally.repaired.update(columns["repairs"][row].as_py())
        kept = pc.equal(columns["fate"], "kept").to_numpy(zero_copy_only=False)
        if (kept != (counts > 0)).any():
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
        rows = columns["row"].to_numpy()
        begins = numpy.ones(len(rows), dtype=numpy.bool_)
        begins[1:] = _changes(modules) | _changes(sources)
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


def _changes(column: Any) -> NDArray[numpy.bool_]:
    """Tell for each value but the first whether it differs from the one before, shape (n - 1,)."""
    unlike = pc.not_equal(column[1:], column[:-1])
    changes: NDArray[numpy.bool_] = unlike.to_numpy(zero_copy_only=False).astype(numpy.bool_)
    return changes


def _done(path: Path, claimed: Path, rows: int, lines: int) -> Future[LedgerAccount]:
    future: Future[LedgerAccount] = Future()
    try:
        future.set_result(audit_ledger(path, claimed, rows, lines))
    except DataError as error:
        future.set_exception(error)
    return future


def _account(tally: _Tally) -> ModuleAccount:
    return ModuleAccount(
        read=tally.read, kept=tally.kept, unused=tally.unused, lines=tally.lines,
        dropped=dict(sorted(tally.dropped.items())), repaired=dict(sorted(tally.repaired.items())),
    )  # fmt: skip


def _digests(column: Any) -> NDArray[numpy.uint8]:
    """Return hexadecimal digests as bytes, shape (rows, 32); what is none raises ValueError."""
    sizes = pc.fill_null(pc.binary_length(column), 0).to_numpy()
    if (sizes == 2 * DIGEST_BYTES).all():
        _, offsets, data = column.buffers()
        first = numpy.frombuffer(offsets, dtype=numpy.int32)[column.offset]
        text = numpy.frombuffer(data, dtype=numpy.uint8)[first : first + int(sizes.sum())]
        digits = _HEX_DIGITS[text].reshape(-1, 2)
        if (digits < 16).all():
            digests = (digits[:, 0] << numpy.uint8(4)) | digits[:, 1]
            return digests.astype(numpy.uint8).reshape(-1, DIGEST_BYTES)
    raise ValueError("a kept row has no digest of 64 hexadecimal digits")


def _flat(column: Any) -> NDArray[numpy.int64]:
    lines: NDArray[numpy.int64] = column.flatten().to_numpy(zero_copy_only=False)
    return lines

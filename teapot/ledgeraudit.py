"""One walk over a ledger: what its rows hash to, what they count, and which line each claims.

A ledger is read before anything vouches for its bytes (its digest is of its rows), so a reader of
Parquet stands open to whoever wrote the file. What the file claims of its own size is checked
first, and `teapot.auditing` gives a large ledger a process of its own. Memory does not grow with
the rows: claims go to a scratch file, one 32-byte slot for each line.
"""

from __future__ import annotations

from binascii import hexlify, unhexlify
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
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
from teapot.fates import LEDGER, NOT_DRAWN
from teapot.index import DIGEST_BYTES
from teapot.ledgerdigest import LedgerDigest
from teapot.ledgerguard import (
    BATCH_ROWS,
    UNREADABLE,
    refuse_nulls,
    refuse_other_sizes,
)
from teapot.model.ledgeraccount import LedgerAccount, ModuleAccount
from teapot.sorted_digests import DigestSorter

_NO_DIGEST = "a kept row has no digest of 64 hexadecimal digits"


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
        self._digest = LedgerDigest(LEDGER.names)
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
        self._digest.update(batch)
        self._rows += batch.num_rows
        columns = {name: batch.column(name) for name in LEDGER.names}
        lengths = pc.list_value_length(columns["lines"])
        self._tally(columns, lengths)
        self._check_order(columns)
        kept = pc.greater(lengths, 0)
        if pc.any(kept).as_py():
            contents = _digests(columns["content_digest"].filter(kept))
            records = _digests(columns["record_digest"].filter(kept))
            counts = lengths.filter(kept).to_numpy()
            self._contents.add(contents.tobytes())
            self._claims.put(_flat(columns["lines"]), numpy.repeat(records, counts, axis=0))

    def account(self) -> LedgerAccount:
        """Return what was counted."""
        self._claims.flush()
        contents = hash_contents(self._contents.blocks())
        return LedgerAccount(
            rows=self._rows,
            rows_sha256=self._digest.hexdigest(),
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

    def _tally(self, columns: dict[str, Any], lengths: Any) -> None:
        names = ("module", "source", "fate", "reason", "license")
        table = arrow.table([*(columns[n] for n in names), lengths], [*names, "lines"])
        grouped = table.group_by(list(names)).aggregate([("lines", "sum"), ("lines", "count")])
        for group in grouped.to_pylist():
            module, rows, lines = group["module"], group["lines_count"], group["lines_sum"]
            tally = self._modules.setdefault(module, _Tally())
            tally.read += rows
            tally.lines += lines
            self._sources[module, group["source"]] += rows
            self._licenses[group["license"]] += lines
            self._count_fate(tally, group, rows)
        repaired = pc.greater(pc.list_value_length(columns["repairs"]), 0)
        for row in pc.indices_nonzero(repaired).to_pylist():
            tally = self._modules[columns["module"][row].as_py()]
            tally.repaired.update(columns["repairs"][row].as_py())
        kept = pc.equal(columns["fate"], "kept")
        if pc.any(pc.not_equal(kept, pc.greater(lengths, 0))).as_py():
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


def _account(tally: _Tally) -> ModuleAccount:
    return ModuleAccount(
        read=tally.read, kept=tally.kept, unused=tally.unused, lines=tally.lines,
        dropped=dict(sorted(tally.dropped.items())), repaired=dict(sorted(tally.repaired.items())),
    )  # fmt: skip


def _digests(column: Any) -> NDArray[numpy.uint8]:
    """Return hexadecimal digests as bytes, shape (rows, 32); what is none raises ValueError."""
    _, offsets, data = column.buffers()
    bounds = numpy.frombuffer(offsets, dtype=numpy.int32)[column.offset :][: len(column) + 1]
    if data is None or (numpy.diff(bounds) != 2 * DIGEST_BYTES).any():
        raise ValueError(_NO_DIGEST)
    text = bytes(memoryview(data)[bounds[0] : bounds[-1]])
    digests = unhexlify(text)
    if hexlify(digests) != text:
        raise ValueError(_NO_DIGEST)
    return numpy.frombuffer(digests, dtype=numpy.uint8).reshape(-1, DIGEST_BYTES)


def _flat(column: Any) -> NDArray[numpy.int64]:
    lines: NDArray[numpy.int64] = column.flatten().to_numpy(zero_copy_only=False)
    return lines

"""The ledger: one row per row read, with its fate; spooled while reading, finished after the plan.

Its digest is of its rows, as canonical JSON lines in ledger order, because Parquet bytes vary with
the library that writes them. `schemas/ledger.schema.json` describes a row.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as arrow
from pyarrow import parquet

from teapot import columns
from teapot.fates import Fates
from teapot.index import RecordIndex
from teapot.ledgercolumns import LEDGER
from teapot.ledgerdigest import LedgerDigest
from teapot.ledgerqueries import read_ledger
from teapot.mixing import Mix
from teapot.model.record import Dropped
from teapot.parts import Part, Repaired, Reviewed

__all__ = ["LEDGER", "LedgerFacts", "LedgerSpool", "read_ledger"]

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
            for texts in _even(arrow.ipc.open_stream(self._file)):
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


def _even(batches: Iterable[Any]) -> Iterator[Any]:
    """Yield the same rows in batches of one size: how rows were read leaves no trace in a file."""
    waiting: list[Any] = []
    missing = _BATCH_ROWS
    for batch in batches:
        rest = batch
        while len(rest) >= missing:
            yield _joined([*waiting, rest.slice(0, missing)])
            rest, waiting, missing = rest.slice(missing), [], _BATCH_ROWS
        if len(rest):
            waiting.append(rest)
            missing -= len(rest)
    if waiting:
        yield _joined(waiting)


def _joined(batches: list[Any]) -> Any:
    return arrow.Table.from_batches(batches).combine_chunks().to_batches()[0]


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


def _told(odd: Dropped | Repaired | Reviewed | None) -> _Told:
    """Return reason, detail, repairs and digest before them of one row."""
    if isinstance(odd, Dropped):
        return odd.reason, odd.detail, (), None
    if isinstance(odd, Repaired):
        return None, None, odd.repairs, odd.digest_before.hex()
    if isinstance(odd, Reviewed):
        before = odd.digest_before.hex() if odd.digest_before is not None else None
        return None, odd.detail or None, odd.repairs, before
    return None, None, (), None

"""The ledger: one row per row read, with its fate; spooled while reading, finished after the plan.

Its digest is of its rows, as canonical JSON lines in ledger order, because Parquet bytes vary with
the library that writes them. `schemas/ledger.schema.json` describes a row.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as arrow
from pyarrow import parquet

from teapot.canonical import dumps_plain
from teapot.index import RecordIndex
from teapot.mixing import Mix, lines_of_records
from teapot.model.record import Dropped, Example

NOT_DRAWN, DUPLICATE = "not-drawn", "duplicate"
_BATCH_ROWS = 8192
_WORD = arrow.dictionary(arrow.int32(), arrow.string())

_SPOOL_FIELDS: tuple[tuple[str, Any], ...] = (
    ("module", arrow.string()),
    ("source", arrow.string()),
    ("row", arrow.int64()),
    ("id", arrow.string()),
    ("content_digest", arrow.string()),
    ("license", arrow.string()),
    ("reason", arrow.string()),
    ("detail", arrow.string()),
    ("repairs", arrow.list_(arrow.string())),
    ("digest_before", arrow.string()),
)
_SPOOL = arrow.schema(_SPOOL_FIELDS)
LEDGER = arrow.schema(
    [
        ("module", _WORD),
        ("source", _WORD),
        ("row", arrow.int64()),
        ("id", arrow.string()),
        ("content_digest", arrow.string()),
        ("license", _WORD),
        ("fate", _WORD),
        ("reason", _WORD),
        ("detail", arrow.string()),
        ("repairs", arrow.list_(arrow.string())),
        ("digest_before", arrow.string()),
        ("occurrence", arrow.int64()),
        ("lines", arrow.list_(arrow.int64())),
    ]
)


@dataclass(frozen=True, slots=True)
class LedgerFacts:
    """How many rows the ledger has, and the SHA-256 of them."""

    rows: int
    rows_sha256: str


class LedgerSpool:
    """Takes every outcome of pass one, a batch of rows in memory at most."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer = arrow.ipc.new_stream(str(path), _SPOOL)
        self._rows: list[tuple[Any, ...]] = []

    def add(self, module: str, source: str, row: int, outcome: Example | Dropped) -> None:
        """Append what became of one row; whether an example is drawn is not known yet."""
        reason = detail = before = None
        repairs: tuple[str, ...] = ()
        if isinstance(outcome, Example):
            before, repairs = outcome.digest_before, outcome.repairs
        else:
            reason, detail = outcome.reason, outcome.detail
        digest = outcome.content_digest
        self._rows.append((
            module, source, row, outcome.id, digest.hex() if digest else None, outcome.license,
            reason, detail, repairs, before.hex() if before else None,
        ))  # fmt: skip
        if len(self._rows) >= _BATCH_ROWS:
            self._flush()

    def finish(self, path: Path, index: RecordIndex, mix: Mix) -> LedgerFacts:
        """Write the ledger to `path` and return its digest; the spool is used up."""
        self._flush()
        self._writer.close()
        fates = _Fates(index, mix)
        digest = hashlib.sha256()
        rows = 0
        with (
            arrow.ipc.open_stream(str(self._path)) as spooled,
            parquet.ParquetWriter(path, LEDGER, compression="zstd") as writer,
        ):
            for batch in spooled:
                columns = [column.to_pylist() for column in batch.columns]
                names = batch.schema.names
                finished = [
                    fates.finish(dict(zip(names, values, strict=True)))
                    for values in zip(*columns, strict=True)
                ]
                rows += len(finished)
                digest.update(ledger_bytes(finished))
                writer.write_batch(
                    arrow.record_batch(
                        [[row[name] for row in finished] for name in LEDGER.names], schema=LEDGER
                    )
                )
        return LedgerFacts(rows, digest.hexdigest())

    def _flush(self) -> None:
        if self._rows:
            columns = list(zip(*self._rows, strict=True))
            self._writer.write_batch(arrow.record_batch(columns, schema=_SPOOL))
            self._rows = []


def ledger_bytes(rows: list[dict[str, Any]]) -> bytes:
    """Return ledger rows as canonical JSON lines, the bytes that the ledger's digest is of."""
    return b"".join([dumps_plain(row) + b"\n" for row in rows])


def read_ledger(path: Path) -> Iterator[list[dict[str, Any]]]:
    """Yield the rows of a ledger in batches, in order."""
    with parquet.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=_BATCH_ROWS):
            yield batch.to_pylist()


class _Fates:
    """Gives each spooled row its fate; examples come in the order of the index."""

    def __init__(self, index: RecordIndex, mix: Mix) -> None:
        self._index = index
        self._lines, self._starts = lines_of_records(mix, len(index))
        self._occurrences = mix.occurrences
        self._twins = mix.twins
        self._record = -1

    def finish(self, finished: dict[str, Any]) -> dict[str, Any]:
        """Turn a spooled row into a ledger row and return it."""
        finished["fate"], finished["occurrence"], finished["lines"] = "dropped", None, []
        if finished["reason"] is not None:
            return finished
        self._record += 1
        finished["occurrence"] = int(self._occurrences[self._record])
        start, stop = self._starts[self._record], self._starts[self._record + 1]
        twin = int(self._twins[self._record])
        if stop > start:
            finished["fate"] = "kept"
            finished["lines"] = (self._lines[start:stop] + 1).tolist()
        elif twin >= 0:
            name = self._index.source_names[self._index.sources[twin]]
            finished["reason"] = DUPLICATE
            finished["detail"] = f"equal to {name} row {self._index.rows[twin]}, which is kept"
        else:
            finished["reason"] = NOT_DRAWN
        return finished

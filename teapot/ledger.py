"""The ledger: one row per row read, with its fate; spooled while reading, finished after the plan.

Its digest is of its rows, as canonical JSON lines in ledger order, because Parquet bytes vary with
the library that writes them. `schemas/ledger.schema.json` describes a row.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as arrow
from pyarrow import parquet

from teapot.canonical import dumps_plain, loads
from teapot.digest import sha256_hex
from teapot.errors import DataError, Problem
from teapot.files import open_regular
from teapot.index import RecordIndex
from teapot.ledgerdigest import LedgerDigest
from teapot.mixing import Mix, lines_of_records
from teapot.model.record import Dropped, Example

NOT_DRAWN, DUPLICATE = "not-drawn", "duplicate"
_BATCH_ROWS = 8192
_SPOOLED = (
    "module", "source", "row", "id", "content_digest", "license",
    "reason", "detail", "repairs", "digest_before", "record_digest",
)  # fmt: skip

LEDGER = arrow.schema(
    [
        ("module", arrow.string()),
        ("source", arrow.string()),
        ("row", arrow.int64()),
        ("id", arrow.string()),
        ("content_digest", arrow.string()),
        ("license", arrow.string()),
        ("fate", arrow.string()),
        ("reason", arrow.string()),
        ("detail", arrow.string()),
        ("repairs", arrow.list_(arrow.string())),
        ("digest_before", arrow.string()),
        ("record_digest", arrow.string()),
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
    """Takes every outcome of pass one, a batch of rows in memory at most.

    A line of the spool is one batch: a JSON list of rows, each a list in the order of `_SPOOLED`.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("wb")
        self._rows: list[tuple[Any, ...]] = []

    def add(self, module: str, source: str, row: int, outcome: Example | Dropped) -> None:
        """Append what became of one row; whether an example is drawn is not known yet."""
        digest = outcome.content_digest
        hexadecimal = digest.hex() if digest is not None else None
        named = (module, source, row, outcome.id, hexadecimal, outcome.license)
        if isinstance(outcome, Example):
            before = outcome.digest_before.hex() if outcome.digest_before is not None else None
            record = sha256_hex(outcome.line)
            self._rows.append((*named, None, None, outcome.repairs, before, record))
        else:
            self._rows.append((*named, outcome.reason, outcome.detail, (), None, None))
        if len(self._rows) >= _BATCH_ROWS:
            self._flush()

    def finish(self, path: Path, index: RecordIndex, mix: Mix) -> LedgerFacts:
        """Write the ledger to `path` and return its digest; the spool is used up."""
        self._flush()
        self.close()
        fates = _Fates(index, mix)
        digest = LedgerDigest(LEDGER.names)
        rows = 0
        with (
            self._path.open("rb") as spooled,
            parquet.ParquetWriter(path, LEDGER, compression="zstd") as writer,
        ):
            for batch in spooled:
                finished = [
                    fates.finish(dict(zip(_SPOOLED, values, strict=True)))
                    for values in loads(batch)
                ]
                rows += len(finished)
                table = _parsed(b"".join([dumps_plain(row) + b"\n" for row in finished]))
                for part in table.to_batches():
                    digest.update(part)
                writer.write_table(table)
        return LedgerFacts(rows, digest.hexdigest())

    def close(self) -> None:
        """Close the spool; its folder is the caller's to remove."""
        self._file.close()

    def _flush(self) -> None:
        if self._rows:
            self._file.write(dumps_plain(self._rows) + b"\n")
            self._rows = []


def _parsed(lines: bytes) -> Any:
    """Return JSON lines as a table of the ledger; faster than to make one of Python values."""
    from pyarrow import json

    return json.read_json(
        arrow.BufferReader(lines),
        read_options=json.ReadOptions(use_threads=False, block_size=len(lines) + 1),
        parse_options=json.ParseOptions(explicit_schema=LEDGER, unexpected_field_behavior="error"),
    )


def read_ledger(path: Path) -> Iterator[list[dict[str, Any]]]:
    """Yield the rows of a ledger in batches, in order.

    Raises:
        DataError: the file is not a ledger, or it is broken.
    """
    try:
        with open_regular(path) as opened, parquet.ParquetFile(opened) as file:
            if file.schema_arrow.names != LEDGER.names:
                raise DataError(Problem(str(path), "is not a ledger: it has other columns"))
            for batch in file.iter_batches(batch_size=_BATCH_ROWS):
                yield batch.to_pylist()
    except (arrow.ArrowException, OSError) as error:
        told = f"cannot be read as a ledger ({error}); compose again"
        raise DataError(Problem(str(path), told)) from error


class _Fates:
    """Gives each spooled row its fate; examples come in the order of the index."""

    def __init__(self, index: RecordIndex, mix: Mix) -> None:
        self._index = index
        self._lines, starts = lines_of_records(mix, len(index))
        self._lines += 1
        self._starts = array("q", starts.tobytes())
        self._occurrences = array("q", mix.occurrences.tobytes())
        self._twins = array("q", mix.twins.tobytes())
        self._record = -1

    def finish(self, finished: dict[str, Any]) -> dict[str, Any]:
        """Turn a spooled row into a ledger row and return it."""
        finished["fate"], finished["occurrence"], finished["lines"] = "dropped", None, []
        if finished["reason"] is not None:
            return finished
        self._record += 1
        finished["occurrence"] = self._occurrences[self._record]
        start, stop = self._starts[self._record], self._starts[self._record + 1]
        twin = self._twins[self._record]
        if stop > start:
            finished["fate"] = "kept"
            finished["lines"] = self._lines[start:stop].tolist()
        elif twin >= 0:
            name = self._index.source_names[self._index.sources[twin]]
            finished["reason"] = DUPLICATE
            finished["detail"] = (
                f"equal to {name} row {self._index.rows[twin]}, which stands for it"
            )
        else:
            finished["reason"] = NOT_DRAWN
        return finished

"""Encoded rows in an Arrow IPC file, and the digest that vouches for them.

Arrow, because rows can be written as they come, have ids of any number, and are read back without
being parsed; safetensors wants every size before the first byte. The digest is of the rows, as the
bytes of the file vary with the library: for each row its line (8 bytes), its record digest (32),
its number of tokens (8), its ids and its labels (4 bytes each), numbers little-endian and signed.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy
import pyarrow as arrow
from numpy.typing import NDArray
from pyarrow import ipc

from teapot.errors import DataError, DigestError, Problem
from teapot.files import open_regular
from teapot.model.encoded import Encoded, EncodedRow

_Numbers = NDArray[numpy.int32]
_BATCH_ROWS = 512
_COLUMNS = [
    arrow.field("line", arrow.int64(), nullable=False),
    arrow.field("record_digest", arrow.binary(32), nullable=False),
    arrow.field("ids", arrow.list_(arrow.int32()), nullable=False),
    arrow.field("labels", arrow.list_(arrow.int32()), nullable=False),
]


class EncodedWriter:
    """Writes rows as they come, some hundred in memory."""

    def __init__(self, path: Path) -> None:
        self._schema = arrow.schema(_COLUMNS)
        self._writer = ipc.new_file(str(path), self._schema)
        self._digest = sha256()
        self._rows: list[EncodedRow] = []

    def add(self, row: EncodedRow) -> None:
        """Append a row."""
        ids, labels = (_numbers(part) for part in (row.encoded.ids, row.encoded.labels))
        self._digest.update(_bytes_of(row.line, row.record_digest, ids, labels))
        self._rows.append(row)
        if len(self._rows) >= _BATCH_ROWS:
            self._flush()

    def close(self) -> str:
        """Finish the file and return the digest of its rows as 64 hex digits."""
        self._flush()
        self._writer.close()
        return self._digest.hexdigest()

    def _flush(self) -> None:
        if not self._rows:
            return
        columns = [
            arrow.array([row.line for row in self._rows], arrow.int64()),
            arrow.array([row.record_digest for row in self._rows], arrow.binary(32)),
            _lists([row.encoded.ids for row in self._rows]),
            _lists([row.encoded.labels for row in self._rows]),
        ]
        self._writer.write_batch(arrow.RecordBatch.from_arrays(columns, schema=self._schema))
        self._rows = []


def read_encoded(path: Path, rows_sha256: str) -> Iterator[EncodedRow]:
    """Yield the rows of a file, whose digest must be the one given.

    What was taken counts only when the iterator ends without an error.

    Raises:
        DataError: the file is missing or none of encoded rows.
        DigestError: its rows are others.
    """
    digest = sha256()
    for line, record_digest, ids, labels in _arrays(path):
        digest.update(_bytes_of(line, record_digest, ids, labels))
        encoded = Encoded(array("i", ids.tobytes()), array("i", labels.tobytes()))
        yield EncodedRow(line=line, record_digest=record_digest, encoded=encoded)
    if digest.hexdigest() != rows_sha256:
        found = f"its rows have sha256 {digest.hexdigest()}, expected {rows_sha256}; encode again"
        raise DigestError(Problem(str(path), found))


def digest_of_rows(path: Path) -> str:
    """Return the digest of a file's rows as 64 hex digits.

    Raises:
        DataError: the file is missing or none of encoded rows.
    """
    digest = sha256()
    for row in _arrays(path):
        digest.update(_bytes_of(*row))
    return digest.hexdigest()


def _arrays(path: Path) -> Iterator[tuple[int, bytes, _Numbers, _Numbers]]:
    try:
        with open_regular(path) as opened, ipc.open_file(opened) as file:
            if not file.schema.equals(arrow.schema(_COLUMNS)):
                raise DataError(Problem(str(path), "has other columns than encoded rows have"))
            for number in range(file.num_record_batches):
                batch = file.get_batch(number)
                batch.validate(full=True)
                yield from zip(
                    batch.column("line").to_pylist(), batch.column("record_digest").to_pylist(),
                    _parts(batch.column("ids")), _parts(batch.column("labels")), strict=True,
                )  # fmt: skip
    except (arrow.ArrowException, OSError, ValueError) as error:
        told = " ".join(str(error).split())[:200]
        problem = Problem(str(path), f"cannot be read as encoded rows ({told}); encode again")
        raise DataError(problem) from error


def _numbers(values: array[int]) -> _Numbers:
    return numpy.asarray(values).astype("<i4", copy=False)


def _lists(rows: list[array[int]]) -> Any:
    ends = numpy.cumsum([0, *map(len, rows)], dtype=numpy.int32)
    return arrow.ListArray.from_arrays(ends, numpy.concatenate(list(map(_numbers, rows))))


def _parts(column: Any) -> list[_Numbers]:
    """Return each list of a column as an array of its own."""
    numbers = column.values.to_numpy(zero_copy_only=False).astype("<i4", copy=False)
    return numpy.split(numbers[: column.offsets[-1].as_py()], column.offsets.to_numpy()[1:-1])


def _bytes_of(line: int, record_digest: bytes, ids: _Numbers, labels: _Numbers) -> bytes:
    head = struct.pack("<q32sq", line, record_digest, len(ids))
    return head + ids.tobytes() + labels.tobytes()

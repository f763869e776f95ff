"""The index: one entry of fixed size for each row read, in a file; memory holds columns when asked.

Rows are numbered in the order they were read: module by module in the order of names, source by
source, row by row. An entry says where the row lies, what its record's digests are, and whether
there is a record at all; a row that makes none has the state `NO_RECORD`. `teapot/_rows.c` reads
and writes the same entries.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy
from numpy.typing import NDArray

from teapot.errors import DataError, Problem

DIGEST_BYTES = 32
NO_RECORD, FROM_ROW, SPOOLED = 0, 1, 2
"""States: no record; its line is made from its row again; its line lies in the spool."""
NO_LICENSE = (1 << 16) - 1
MAX_SOURCES = 1 << 16

DIGEST = numpy.dtype((numpy.void, DIGEST_BYTES))
"""A digest as one value, which arrays move in one go."""

ENTRY = numpy.dtype(
    [
        ("content", "u1", (DIGEST_BYTES,)),  # zeros where the row could not be read that far
        ("record", "u1", (DIGEST_BYTES,)),
        ("offset", "<u8"),  # of the row in its source, or of the line in the spool, in bytes
        ("id_hash", "<u8"),
        ("row", "<u8"),
        ("length", "<u4"),  # in bytes, without the LF
        ("characters", "<u4"),
        ("tokens", "<u4"),
        ("source", "<u2"),
        ("license", "<u2"),
        ("state", "u1"),
    ]
)

Keys = NDArray[numpy.uint64]
Numbers = NDArray[Any]
Entries = NDArray[Any]
_CHUNK_ENTRIES = 1 << 15


class RecordIndex:
    """Entries of all rows; `spans` tells which of them a module has.

    They lie in a file without a name in `folder`, or where the system keeps such files, which is
    gone when the run ends, however it ends.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115  # see close
        self._entries = 0
        self.spans: dict[str, range] = {}
        self.source_names: list[str] = []
        self._license_codes: dict[str, int] = {}

    def __len__(self) -> int:
        return self._entries

    def fileno(self) -> int:
        """Return the handle of the file that holds the entries, one after another."""
        return self._file.fileno()

    @property
    def license_names(self) -> list[str]:
        """Return the licences that entries name by their place."""
        return list(self._license_codes)

    def close(self) -> None:
        """Close the file, which removes it."""
        self._file.close()

    def begin_source(self, name: str) -> None:
        """Say that the rows added from here on come from the source of this name.

        Raises:
            DataError: an entry cannot name so many sources.
        """
        if len(self.source_names) == MAX_SOURCES:
            raise DataError(Problem(name, f"a mix has at most {MAX_SOURCES:,} sources"))
        self.source_names.append(name)

    def end_module(self, name: str) -> None:
        """Say that all rows added since the last module belong to the module of this name."""
        start = max((span.stop for span in self.spans.values()), default=0)
        self.spans[name] = range(start, len(self))

    def extend(self, entries: Entries, licenses: Sequence[str]) -> None:
        """Append entries; their licences are places in `licenses`, or `NO_LICENSE`.

        Raises:
            DataError: an entry cannot name so many licences.
        """
        codes = numpy.full(NO_LICENSE + 1, NO_LICENSE, dtype=numpy.uint16)
        codes[: len(licenses)] = [license_code(self._license_codes, text) for text in licenses]
        entries["license"] = codes[entries["license"]]
        entries["source"] = len(self.source_names) - 1
        _write_all(self._file.fileno(), entries.data.cast("B"))
        self._entries += len(entries)

    def chunks(self, span: range | None = None) -> Iterator[tuple[int, Entries]]:
        """Yield the entries of a span, some thousands at a time, after the number of the first."""
        span = range(len(self)) if span is None else span
        for start in range(span.start, span.stop, _CHUNK_ENTRIES):
            stop = min(start + _CHUNK_ENTRIES, span.stop)
            yield start, self.entries(start, stop - start)

    def entries(self, start: int, count: int) -> Entries:
        """Return so many entries from one on, to read."""
        size = count * ENTRY.itemsize
        data = os.pread(self._file.fileno(), size, start * ENTRY.itemsize)
        return numpy.frombuffer(data, dtype=ENTRY)

    def column(self, name: str, span: range | None = None) -> Numbers:
        """Return one column of a span, or of all entries."""
        span = range(len(self)) if span is None else span
        values = numpy.empty(len(span), dtype=ENTRY[name].base)
        for start, entries in self.chunks(span):
            values[start - span.start : start - span.start + len(entries)] = entries[name]
        return values

    @property
    def number_type(self) -> type[numpy.unsignedinteger[Any]]:
        """Return the smallest type that holds the number of any row."""
        return numpy.uint32 if len(self) < 1 << 32 else numpy.uint64

    def entry(self, number: int) -> Any:
        """Return one entry."""
        return self.entries(number, 1)[0]

    def modules(self) -> Iterator[tuple[str, range]]:
        """Yield each module's name with its rows."""
        yield from self.spans.items()

    def module_numbers(self, records: Numbers) -> NDArray[numpy.int64]:
        """Return for each record the place of its module in `spans`."""
        stops = numpy.array([span.stop for span in self.spans.values()])
        return numpy.searchsorted(stops, records, side="right")


def license_code(codes: dict[str, int], text: str) -> int:
    """Return the number that stands for a licence in entries; a new one is put into `codes`.

    Raises:
        DataError: an entry cannot name so many licences.
    """
    code = codes.setdefault(text, len(codes))
    if code >= NO_LICENSE:
        told = f"rows name over {NO_LICENSE:,} licences; is this the column that holds them?"
        raise DataError(Problem(text[:80], told))
    return code


def prefixes_of(digests: NDArray[numpy.uint8]) -> Keys:
    """Return the first 8 bytes of digests, shape (n, 32), as numbers that sort as the bytes do."""
    first = numpy.ascontiguousarray(digests[:, :8]).view(">u8")
    return first.reshape(-1).astype(numpy.uint64)


def keys_of(digests: bytes | bytearray) -> Keys:
    """Return 32-byte digests laid end to end as rows of four numbers that sort as the bytes do."""
    big_endian = numpy.frombuffer(digests, dtype=">u8").reshape(-1, 4)
    return big_endian.astype(numpy.uint64)


def sort_order(keys: Keys) -> NDArray[numpy.int64]:
    """Return the order that sorts rows of `keys`; equal rows keep their order."""
    first = keys[:, 0]
    order = numpy.argsort(first)  # not stable, but fast; where all are unlike it is the same
    if (first[order[1:]] != first[order[:-1]]).all():
        return order
    return numpy.lexsort((keys[:, 3], keys[:, 2], keys[:, 1], keys[:, 0])).astype(numpy.int64)


def _write_all(handle: int, data: memoryview) -> None:
    while data:
        data = data[os.write(handle, data) :]

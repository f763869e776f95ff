"""Where the lines of records are found again: in the source they came from, or in a spool.

A line that compiled code made of a row of a plain file is not kept: it is made again from the row,
and its digest compared. Any other line lies in the spool, a file without a name.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy

from teapot.errors import DataError, Problem
from teapot.index import SPOOLED, Numbers, RecordIndex
from teapot.parts import Part
from teapot.rowscan import CHECKED_BYTES, PLACE, CommonRows, gather_lines
from teapot.scratch import room

MAX_FILES = 128
"""So many sources stay open to be read again; macOS lets a process open 256 files."""
_BATCH_LINES, _BATCH_BYTES = 1024, 16 << 20


@dataclass(frozen=True, slots=True)
class Origin:
    """The file that a source's rows can be read from again, and what makes lines of them."""

    file: BinaryIO | None
    rules: CommonRows | None


class Origins:
    """The origins of all sources, in the order of the index, and the spool that they share."""

    def __init__(self, folder: Path, index: RecordIndex) -> None:
        self._index, self._folder = index, folder
        self._spool = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115  # see close
        self._spooled_bytes = 0
        self._origins: list[Origin] = []
        self._places = numpy.empty(0, dtype=PLACE)

    @property
    def has_room(self) -> bool:
        """Return whether one more source may be kept open."""
        return sum(origin.file is not None for origin in self._origins) < MAX_FILES

    def place(self, part: Part) -> None:
        """Keep the lines of a part that cannot be made again, and say where they lie."""
        is_spooled = part.entries["state"] == SPOOLED
        part.entries["offset"][is_spooled] += numpy.uint64(self._spooled_bytes)
        data = memoryview(part.lines)
        while data:
            written = os.write(self._spool.fileno(), data)
            self._spooled_bytes += written
            data = data[written:]

    def add(self, origin: Origin) -> None:
        """Add the origin of the source that was read last."""
        self._origins.append(origin)

    def load(self) -> None:
        """Take from the index where each line is found: 31 bytes a row, until `close`."""
        self._places = room(len(self._index), PLACE, self._folder)
        for start, entries in self._index.chunks():
            places = self._places[start : start + len(entries)]
            for name in ("offset", "length", "source", "state"):
                places[name] = entries[name]
            places["check"] = entries["record"][:, :CHECKED_BYTES]

    def batches(self, records: Numbers) -> Iterator[Numbers]:
        """Yield records in order, as many at a time as `gather` should hold the lines of."""
        for at in range(0, len(records), _BATCH_LINES):
            batch = records[at : at + _BATCH_LINES]
            ends = numpy.cumsum(self._places["length"][batch], dtype=numpy.int64)
            yield from numpy.split(batch, numpy.flatnonzero(numpy.diff(ends // _BATCH_BYTES)) + 1)

    def gather(self, records: Numbers) -> tuple[bytes, bytes]:
        """Return the lines of records, each with its LF, and their digests, end to end.

        Raises:
            DataError: a row is not what it was when it was read.
        """
        given = tuple(
            (
                -1 if origin.file is None else origin.file.fileno(),
                self._spool.fileno(),
                None if origin.rules is None else origin.rules.rules.given,
            )
            for origin in self._origins
        )
        lines, digests, done = gather_lines(self._places[records], given)
        if done < len(records):
            entry = self._index.entry(int(records[done]))
            where = f"{self._index.source_names[entry['source']]}:{entry['row']}"
            told = "the row is not what it was when it was read: the file changed; run again"
            raise DataError(Problem(where, told))
        return lines, digests

    def close(self) -> None:
        """Close all files."""
        self._spool.close()
        for origin in self._origins:
            if origin.file is not None:
                origin.file.close()

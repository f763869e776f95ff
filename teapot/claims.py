"""Which digest a ledger claims for each line, gathered in a scratch file of 32 bytes a line."""

from __future__ import annotations

import mmap
import os
from pathlib import Path

import numpy
from numpy.typing import NDArray

from teapot.digest import DIGEST_BYTES

GATHERED_BATCHES = 16
_SLICE_LINES = 8192


class Claims:
    """The scratch file with a slot for the digest of each line.

    Claims are gathered and entered in the order of lines, so that each page of the file is touched
    once a gathering, and given back to the system when it is done.
    """

    def __init__(self, path: Path, lines: int) -> None:
        self.made = 0
        self._lines = lines
        self._gathered: list[tuple[NDArray[numpy.int64], NDArray[numpy.uint8]]] = []
        with path.open("w+b") as file:
            size = max(lines, 1) * DIGEST_BYTES
            file.truncate(size)
            if hasattr(os, "posix_fallocate"):  # a full disk is an error now, not a signal later
                os.posix_fallocate(file.fileno(), 0, size)
            self._map = mmap.mmap(file.fileno(), 0)

    def put(self, lines: NDArray[numpy.int64], digests: NDArray[numpy.uint8]) -> None:
        """Take digests, shape (lines, 32), for lines counted from 1."""
        inside = (lines >= 1) & (lines <= self._lines)
        self.made += len(lines)
        self._gathered.append((lines[inside] - 1, digests[inside]))
        if len(self._gathered) >= GATHERED_BATCHES:
            self.flush()

    def flush(self) -> None:
        """Enter what was gathered."""
        if not self._gathered:
            return
        lines, digests = (numpy.concatenate(part) for part in zip(*self._gathered, strict=True))
        order = numpy.argsort(lines)  # fast, but where one line is claimed twice, not stable
        if (lines[order[1:]] == lines[order[:-1]]).any():
            order = numpy.argsort(lines, kind="stable")
        slots = numpy.frombuffer(self._map, dtype=numpy.uint8).reshape(-1, DIGEST_BYTES)
        for start in range(0, len(order), _SLICE_LINES):
            part = order[start : start + _SLICE_LINES]
            slots[lines[part]] = digests[part]
            self._map.madvise(mmap.MADV_DONTNEED)
        self._gathered = []

    def close(self) -> None:
        """Close the map; the file is the caller's to remove."""
        self._map.close()

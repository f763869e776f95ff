"""Room for more than memory should hold: arrays in files, and rows spread over files by their keys.

What is small stays in memory. What is large lies in files without names in a folder, which the
system writes out when it needs the memory, and which are gone when the run ends, however it ends.
"""

from __future__ import annotations

import errno
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy
from numpy.typing import DTypeLike, NDArray

ROWS_IN_MEMORY = 1 << 22
_MAX_BITS = 7  # 128 files, of which some systems allow 256

Rows = NDArray[Any]


def room(count: int, kind: DTypeLike, folder: Path | None) -> Rows:
    """Return an array to be filled, in memory or in a file of `folder`.

    Raises:
        OSError: the disk has no room for it.
    """
    if count <= ROWS_IN_MEMORY:
        return numpy.empty(count, dtype=kind)
    with tempfile.TemporaryFile(dir=folder) as file:
        _take_space(file, count * numpy.dtype(kind).itemsize)
        return numpy.memmap(file, dtype=kind, mode="w+", shape=(count,))


class Spread:
    """Takes rows with a field `key` in any order, and gives them back in buckets of rising keys.

    `expected` is how many rows there will be at most, `key_bits` how many bits of a key are used.
    Within a bucket rows keep the order in which they came.
    """

    def __init__(
        self, kind: DTypeLike, expected: int, folder: Path | None, *, key_bits: int = 64
    ) -> None:
        bits = (max(expected - 1, 0) // ROWS_IN_MEMORY).bit_length()
        self._shift = numpy.uint64(max(key_bits - min(bits, _MAX_BITS), 0))
        self._kind = numpy.dtype(kind)
        self._is_spread = bits > 0
        self._held = numpy.empty(0 if self._is_spread else expected, dtype=kind)
        self._rows = 0
        self._files: list[BinaryIO] = []
        if self._is_spread:
            count = 1 << min(bits, _MAX_BITS, key_bits)
            self._files = [tempfile.TemporaryFile(dir=folder) for _ in range(count)]  # noqa: SIM115

    def add(self, rows: Rows) -> None:
        """Take rows."""
        if not len(rows):
            return
        if not self._is_spread:
            self._held[self._rows : self._rows + len(rows)] = rows
            self._rows += len(rows)
            return
        buckets = rows["key"] >> self._shift
        order = numpy.argsort(buckets, kind="stable")
        numbers, starts = numpy.unique(buckets[order], return_index=True)
        for number, part in zip(
            numbers.tolist(), numpy.split(rows[order], starts[1:]), strict=True
        ):
            self._files[number].write(part.tobytes())

    def buckets(self) -> Iterator[Rows]:
        """Yield the rows bucket by bucket; what was yielded is gone."""
        if not self._is_spread:
            held, self._held = self._held[: self._rows], self._held[:0]
            yield held
        while self._files:
            with self._files.pop(0) as file:
                file.seek(0)
                yield numpy.frombuffer(bytearray(file.read()), dtype=self._kind)

    def close(self) -> None:
        """Remove whatever was not yielded."""
        while self._files:
            self._files.pop().close()


def _take_space(file: BinaryIO, size: int) -> None:
    """Have the disk set space aside: without it the system kills whoever fills the array."""
    if sys.platform != "linux":
        return
    try:
        os.posix_fallocate(file.fileno(), 0, size)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):  # file systems that cannot
            raise

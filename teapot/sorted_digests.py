"""Many 32-byte digests put in order and freed of repeats, in memory that does not grow with them.

They are spread over temporary files by their leading bits, of which each is small enough to sort.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType

import numpy
from numpy.typing import NDArray

from teapot.index import DIGEST_BYTES, keys_of, sort_order

_BUCKET_DIGESTS = 1 << 16
_MAX_BUCKETS = 1 << 7  # each is an open file, of which some systems allow 256


class DigestSorter(AbstractContextManager["DigestSorter"]):
    """Takes digests in any order and gives them back sorted; `expected` is about how many."""

    def __init__(self, expected: int) -> None:
        self._bits = min(
            max(expected // _BUCKET_DIGESTS, 1).bit_length(), _MAX_BUCKETS.bit_length() - 1
        )
        self._folder = TemporaryDirectory(prefix="teapot-digests-")
        self._paths = [Path(self._folder.name, f"{number:04}") for number in range(1 << self._bits)]
        self._files = [path.open("wb", buffering=1 << 14) for path in self._paths]

    def add(self, digests: bytes | bytearray) -> None:
        """Take digests laid end to end."""
        if not digests:
            return
        rows = numpy.frombuffer(digests, dtype=numpy.uint8).reshape(-1, DIGEST_BYTES)
        buckets = keys_of(digests)[:, 0] >> numpy.uint64(64 - self._bits)
        order = numpy.argsort(buckets, kind="stable")
        numbers, starts = numpy.unique(buckets[order], return_index=True)
        parts = numpy.split(rows[order], starts[1:])
        for number, part in zip(numbers.tolist(), parts, strict=True):
            self._files[number].write(part.tobytes())

    def blocks(self) -> Iterator[bytes]:
        """Yield all digests in ascending order, each once, some thousands at a time end to end."""
        for path, file in zip(self._paths, self._files, strict=True):
            file.close()
            if digests := path.read_bytes():
                yield sorted_once(digests)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close and remove the temporary files."""
        for file in self._files:
            file.close()
        self._folder.cleanup()


def sorted_once(digests: bytes) -> bytes:
    """Return digests laid end to end in ascending order, each once."""
    keys = keys_of(digests)
    keys = keys[sort_order(keys)]
    is_first = numpy.ones(len(keys), dtype=numpy.bool_)
    is_first[1:] = (keys[1:] != keys[:-1]).any(axis=1)
    unlike: NDArray[numpy.uint64] = keys[is_first]
    return unlike.astype(">u8").tobytes()

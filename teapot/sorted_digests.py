"""Many 32-byte digests put in order and freed of repeats, in memory that does not grow with them.

They are spread over temporary files by their leading bits, of which each is small enough to sort.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from types import TracebackType

import numpy
from numpy.typing import NDArray

from teapot.buckets import Buckets
from teapot.index import DIGEST, DIGEST_BYTES, keys_of, prefixes_of, sort_order

_BUCKET_DIGESTS = 1 << 16
_TEXT = numpy.dtype((numpy.bytes_, DIGEST_BYTES))
"""A digest that sorts as its bytes do; numpy gives it out without the zeros at its end."""
_MAX_BUCKETS = 1 << 7  # each is an open file, of which some systems allow 256


class DigestSorter(AbstractContextManager["DigestSorter"]):
    """Takes digests in any order and gives them back sorted; `expected` is about how many."""

    def __init__(self, expected: int) -> None:
        self._bits = min(
            max(expected // _BUCKET_DIGESTS, 1).bit_length(), _MAX_BUCKETS.bit_length() - 1
        )
        self._buckets = Buckets(1 << self._bits)

    def add(self, digests: bytes | bytearray) -> None:
        """Take digests laid end to end."""
        if not digests:
            return
        first_bytes = numpy.frombuffer(digests, dtype=numpy.uint8)[::DIGEST_BYTES]
        rows = numpy.frombuffer(digests, dtype=DIGEST)
        self._buckets.add(first_bytes >> numpy.uint8(8 - self._bits), rows)

    def blocks(self) -> Iterator[bytes]:
        """Yield all digests in ascending order, each once, some thousands at a time end to end."""
        for number in range(len(self._buckets)):
            if digests := self._buckets.path(number).read_bytes():
                yield sorted_once(digests)

    def repeats(self) -> tuple[int, int]:
        """Return how many digests came several times, and how often those came after their first.

        Whole digests are looked at only where their first 8 bytes are equal.
        """
        groups = repeated = 0
        for number in range(len(self._buckets)):
            digests = numpy.frombuffer(self._buckets.path(number).read_bytes(), dtype=DIGEST)
            prefixes = prefixes_of(digests.view(numpy.uint8).reshape(-1, DIGEST_BYTES))
            order = numpy.argsort(prefixes)
            is_equal = numpy.zeros(len(order) + 1, dtype=numpy.bool_)
            is_equal[1:-1] = numpy.diff(prefixes[order]) == 0
            alike = digests[order[is_equal[1:] | is_equal[:-1]]].view(_TEXT)
            _, counts = numpy.unique(alike, return_counts=True)
            groups += int(numpy.count_nonzero(counts > 1))
            repeated += int((counts - 1).sum())
        return groups, repeated

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close and remove the temporary files."""
        self._buckets.__exit__(kind, error, traceback)


def shared_digests(first: Iterable[bytes], second: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the digests that are in both; each gives blocks of digests, ascending, each once."""
    others, held = iter(second), numpy.empty(0, dtype=_TEXT)
    for block in first:
        rows = numpy.frombuffer(block, dtype=_TEXT)
        while not len(held) or held[-1] < rows[-1]:
            more = next(others, None)
            if more is None:
                break
            held = numpy.concatenate((held, numpy.frombuffer(more, dtype=_TEXT)))
        for digest in numpy.intersect1d(rows, held, assume_unique=True).tolist():
            yield digest.ljust(DIGEST_BYTES, b"\0")
        held = held[numpy.searchsorted(held, rows[-1], side="right") :]


def sorted_once(digests: bytes) -> bytes:
    """Return digests laid end to end in ascending order, each once."""
    rows = numpy.frombuffer(digests, dtype=DIGEST)
    prefixes = prefixes_of(rows.view(numpy.uint8).reshape(-1, DIGEST_BYTES))
    order = numpy.argsort(prefixes)
    ascending = prefixes[order]
    if (ascending[1:] != ascending[:-1]).all():
        return rows.take(order).tobytes()
    keys = keys_of(digests)
    keys = keys[sort_order(keys)]
    is_first = numpy.ones(len(keys), dtype=numpy.bool_)
    is_first[1:] = (keys[1:] != keys[:-1]).any(axis=1)
    unlike: NDArray[numpy.uint64] = keys[is_first]
    return unlike.astype(">u8").tobytes()

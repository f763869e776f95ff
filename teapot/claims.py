"""Which digest a ledger claims for each line, gathered in a scratch file of 32 bytes a line."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy
from numpy.typing import NDArray

from teapot.buckets import Buckets
from teapot.index import DIGEST, DIGEST_BYTES

_BUCKET_LINES = 1 << 16
_MAX_BUCKETS = 1 << 6
_CLAIM = numpy.dtype([("slot", "<i8"), ("digest", DIGEST)])


def held_beside(claimed: Path) -> Path:
    """Return the scratch file for lines of a validation file, beside that for lines of the data."""
    return claimed.with_name(f"{claimed.name}-held")


class Claims(AbstractContextManager["Claims"]):
    """The scratch file with a slot for the digest of each line.

    Claims come in any order. They are spread over files, each of the claims of neighbouring lines,
    and `finish` puts one file after another in order, so that memory holds but one of them.
    """

    def __init__(self, path: Path, lines: int) -> None:
        self.made = 0
        self._path = path
        self._lines = lines
        with path.open("wb") as file:
            size = max(lines, 1) * DIGEST_BYTES
            file.truncate(size)
            if hasattr(os, "posix_fallocate"):  # a full disk is an error now, not later
                os.posix_fallocate(file.fileno(), 0, size)
        self._bucket_lines = max(_BUCKET_LINES, -(-lines // _MAX_BUCKETS))
        self._buckets = Buckets(max(-(-lines // self._bucket_lines), 1))

    def put(self, lines: NDArray[numpy.int64], digests: NDArray[Any]) -> None:
        """Take a digest (`index.DIGEST`) for each of the lines, which are counted from 1."""
        self.made += len(lines)
        is_inside = (lines >= 1) & (lines <= self._lines)
        if not is_inside.all():
            lines, digests = lines[is_inside], digests[is_inside]
        claims = numpy.empty(len(lines), dtype=_CLAIM)
        claims["slot"], claims["digest"] = lines - 1, digests
        self._buckets.add((claims["slot"] // self._bucket_lines).astype(numpy.uint8), claims)

    def finish(self) -> None:
        """Enter all claims; of several for one line, the last one stays."""
        with self._path.open("r+b") as file:
            for number in range(len(self._buckets)):
                first = number * self._bucket_lines
                slots = numpy.zeros(min(self._bucket_lines, self._lines - first), dtype=DIGEST)
                with self._buckets.path(number).open("rb") as claimed:
                    while data := claimed.read(_BUCKET_LINES * _CLAIM.itemsize):
                        claims = numpy.frombuffer(data, dtype=_CLAIM)
                        slots[claims["slot"] - first] = claims["digest"]
                file.seek(first * DIGEST_BYTES)
                file.write(slots.data)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Remove what was gathered; the scratch file is the caller's to remove."""
        self._buckets.__exit__(kind, error, traceback)

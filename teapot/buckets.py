"""Rows of fixed size spread over temporary files by a number that each has, to be taken up in turn.

So what does not fit into memory is put in order piece by piece: each file is small enough to hold.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any

import numpy
from numpy.typing import NDArray


class Buckets(AbstractContextManager["Buckets"]):
    """So many temporary files, 256 at most: each is open, of which some systems allow no more."""

    def __init__(self, count: int) -> None:
        self._folder = TemporaryDirectory(prefix="teapot-buckets-")
        self._paths = [Path(self._folder.name, f"{number:04}") for number in range(count)]
        self._files = [path.open("wb", buffering=1 << 14) for path in self._paths]

    def __len__(self) -> int:
        return len(self._paths)

    def add(self, numbers: NDArray[numpy.uint8], rows: NDArray[Any]) -> None:
        """Append each row to the file of its number; rows of one number keep their order."""
        order = numpy.argsort(numbers, kind="stable")  # of bytes: takes no comparison
        stops = numpy.cumsum(numpy.bincount(numbers, minlength=len(self._files)))
        whole = rows.view(numpy.dtype((numpy.void, rows.itemsize)))  # taken far faster than fields
        spread, start = whole.take(order), 0
        for file, stop in zip(self._files, stops.tolist(), strict=True):
            if start < stop:
                file.write(spread[start:stop].data)
            start = stop

    def path(self, number: int) -> Path:
        """Return the file of a number, with all rows in it; nothing can be added to it any more."""
        self._files[number].close()
        return self._paths[number]

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close and remove the files."""
        for file in self._files:
            file.close()
        self._folder.cleanup()

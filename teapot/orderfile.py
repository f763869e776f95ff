"""Reading the order of an epoch: lines of the data, hashed while they are read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import numpy

from teapot.datafile import open_beside
from teapot.epochs import LINE
from teapot.index import Numbers

_BLOCK_BYTES = 1 << 20


@dataclass(slots=True)
class OrderReader:
    """One walk over an order file of a stated size; `sha256` is of what was read, at the end.

    No more is read than is stated and one byte, which tells that there is more.
    """

    path: Path
    stated_bytes: int
    bytes: int = field(default=0, init=False)
    sha256: str = field(default="", init=False)

    def blocks(self) -> Iterator[Numbers]:
        """Yield the numbers block by block; what is no whole number is counted and left out.

        Raises:
            DataError: the file is missing, no regular file, or leads out of its folder.
        """
        digest, left = sha256(), self.stated_bytes + 1
        with open_beside(self.path) as file:
            while block := file.read(min(_BLOCK_BYTES, left)):
                digest.update(block)
                self.bytes += len(block)
                left -= len(block)
                yield numpy.frombuffer(block, dtype=LINE, count=len(block) // LINE.itemsize)
        self.sha256 = digest.hexdigest()

"""Where pass one puts the canonical lines and pass two finds them: one file, read by offset."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

from teapot.digest import sha256
from teapot.index import RecordIndex


class LineSpool:
    """Lines end to end in a file; `index` holds where each begins and how long it is."""

    def __init__(self, path: Path, index: RecordIndex) -> None:
        self._file: BinaryIO = path.open("w+b", buffering=1 << 20)
        self._index = index
        self._offset = 0

    def add(self, line: bytes) -> None:
        """Append the line of the record that was indexed last."""
        self._file.write(line)
        self._index.place(self._offset, len(line))
        self._offset += len(line)

    def flush(self) -> None:
        """Make all lines readable."""
        self._file.flush()

    def line(self, record: int) -> bytes:
        """Return the line of one record."""
        index = self._index
        return os.pread(self._file.fileno(), index.lengths[record], index.offsets[record])

    def line_digest(self, record: int) -> bytes:
        """Return the SHA-256 of one record's line."""
        return sha256(self.line(record))

    def close(self) -> None:
        """Close the file; its folder is the caller's to remove."""
        self._file.close()

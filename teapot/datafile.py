"""One walk over a data file: its SHA-256, size, lines, and the digest of every line.

Memory does not grow with the file: line digests go to a scratch file. The hash of the whole file is
computed in a second thread, while this one splits and hashes lines (hashlib frees the lock).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

from teapot.errors import DataError, Problem
from teapot.interfaces import Progress, silent
from teapot.merkle import BLOCK_LEAVES, MerkleTree

BLOCK_BYTES = 4 << 20
MAX_LINE_BYTES = 64 << 20
"""Longer than any line that Teapot writes: a row has 16 MiB at most, and grows little."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MeasuredData:
    """What a data file is; `fault` says why it is not lines of bearable length, each with its LF.

    With a fault, `records` and `merkle_root` tell of the lines before it.
    """

    sha256: str
    bytes: int
    records: int
    merkle_root: str
    fault: str | None = None


def open_beside(path: Path) -> BinaryIO:
    """Return a file of a composition opened to read; never what lies outside of its folder.

    Raises:
        DataError: it is missing, no regular file, or a link that leads out of its folder.
    """
    folder = path.parent.resolve()
    try:
        if path.is_symlink() and path.resolve(strict=True).parent != folder:
            told = "is a symbolic link that leads out of its folder; put the file itself here"
            raise DataError(Problem(str(path), told))
        file = path.open("rb")
    except OSError as error:
        raise DataError(Problem(str(path), _missing(path, error))) from error
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise DataError(Problem(str(path), "is not a regular file"))
    return file


def measure_data(
    path: Path, digests: BinaryIO | None = None, *, progress: Progress = silent
) -> MeasuredData:
    """Return what a data file is, writing the 32-byte digests of its lines end to end.

    Raises:
        DataError: the file is missing, no regular file, or leads out of its folder.
    """
    tree, leaves = MerkleTree(), list[bytes]()
    with open_beside(path) as file:
        total = os.fstat(file.fileno()).st_size
        reader = _HashedBlocks(file)
        fault = None
        try:
            for lines in _lines(reader):
                leaves += [sha256(line).digest() for line in lines]
                if len(leaves) >= BLOCK_LEAVES:
                    _store(leaves, tree, digests)
                    leaves = []
                progress("verify", reader.bytes_read, total)
        except _LineError as error:
            fault = f"line {tree.leaves + len(leaves) + 1} {error}"
        _store(leaves, tree, digests)
        reader.drain()
    return MeasuredData(
        sha256=reader.hexdigest(),
        bytes=reader.bytes_read,
        records=tree.leaves,
        merkle_root=tree.root().hex(),
        fault=fault,
    )


class _LineError(ValueError):
    """What is wrong with the line that comes next."""


class _HashedBlocks:
    """Yields a file's blocks, each of which is hashed meanwhile in another thread."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._hash = sha256()
        self.bytes_read = 0

    def __iter__(self) -> Iterator[bytes]:
        pending: Future[None] | None = None
        with ThreadPoolExecutor(1) as hasher:
            while block := self._file.read(BLOCK_BYTES):
                if pending is not None:
                    pending.result()
                pending = hasher.submit(self._hash.update, block)
                self.bytes_read += len(block)
                yield block

    def drain(self) -> None:
        """Hash what is left of the file."""
        for _ in self:
            pass

    def hexdigest(self) -> str:
        """Return the SHA-256 of everything that was read."""
        return self._hash.hexdigest()


def _lines(blocks: _HashedBlocks) -> Iterator[list[bytes]]:
    """Yield the lines of a file without their LF, as many at a time as a block ends."""
    begun: list[bytes] = []
    begun_bytes = 0
    for block in blocks:
        first, *rest = block.split(b"\n")
        begun.append(first)
        begun_bytes += len(first)
        if begun_bytes > MAX_LINE_BYTES:
            raise _LineError(f"is longer than {MAX_LINE_BYTES:,} bytes")
        if rest:
            last = rest.pop()
            yield [b"".join(begun), *rest]
            begun, begun_bytes = [last], len(last)
    if begun_bytes:
        raise _LineError("has no LF at its end: the file was cut")


def _store(leaves: list[bytes], tree: MerkleTree, digests: BinaryIO | None) -> None:
    tree.extend(leaves)
    if digests is not None:
        digests.write(b"".join(leaves))


def _missing(path: Path, error: OSError) -> str:
    import unicodedata

    looks = unicodedata.normalize("NFKC", path.name).casefold()
    try:
        names = [other.name for other in path.parent.iterdir()]
    except OSError:
        names = []
    for name in names:
        if name != path.name and unicodedata.normalize("NFKC", name).casefold() == looks:
            return f"no such file; {name!a} looks like it, but its name is another one"
    return f"cannot be read: {error.strerror}"

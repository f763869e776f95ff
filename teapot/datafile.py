"""One walk over a data file or its shards: SHA-256, size, lines, and the digest of every line.

Memory does not grow with the file: line digests go to a scratch file. Every block is read once, and
hashed in a thread as part of the whole while its lines are hashed. Blocks are read into the same
few buffers again and again: to have the system clear a new one each time costs a tenth of the walk.
"""

from __future__ import annotations

import errno
import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO

from teapot.batches import hash_lines
from teapot.digest import DIGEST_BYTES
from teapot.errors import DataError, Problem
from teapot.files import open_regular
from teapot.hashingbeside import HasherBeside
from teapot.interfaces import Progress, silent
from teapot.merkle import BLOCK_LEAVES, MerkleTree

BLOCK_BYTES = 1 << 20
_BLOCKS_BEHIND = 3
SPARE_LINES = 1000
MAX_LINES = 1 << 40
MAX_LINE_BYTES = 64 << 20
"""Longer than any line that Teapot writes: a row has 16 MiB at most, and grows little."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MeasuredData:
    """What a data file is; `fault` says why it is not lines of bearable length, each with its LF.

    With a fault, `records` and `merkle_root` tell of the lines before it. Of shards, this is what
    those that could be read are end to end.
    """

    sha256: str
    bytes: int
    records: int
    merkle_root: str
    fault: str | None = None
    shards: tuple[MeasuredShard, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class MeasuredShard:
    """What one shard is; one that cannot be read has no `sha256`, and a `fault` that says why."""

    name: str
    sha256: str | None
    bytes: int = 0
    records: int = 0
    fault: str | None = None


def open_beside(path: Path) -> BufferedReader:
    """Return a file of a composition opened to read; never what lies outside of its folder.

    Raises:
        DataError: it is missing, no regular file, or a link that leads out of its folder.
    """
    folder = path.parent.resolve()
    try:
        if path.is_symlink() and path.resolve(strict=True).parent != folder:
            told = "is a symbolic link that leads out of its folder; put the file itself here"
            raise DataError(Problem(str(path), told))
        return open_regular(path)
    except RuntimeError as error:  # what Python 3.11 says of a link to itself
        told = f"cannot be read: {os.strerror(errno.ELOOP)}"
        raise DataError(Problem(str(path), told)) from error
    except OSError as error:
        raise DataError(Problem(str(path), _missing(path, error))) from error


def measure_data(
    path: Path,
    digests: BinaryIO | None = None,
    *,
    stated_lines: int | None = None,
    progress: Progress = silent,
) -> MeasuredData:
    """Return what a data file is, writing the 32-byte digests of its lines end to end.

    Far beyond `stated_lines` no line is looked at any more: that is a fault, whatever they hold.

    Raises:
        DataError: the file is missing, no regular file, or leads out of its folder.
    """
    with open_beside(path) as file, HasherBeside(most_behind=_BLOCKS_BEHIND) as whole:
        lines, blocks = _Lines(digests, _limit(stated_lines)), _Blocks()
        total = os.fstat(file.fileno()).st_size
        for block in blocks.of(file):
            whole.update(block)
            lines.take(block)
            progress("verify", whole.bytes, total)
        lines.end()
        return _measured(whole, lines)


def measure_shards(
    paths: Sequence[Path],
    digests: BinaryIO | None = None,
    *,
    stated_lines: int | None = None,
    progress: Progress = silent,
) -> MeasuredData:
    """Return what shards are end to end, and each by itself; a line must not go over an end."""
    total, shards = sum(map(_size, paths)), []
    with HasherBeside(most_behind=_BLOCKS_BEHIND) as whole:
        lines, blocks = _Lines(digests, _limit(stated_lines)), _Blocks()
        for path in paths:
            before, first = whole.bytes, lines.count
            try:
                with open_beside(path) as file, HasherBeside(most_behind=_BLOCKS_BEHIND) as own:
                    for block in blocks.of(file):
                        own.update(block)
                        whole.update(block)
                        lines.take(block)
                        progress("verify", whole.bytes, total)
                    lines.end_file()
                    found: str | None = own.hexdigest()
                fault = None if lines.fault is None else f"from here on: {lines.fault}"
            except DataError as error:
                found, fault = None, "; ".join(problem.message for problem in error.problems)
            shards.append(
                MeasuredShard(
                    name=path.name, sha256=found, bytes=whole.bytes - before,
                    records=lines.count - first, fault=fault,
                )
            )  # fmt: skip
        lines.end()
        return _measured(whole, lines, tuple(shards))


def _limit(stated_lines: int | None) -> int:
    return MAX_LINES if stated_lines is None else stated_lines + SPARE_LINES


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _measured(
    whole: HasherBeside, lines: _Lines, shards: tuple[MeasuredShard, ...] = ()
) -> MeasuredData:
    return MeasuredData(
        sha256=whole.hexdigest(), bytes=whole.bytes, records=lines.tree.leaves,
        merkle_root=lines.tree.root().hex(), fault=lines.fault, shards=shards,
    )  # fmt: skip


class _Blocks:
    """Buffers that files are read into, one block ahead of the caller.

    A block is valid until `_BLOCKS_BEHIND` others have followed it.
    """

    def __init__(self) -> None:
        sizes = [BLOCK_BYTES] * (_BLOCKS_BEHIND + 2)
        self._buffers = deque(memoryview(bytearray(size)) for size in sizes)

    def of(self, file: BufferedReader) -> Iterator[memoryview]:
        """Yield the blocks of a file; a thread reads the next one meanwhile."""
        with ThreadPoolExecutor(1) as thread:
            reading = thread.submit(file.readinto, self._buffers[0])
            while size := reading.result():
                block = self._buffers[0][:size]
                self._buffers.rotate()
                reading = thread.submit(file.readinto, self._buffers[0])
                yield block


class _Lines:
    """Hashes the lines of blocks that follow one another, until something is wrong with one."""

    def __init__(self, digests: BinaryIO | None, limit: int) -> None:
        self._digests = digests
        self._limit = limit
        self._begun = bytearray()  # the line that no block has ended yet
        self._waiting = bytearray()  # digests that the tree takes some thousands at a time
        self.tree = MerkleTree()
        self.fault: str | None = None

    def take(self, block: memoryview) -> None:
        """Hash the lines that end in the next block."""
        if self.fault is not None:
            return
        first, last = _line_ends(block)
        self._begun += block[:first] if first else block
        if first:
            self._add(hash_lines(self._begun) + hash_lines(block[first:last]))
            self._begun = bytearray(block[last:])
        if len(self._begun) > MAX_LINE_BYTES:
            self._fail(f"is longer than {MAX_LINE_BYTES:,} bytes")

    def end_file(self) -> None:
        """Take note that a file ends here; a line that was not ended is a fault."""
        if self.fault is None and self._begun:
            self._fail("has no LF at its end: the file was cut")

    def end(self) -> None:
        """Put what waits into the tree; a line that was not ended is a fault."""
        self.end_file()
        self.tree.extend_digests(self._waiting)
        self._waiting.clear()

    def _add(self, found: bytes) -> None:
        if self._digests is not None:
            self._digests.write(found)
        self._waiting += found
        whole = len(self._waiting) - len(self._waiting) % (BLOCK_LEAVES * DIGEST_BYTES)
        self.tree.extend_digests(self._waiting[:whole])
        del self._waiting[:whole]
        if self.count > self._limit:
            self.fault = f"there are over {self._limit:,} lines; the others were not looked at"

    def _fail(self, told: str) -> None:
        self.fault = f"line {self.count + 1} {told}"

    @property
    def count(self) -> int:
        """Return how many lines were hashed."""
        return self.tree.leaves + len(self._waiting) // DIGEST_BYTES


def _line_ends(block: memoryview) -> tuple[int, int]:
    """Return the places behind the first and the last LF of a block, 0 where there is none."""
    text = block.obj
    assert isinstance(text, bytearray)  # noqa: S101 - a buffer of `_Blocks`
    return text.find(b"\n", 0, len(block)) + 1, text.rfind(b"\n", 0, len(block)) + 1


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

"""One walk over a data file: its SHA-256, size, lines, and the digest of every line.

Memory does not grow with the file: line digests go to a scratch file. The whole file is hashed at
the same time as its lines, and the lines of a large file in ranges, each in a process that has
nothing else to do.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from io import BufferedReader
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from teapot.digest import DIGEST_BYTES, split_digests
from teapot.errors import DataError, Problem
from teapot.files import open_regular
from teapot.interfaces import Progress, silent
from teapot.merkle import BLOCK_LEAVES, MerkleTree
from teapot.processes import OwnProcesses

BLOCK_BYTES = 1 << 18
RANGE_BYTES = 1 << 25
PARALLEL_BYTES = 1 << 27
SPARE_LINES = 1000
MAX_LINES = 1 << 40
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
    with open_beside(path) as file:
        total = os.fstat(file.fileno()).st_size
    tree, fault, done = MerkleTree(), None, 0
    waiting: list[bytes] = []
    with _executor(total) as executor:
        whole = executor.submit(_hash_file, path)
        limit = MAX_LINES if stated_lines is None else stated_lines + SPARE_LINES
        for part in _parts(executor, path, total, limit):
            if digests is not None:
                digests.write(part.digests)
            waiting += split_digests(part.digests)
            whole_blocks = len(waiting) - len(waiting) % BLOCK_LEAVES
            tree.extend(waiting[:whole_blocks])
            del waiting[:whole_blocks]
            done += part.bytes
            progress("verify", done, total)
            if part.fault is not None:
                fault = f"line {tree.leaves + len(waiting) + 1} {part.fault}"
            elif tree.leaves + len(waiting) > limit:
                fault = f"there are over {limit:,} lines; the others were not looked at"
            if fault is not None:
                break
        tree.extend(waiting)
        sha256_of_all, size = whole.result()
    return MeasuredData(
        sha256=sha256_of_all, bytes=size, records=tree.leaves, merkle_root=tree.root().hex(),
        fault=fault,
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class _Part:
    """The digests of the lines that begin in a range, end to end, and the fault after them."""

    digests: bytes
    bytes: int
    fault: str | None = None


class _LineError(ValueError):
    """What is wrong with the line that comes next."""


def _executor(size: int) -> Executor:
    """Return where hashing is done: in threads, or for a large file in processes."""
    if size < PARALLEL_BYTES:
        return ThreadPoolExecutor(1)
    return OwnProcesses(max(2, os.cpu_count() or 1))


def _parts(executor: Executor, path: Path, size: int, limit: int) -> Iterator[_Part]:
    """Yield the parts of a file in order; a few are worked on ahead, never all of them."""
    if isinstance(executor, ThreadPoolExecutor):
        yield hash_lines(path, 0, size, limit)
        return
    pending: deque[Future[_Part]] = deque()
    starts = iter(range(0, size, RANGE_BYTES))
    while True:
        for start in islice(starts, 2 * (os.cpu_count() or 1) - len(pending)):
            pending.append(executor.submit(hash_lines, path, start, start + RANGE_BYTES, limit))
        if not pending:
            return
        yield pending.popleft().result()


def hash_lines(path: Path, start: int, stop: int, limit: int = MAX_LINES) -> _Part:
    """Return the digests of the lines that begin at a byte from `start` up to `stop`.

    After `limit` lines (and those of a buffer) it leaves the rest.
    """
    digests, fault = bytearray(), None
    with open_beside(path) as file:
        try:
            for digest in _line_digests(file, start, stop):
                digests += digest
                if len(digests) > limit * DIGEST_BYTES:
                    break
        except _LineError as error:
            fault = str(error)
    return _Part(digests=bytes(digests), bytes=stop - start, fault=fault)


def _line_digests(file: BufferedReader, start: int, stop: int) -> Iterator[bytes]:
    """Yield, a buffer at a time, the digests of lines without their LF, end to end."""
    buffer = bytearray(BLOCK_BYTES)
    filled, at = 0, max(start - 1, 0)
    skips = start > 0  # what comes before the first LF is the line of an earlier range
    file.seek(at)
    while got := file.readinto(memoryview(buffer)[filled:]):
        filled += got
        found, begun = [], 0
        view = memoryview(buffer)
        while at + begun < stop or skips:
            end = buffer.find(b"\n", begun, filled)
            if end < 0:
                break
            if skips:
                skips = False
            else:
                found.append(sha256(view[begun:end]).digest())
            begun = end + 1
        yield b"".join(found)
        if at + begun >= stop and not skips:
            return
        at += begun
        filled -= begun
        rest = view[begun : begun + filled].tobytes()
        del view
        if filled > MAX_LINE_BYTES:
            raise _LineError(f"is longer than {MAX_LINE_BYTES:,} bytes")
        if filled * 2 > len(buffer):
            buffer = bytearray(min(len(buffer) * 2, MAX_LINE_BYTES + 1))
        buffer[:filled] = rest
    if filled and not skips:
        raise _LineError("has no LF at its end: the file was cut")


def _hash_file(path: Path) -> tuple[str, int]:
    """Return the SHA-256 of a file as 64 hex digits, and the bytes that were hashed."""
    with open_beside(path) as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return digest, file.tell()


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

"""Byte ranges of plain JSON Lines, each read by itself; together they are the file's every line.

A range owns the lines that begin in it: what is read starts behind a LF and ends with one, or with
the file. So the pieces that ranges own lie end to end, however long a line is, and a walk over the
whole file finds the same pieces: their digests show that the bytes which were parsed, range by
range and whenever, are those of which the file's SHA-256 speaks.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from teapot.errors import DataError, Problem, SourceError
from teapot.interfaces import Block
from teapot.model.module import SourceSpec
from teapot.sources.jsonl import BLOCK_BYTES, overlong_line, refuse_wrong_start, whole_lines
from teapot.sources.local import LocalFile


@dataclass(frozen=True, kw_only=True, slots=True)
class PlainFile:
    """JSON Lines that are not packed, at a path or at a URL of any file system."""

    spec: SourceSpec
    size: int
    path: Path | None = None
    url: str | None = None
    revision: str | None = None

    @property
    def local(self) -> LocalFile:
        """Return how errors and digests speak of the file."""
        path = self.path or Path((self.url or "").rpartition("/")[2] or "file")
        return LocalFile(path=path, spec=self.spec, revision=self.revision)

    def open(self) -> BinaryIO:
        """Return the file, in which one can seek.

        Raises:
            SourceError: it cannot be read.
        """
        try:
            if self.path is not None:
                return self.path.open("rb", buffering=0)
            return cast(BinaryIO, _remote(self.url or ""))
        except Exception as error:  # every file system raises its own library's errors
            raise self.unreadable(error) from error

    def unreadable(self, error: Exception) -> SourceError:
        """Return the error of a file that cannot be read."""
        if self.path is not None and isinstance(error, OSError):
            return SourceError(self.local.problem(f"cannot be read: {error.strerror or error}"))
        told = f"{self.url or self.path} cannot be read: {type(error).__name__}: {error}"
        return SourceError(Problem(f"source {self.spec.id}", told))


@dataclass(frozen=True, slots=True)
class Span:
    """Where a range lies: from `start` to `stop`, or to the end of the file."""

    start: int
    stop: int | None


@dataclass(frozen=True, slots=True)
class Piece:
    """The bytes that a range owns: how many, and their SHA-256 as hex."""

    sha256: str
    bytes: int


@dataclass(frozen=True, slots=True)
class FilePieces:
    """A file, read in one go: its SHA-256 as hex, its size, and the pieces it is made of."""

    sha256: str
    bytes: int
    pieces: tuple[Piece, ...]


def spans_of(size: int, range_bytes: int) -> list[Span]:
    """Return the ranges of a file; there is one at least."""
    starts = list(range(0, size, range_bytes)) or [0]
    return [Span(start, stop) for start, stop in zip(starts, [*starts[1:], None], strict=True)]


class RangeReader:
    """The lines that one range owns, once, in blocks; `piece` is what was read in the end."""

    def __init__(self, file: PlainFile, span: Span) -> None:
        self._file, self._span = file, span
        self._hash, self._bytes = hashlib.sha256(), 0

    @property
    def piece(self) -> Piece:
        """Return what was read; valid once the blocks are exhausted."""
        return Piece(self._hash.hexdigest(), self._bytes)

    def blocks(self, *, again: bool) -> Iterator[Block]:
        """Yield the lines in blocks; of rows that can be read `again`, lines need not be kept."""
        for data in whole_lines(self._owned()):
            if isinstance(data, int):
                yield Block(b"", fault=overlong_line(data))
            else:
                yield Block(data, offset=0 if again else None)

    def _owned(self) -> Iterator[bytes]:
        """Yield the bytes from the first line that begins in the range to the end of the last."""
        with self._file.open() as raw:
            for data in _owned_bytes(raw, self._span, self._file):
                if self._span.start == 0 and not self._bytes:
                    refuse_wrong_start(data, self._file.local)
                self._hash.update(data)
                self._bytes += len(data)
                yield data


def pieces_of(file: PlainFile, spans: Sequence[Span]) -> FilePieces:
    """Return a file's SHA-256 and its pieces, reading it once from its start to its end."""
    whole, size = hashlib.sha256(), 0
    tiles = _Tiles([span.start for span in spans[1:]])
    with file.open() as raw:
        while data := _read(raw, file):
            whole.update(data)
            size += len(data)
            tiles.take(data)
    return FilePieces(whole.hexdigest(), size, tiles.end())


class _Tiles:
    """Cuts a stream behind the first LF at or behind the byte before each place in `cuts`."""

    def __init__(self, cuts: Sequence[int]) -> None:
        self._cuts, self._next = cuts, 0
        self._pieces: list[Piece] = []
        self._at, self._begun_at = 0, 0  # bytes taken; where the piece begins, and with it a line
        self._begin()

    def take(self, data: bytes) -> None:
        """Take the next bytes."""
        done, end = 0, self._at + len(data)
        while self._next < len(self._cuts) and self._cuts[self._next] <= end:
            cut = self._cuts[self._next]
            if cut > self._begun_at:  # else the line before went on behind it
                found = data.find(b"\n", max(cut - 1 - self._at, done))
                if found < 0:
                    break
                self._add(data[done : found + 1])
                done = found + 1
                self._begun_at = self._at + done
            self._finish()
        self._add(data[done:])
        self._at = end

    def end(self) -> tuple[Piece, ...]:
        """Return all pieces; those behind the last line are empty."""
        while len(self._pieces) <= len(self._cuts):
            self._finish()
        return tuple(self._pieces)

    def _begin(self) -> None:
        self._hash, self._size = hashlib.sha256(), 0

    def _add(self, data: bytes) -> None:
        self._hash.update(data)
        self._size += len(data)

    def _finish(self) -> None:
        self._pieces.append(Piece(self._hash.hexdigest(), self._size))
        self._next += 1
        self._begin()


def _owned_bytes(raw: BinaryIO, span: Span, file: PlainFile) -> Iterator[bytes]:
    at = max(span.start - 1, 0)
    raw.seek(at)
    is_begun = span.start == 0
    while data := _read(raw, file):
        end, first = at + len(data), 0
        if not is_begun:
            first = data.find(b"\n") + 1
            is_begun = first > 0
            if span.stop is not None and (at + first if is_begun else end) >= span.stop:
                return  # no line begins here: one from before goes on, or ends at the very end
        if is_begun:
            stop = _stop_in(data, at, first, span.stop)
            if stop is not None:
                yield data[first:stop]
                return
            yield data[first:]
        at = end


def _stop_in(data: bytes, at: int, first: int, stop: int | None) -> int | None:
    """Return where in data the last line of the range ends; None where it is further on."""
    if stop is None or at + len(data) < stop:
        return None
    return data.find(b"\n", max(stop - 1 - at, first)) + 1 or None


def _read(raw: BinaryIO, file: PlainFile) -> bytes:
    try:
        return raw.read(BLOCK_BYTES)
    except Exception as error:  # every file system raises its own library's errors
        raise file.unreadable(error) from error


def _remote(url: str) -> Any:
    import fsspec

    files, path = fsspec.core.url_to_fs(url)
    return files.open(path, "rb", block_size=BLOCK_BYTES, cache_type="readahead")


def changed(file: PlainFile) -> DataError:
    """Return the error of a file whose bytes were not the same each time they were read."""
    return DataError(file.local.problem("it changed while it was read; run again"))

"""Opening a local file by its format, and the guard that notices when it changes meanwhile."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from teapot.digest import sha256_file
from teapot.errors import DataError, DigestError, Problem, SourceError, UsageError
from teapot.interfaces import Progress, SourceIdentity, SourceReader, silent
from teapot.model.module import SourceSpec
from teapot.model.record import Fault, Row

Rows = Iterator[tuple[int, Row | Fault]]

_FORMATS = {
    ".jsonl": "jsonl", ".ndjson": "jsonl", ".jsonl.gz": "jsonl", ".jsonl.zst": "jsonl",
    ".ndjson.gz": "jsonl", ".ndjson.zst": "jsonl", ".parquet": "parquet", ".csv": "csv",
    ".db": "sqlite", ".sqlite": "sqlite", ".sqlite3": "sqlite",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class LocalFile:
    """A file on this machine that stands for a declared source."""

    path: Path
    spec: SourceSpec
    revision: str | None = None
    progress: Progress = silent
    label: str | None = None

    @property
    def where(self) -> str:
        """Return how errors name this source; `label` says it where there is no module."""
        return self.label or f"source {self.spec.id} ({self.path.name})"

    def problem(self, message: str) -> Problem:
        """Return a problem of this file."""
        return Problem(self.where, message)


def open_local(file: LocalFile, format_name: str | None = None) -> SourceReader:
    """Return a reader of a local file, in its declared format or the one its name tells.

    Raises:
        SourceError: there is no such file.
        UsageError: the format cannot be told, or the source lacks what the format needs.
    """
    from teapot.sources.csvfile import CsvReader
    from teapot.sources.jsonl import JsonlReader
    from teapot.sources.parquet import parquet_reader
    from teapot.sources.sqlite import SqliteReader

    readers: dict[str, Callable[[LocalFile], SourceReader]] = {
        "jsonl": JsonlReader, "parquet": parquet_reader, "csv": CsvReader, "sqlite": SqliteReader,
    }  # fmt: skip
    name = format_name or _format_of(file, frozenset(readers))
    if name not in readers:
        known = ", ".join(sorted(readers))
        raise UsageError(file.problem(f"no such format {name!r}, expected one of {known}"))
    if not file.path.is_file():
        found = "a folder" if file.path.is_dir() else "no file"
        raise SourceError(
            file.problem(
                f"{found} at {file.path}; give it with --source {file.spec.id}=PATH, or in "
                "teapot.sources.yaml"
            )
        )
    try:
        return readers[name](file)
    except OSError as error:
        raise SourceError(file.problem(f"cannot be read: {error.strerror or error}")) from error


def format_of_name(name: str) -> str | None:
    """Return the format that a file's name tells; None where it tells none."""
    suffixes = sorted(_FORMATS, key=len, reverse=True)
    return next((_FORMATS[one] for one in suffixes if name.lower().endswith(one)), None)


def _format_of(file: LocalFile, known: frozenset[str]) -> str:
    """Return the declared format, else what the file's name tells, the declared name, the kind."""
    spec = file.spec
    if spec.format is not None:
        return spec.format
    for name in (file.path.name, spec.file, spec.path, spec.url):
        told = format_of_name(name) if name is not None else None
        if told is not None:
            return told
    if spec.kind in known:
        return spec.kind
    raise UsageError(
        file.problem(f"the name does not tell the format; add format: {' or '.join(sorted(known))}")
    )


class UnchangedGuard:
    """Notices that a file was written to or replaced while it was read."""

    def __init__(self, file: LocalFile) -> None:
        self._file = file
        self._before = self._state()

    def check(self) -> None:
        """Raise when the file is not what it was at the start.

        Raises:
            DataError: it changed.
        """
        if self._state() != self._before:
            raise DataError(self._file.problem("it changed while it was read; run again"))

    def _state(self) -> tuple[int, int, int]:
        try:
            status = self._file.path.stat()
        except OSError as error:
            raise SourceError(self._file.problem(f"cannot be read: {error.strerror}")) from error
        return status.st_ino, status.st_size, status.st_mtime_ns


class WholeFileReader(ABC):
    """The base of formats that seek in their file: it is hashed first, then parsed."""

    def __init__(self, file: LocalFile) -> None:
        self.file = file
        self._guard = UnchangedGuard(file)
        self._rows = 0
        self._bytes = file.path.stat().st_size
        self._sha256 = check_digest(file, sha256_file(file.path))

    @abstractmethod
    def rows(self) -> Rows:
        """Yield the numbered rows of the file; each format has its own."""

    def __iter__(self) -> Rows:
        try:
            for number, row in self.rows():
                self._rows = number
                yield number, row
        except OSError as error:
            message = f"cannot be read: {error.strerror or error}"
            raise SourceError(self.file.problem(message)) from error
        self._guard.check()

    def identity(self) -> SourceIdentity:
        """Return what was read."""
        return SourceIdentity(
            uri=self.file.spec.uri, revision=self.file.revision, sha256=self._sha256,
            bytes=self._bytes, rows=self._rows,
        )  # fmt: skip


def check_digest(file: LocalFile, found: str) -> str:
    """Return `found` when it is the declared digest, or when none is declared.

    Raises:
        DigestError: the file has another digest than its module declares.
    """
    expected = file.spec.sha256
    if expected is not None and found != expected:
        raise DigestError(
            file.problem(
                f"its SHA-256 is {found}, expected {expected}: it is another file, or it was "
                "altered; fetch it anew or correct its sha256"
            )
        )
    return found

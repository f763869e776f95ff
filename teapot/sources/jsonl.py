"""JSON Lines, plain, gzip or Zstandard: one row per LF, read strictly and hashed in the same pass.

U+2028 is text, CR before LF is JSON white space. Refused as a whole: a byte order mark, UTF-16, a
broken or suspiciously large decompression. Refused as single rows: whatever is not strict JSON.
"""

from __future__ import annotations

import gzip
import sys
import zlib
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, BinaryIO, cast

import numpy

from teapot.batches import count_lines
from teapot.canonical import CanonicalError, check_numbers, kind_of, loads
from teapot.digest import HashingReader
from teapot.errors import DataError, SourceError
from teapot.interfaces import Block, SourceContext, SourceIdentity, SourceReader
from teapot.model.module import SourceSpec
from teapot.model.record import Fault, Row
from teapot.sources.local import LocalFile, Rows, UnchangedGuard, check_digest, open_local

MAX_LINE_BYTES = 16 << 20
MAX_RATIO = 200
RATIO_GRACE_BYTES = 16 << 20
BLOCK_BYTES = 4 << 20
BLOCK_ROWS = 1 << 16
"""No block has many more: once judged, even a row that is but a LF takes a kilobyte."""
_WRONG_STARTS = {
    b"\xff\xfe": "it is UTF-16, expected UTF-8; convert it",
    b"\xfe\xff": "it is UTF-16, expected UTF-8; convert it",
    b"\xef\xbb\xbf": "it is UTF-8 with a byte order mark; save it as plain UTF-8",
    b"\x1f\x8b": "it is gzip under another name; call it .jsonl.gz",
    b"\x28\xb5\x2f\xfd": "it is Zstandard under another name; call it .jsonl.zst",
    b"PAR1": "it is Parquet, expected JSON Lines",
    b"SQLite format 3\0": "it is an SQLite database, expected JSON Lines",
    b"[{": "it is one JSON array, expected an object per line; `jq -c '.[]'` converts it",
    b"[\n": "it is one JSON array, expected an object per line; `jq -c '.[]'` converts it",
}


class JsonlSource:
    """Source kind `jsonl`: a file beside the module."""

    def open(self, spec: SourceSpec, context: SourceContext) -> SourceReader:
        """Return a reader of `spec.path`, taken relative to the module file."""
        path = context.folder / (spec.path or "")
        return open_local(LocalFile(path=path, spec=spec, progress=context.progress), "jsonl")


class JsonlReader:
    """The rows of one JSONL file."""

    def __init__(self, file: LocalFile) -> None:
        self._file = file
        self._guard = UnchangedGuard(file)
        self._identity: SourceIdentity | None = None

    def __iter__(self) -> Rows:
        number = 0
        for block in self.blocks():
            for row in rows_of(block):
                number += 1
                yield number, row

    def blocks(self) -> Iterator[Block]:
        """Yield the rows in blocks, and know what was read in the end."""
        size, rows = self._file.path.stat().st_size, 0
        with self._opened() as raw:
            hashing = HashingReader(raw)
            for block in self._cut(hashing):
                rows += rows_in(block)
                yield block
                self._file.progress(self._file.spec.id, hashing.bytes_read, size)
            hashing.drain()
        self._guard.check()
        if rows == 0:
            raise DataError(self._file.problem("it is empty, expected at least one row"))
        self._identity = SourceIdentity(
            uri=self._file.spec.uri, revision=self._file.revision, bytes=hashing.bytes_read,
            sha256=check_digest(self._file, hashing.hexdigest()), rows=rows,
        )  # fmt: skip

    def again(self) -> BinaryIO | None:
        """Return the file, opened anew; None where its lines are packed."""
        return None if self._is_packed else self._opened()

    def plain(self) -> LocalFile | None:
        """Return the file where its lines lie in it as they are; None where they are packed."""
        return None if self._is_packed else self._file

    def identity(self) -> SourceIdentity:
        """Return what was read."""
        if self._identity is None:
            raise SourceError(self._file.problem("its identity was asked for before it was read"))
        return self._identity

    @property
    def _is_packed(self) -> bool:
        return self._file.path.name.lower().endswith((".gz", ".zst"))

    def _opened(self) -> BinaryIO:
        try:
            return self._file.path.open("rb")
        except OSError as error:
            message = f"cannot be read: {error.strerror}"
            raise SourceError(self._file.problem(message)) from error

    def _cut(self, raw: HashingReader) -> Iterator[Block]:
        offset = 0
        for number, data in enumerate(few_lines(whole_lines(self._blocks(raw)))):
            if isinstance(data, int):
                yield Block(b"", fault=overlong_line(data), number=number)
                offset += data + 1
            else:
                place = None if self._is_packed else offset
                yield Block(data, place, number=number, prefix_sha256=raw.digest())
                offset += len(data)

    def _blocks(self, raw: HashingReader) -> Iterator[bytes]:
        """Yield decompressed blocks, watching the start of the text and the ratio."""
        unpacked = 0
        # Named here: to import it where an error is being handled could hide that error.
        is_broken = (EOFError, zlib.error, gzip.BadGzipFile, _zstd().ZstdError)
        try:
            for block in _unpacked(self._file.path.name.lower(), raw):
                if unpacked == 0:
                    refuse_wrong_start(block, self._file)
                unpacked += len(block)
                if unpacked > RATIO_GRACE_BYTES and unpacked > MAX_RATIO * raw.bytes_read:
                    raise DataError(
                        self._file.problem(
                            f"it unpacks to more than {MAX_RATIO} times its size: a decompression "
                            "bomb, or a file to unpack by hand"
                        )
                    )
                yield block
        except is_broken as error:
            message = f"broken or cut short, cannot be unpacked: {error}"
            raise DataError(self._file.problem(message)) from error
        except OSError as error:
            message = f"cannot be read: {error.strerror or error}"
            raise SourceError(self._file.problem(message)) from error


def refuse_wrong_start(start: bytes, file: LocalFile) -> None:
    """Refuse a file whose first bytes tell that it is no plain JSON Lines in UTF-8.

    Raises:
        DataError: it is something else, or in another encoding.
    """
    for mark, told in _WRONG_STARTS.items():
        if start.startswith(mark):
            raise DataError(file.problem(told))
    if (start[:1] == b"\0") != (start[1:2] == b"\0"):
        raise DataError(file.problem("it is UTF-16, expected UTF-8; convert it"))


def parse_row(line: bytes) -> Row | Fault:
    """Return the object that one line holds, or why it holds none."""
    if not line.strip():
        return Fault("blank-line", "a line without a row")
    try:
        row = loads(line)
        check_numbers(row)
    except CanonicalError as error:
        reason = _reason(line, str(error).replace("line 1 column", "column"))
        return Fault("json", "not strict JSON", hint=reason)
    if not isinstance(row, dict):
        return Fault("json", f"a line holds {kind_of(row)}, expected an object")
    return row


def rows_of(block: Block) -> Iterator[Row | Fault]:
    """Yield each row of a block, or the fault that kept it from being parsed."""
    if block.fault is not None:
        yield block.fault
        return
    lines = bytes(block.data).split(b"\n")
    if not lines[-1]:
        lines.pop()
    yield from map(parse_row, lines)


def rows_in(block: Block) -> int:
    """Return how many rows a block has; the last need not end in LF."""
    if block.fault is not None:
        return 1
    return count_lines(block.data) + (block.data[-1:] != b"\n")


def whole_lines(blocks: Iterator[bytes]) -> Iterator[memoryview | int]:
    """Yield the same bytes cut behind a LF; of a line over the cap, only its length.

    No block is larger than the cap, so only a line that another block has begun can be over it.
    """
    begun, overlong = b"", 0
    for block in blocks:
        data = begun + block if begun else block
        start, first = 0, data.find(b"\n") + 1
        begun = b""
        if overlong and not first:
            overlong += len(data)
            continue
        if overlong or first - 1 > MAX_LINE_BYTES:
            yield overlong + first - 1
            start, overlong = first, 0
        stop = data.rfind(b"\n") + 1
        if stop > start:
            yield memoryview(data)[start:stop]
        begun = data[max(start, stop) :]
        if len(begun) > MAX_LINE_BYTES:
            begun, overlong = b"", len(begun)
    if overlong:
        yield overlong
    elif begun:
        yield memoryview(begun)


def few_lines(parts: Iterator[memoryview | int]) -> Iterator[memoryview | int]:
    """Yield the same parts, those of more than `BLOCK_ROWS` lines in several."""
    for part in parts:
        if isinstance(part, int) or count_lines(part) <= BLOCK_ROWS:
            yield part
            continue
        ends = numpy.flatnonzero(numpy.frombuffer(part, dtype=numpy.uint8) == ord("\n")) + 1
        cuts = ends[BLOCK_ROWS - 1 : -1 : BLOCK_ROWS].tolist()
        for start, stop in pairwise((0, *cuts, len(part))):
            yield part[start:stop]


def split_lines(blocks: Iterator[bytes]) -> Iterator[bytes | Fault]:
    """Yield lines without their LF; one over the cap comes as a fault and is never held whole."""
    carry = b""
    overlong = 0
    for block in blocks:
        lines = block.split(b"\n")
        if overlong:
            overlong += len(lines[0])
            if len(lines) == 1:
                continue
            yield overlong_line(overlong)
            overlong, lines = 0, lines[1:]
        else:
            lines[0] = carry + lines[0]
        carry = lines.pop()
        for line in lines:
            yield line if len(line) <= MAX_LINE_BYTES else overlong_line(len(line))
        if len(carry) > MAX_LINE_BYTES:
            overlong, carry = len(carry), b""
    if overlong:
        yield overlong_line(overlong)
    elif carry:
        yield carry


def overlong_line(length: int) -> Fault:
    """Return the fault of a line over the cap."""
    cap = MAX_LINE_BYTES >> 20
    return Fault("line-too-long", f"a line of {length} bytes, at most {cap} MiB allowed")


_REASONS = {
    "EOF while parsing": "cut short",
    "hex escape": "an escape that is not a character (a lone surrogate?)",
    "surrogate": "an escape that is not a character (a lone surrogate?)",
    "unicode": "bytes that are not UTF-8",
    "recursion limit": "nested too deep",
}


def _reason(line: bytes, error: str) -> str:
    """Return why a line is not strict JSON, in a user's words where the parser's would puzzle."""
    if error.startswith("Detected duplicate key"):
        return error.replace("Detected duplicate key", "the key").replace(" at ", " twice, at ")
    for sign, words in _REASONS.items():
        if sign in error:
            return f"{words}: {error}"
    word = next((word for word in (b"NaN", b"Infinity") if word in line), None)
    if word and ("expected value" in error or "invalid number" in error):
        return f"{word.decode()} is not JSON: {error}"
    return error


def _unpacked(name: str, raw: HashingReader) -> Iterator[bytes]:
    reader: Any = raw
    if name.endswith(".gz"):
        reader = gzip.GzipFile(fileobj=cast(BinaryIO, raw), mode="rb")
    elif name.endswith(".zst"):
        reader = _zstd().ZstdFile(cast(BinaryIO, raw), mode="rb")
    while block := reader.read(BLOCK_BYTES):
        yield block


def _zstd() -> Any:
    """Return the standard library's Zstandard module, or its backport."""
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    return zstd

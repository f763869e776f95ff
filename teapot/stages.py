"""The stages of a composition as tasks: functions of values, which may run anywhere and again.

Pass one judges the rows of a range, or of a source that has none, and returns their parts without
lines. Pass two reads the same bytes once more, makes the lines of the rows that are in the mix, and
sorts them into buckets, each a run of output lines; at last the lines of one bucket are put in
order.

What is guaranteed of a source: its SHA-256 is of the very bytes that were parsed, in both passes. A
plain file is hashed whole by one task, which tells the digest of every piece as well, and the piece
that a range was parsed from must have it (see `sources.ranges`); any other source is hashed by its
own reader while it is read, the second time to the same digest. No time stamp and no ETag is
believed. What is guaranteed of a line: where it is made, its record digest is compared with the one
from pass one, and where it is put in order it is hashed again, from the bytes that are written.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from importlib.metadata import version
from itertools import islice, pairwise
from pathlib import Path
from unicodedata import unidata_version

import numpy
from numpy.typing import NDArray

from teapot.batches import hash_lines
from teapot.checks.builtin import builtin_checks
from teapot.errors import DataError, Problem, UsageError
from teapot.finishing import Finisher, Finishing
from teapot.index import Numbers
from teapot.interfaces import (
    Block,
    BlockReader,
    Progress,
    SourceContext,
    SourceIdentity,
    SourceReader,
    silent,
)
from teapot.licensing import LicensePolicy
from teapot.model.module import Module, SourceSpec
from teapot.model.record import Fault, Row
from teapot.partcache import code_digest
from teapot.partfile import part_bytes
from teapot.partmaker import PartMaker
from teapot.parts import Part
from teapot.plugins import load_check
from teapot.records import RecordMaker, RecordOptions
from teapot.sourcemap import SourceMap
from teapot.sources.ranges import (
    FilePieces,
    Piece,
    PlainFile,
    RangeReader,
    Span,
    changed,
    pieces_of,
)
from teapot.tokens import TokenCounter

_PART_ROWS = 2048


@dataclass(frozen=True, kw_only=True, slots=True)
class Judging:
    """What judges the rows of one source; `code` tells the code that must do it."""

    module: Module
    source: SourceSpec
    allowed: tuple[str, ...] | None
    profile: tuple[str, ...]
    checks: tuple[str, ...]
    strip_think: bool
    include_reasoning: bool
    tokenizer: Path | None
    code: str
    finishing: Finishing = field(default_factory=Finishing)

    def maker(self, *, again: bool = False) -> FinishingMaker:
        """Return what makes parts, and finishes them; `again` where lines are made once more.

        Raises:
            UsageError: the code here is not the code that asked for it.
        """
        if self.code != code_here():
            told = "a worker has another Teapot, or other libraries, than the one that composes"
            raise UsageError(Problem("ray", f"{told}; install the same"))
        options = RecordOptions(
            licenses=LicensePolicy(self.allowed, self.profile),
            checks=[
                *builtin_checks(self.module.max_length),
                *(load_check(name)[0] for name in self.checks),
            ],
            strip_think=self.strip_think,
            include_reasoning=self.include_reasoning,
        )
        tokens = _counter(self.tokenizer) if self.tokenizer is not None else None
        maker = PartMaker(RecordMaker(self.module, self.source, options), tokens)
        return FinishingMaker(maker, Finisher(maker, self.finishing, again=again))


@dataclass(frozen=True, slots=True)
class FinishingMaker:
    """Makes parts, and does with their records what follows judging."""

    maker: PartMaker
    finisher: Finisher

    def of_block(self, block: Block) -> Part:
        """Return the part that a block makes."""
        return self.finisher.of_block(self.maker.of_block(block), block)

    def of_rows(self, rows: Sequence[Row | Fault]) -> Part:
        """Return the part that rows make."""
        return self.finisher.of_rows(self.maker.of_rows(rows), rows)


@dataclass(frozen=True, kw_only=True, slots=True)
class Opening:
    """How a source is opened that is read as a whole; paths must mean the same on every machine."""

    spec: SourceSpec
    places: SourceMap
    folder: Path
    cache: Path
    offline: bool
    pinned: str | None

    def context(self, progress: Progress = silent) -> SourceContext:
        """Return what the source may lean on."""
        return SourceContext(
            folder=self.folder, offline=self.offline, cache=self.cache, progress=progress
        )

    def reader(self, progress: Progress = silent) -> SourceReader:
        """Return a reader of the source."""
        return self.places.open(self.spec, self.context(progress), self.pinned)[0]


@dataclass(frozen=True, slots=True)
class JudgedRange:
    """The rows that a range owns, judged: the piece that they were parsed from, and their parts."""

    piece: Piece
    parts: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class JudgedSource:
    """The rows of a source, judged, and what was read."""

    identity: SourceIdentity
    parts: tuple[bytes, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Places:
    """The output lines of some rows that follow one another, and the digests of their records.

    Row r stands on `lines[starts[r]:starts[r + 1]]`; `digests` has one for each of `lines`.
    Bucket b is of the lines from `bounds[b]` to `bounds[b + 1]`. All count from 0.
    """

    starts: Numbers
    lines: Numbers
    digests: NDArray[numpy.uint8]
    bounds: Numbers


@dataclass(frozen=True, slots=True)
class Run:
    """Lines of one bucket, ascending: their numbers, sizes, digests, and the bytes end to end."""

    lines: Numbers
    sizes: Numbers
    digests: NDArray[numpy.uint8]
    data: NDArray[numpy.uint8]


def code_here() -> str:
    """Return what tells apart the code that judges rows, with what it leans on."""
    libraries = [f"{name} {version(name)}" for name in ("jiter", "license-expression", "orjson")]
    return " ".join((code_digest(), *libraries, f"unicode {unidata_version}"))


def hash_file(file: PlainFile, spans: tuple[Span, ...]) -> FilePieces:
    """Return the SHA-256 of a file and of each piece that a range of it owns."""
    return pieces_of(file, spans)


def judge_range(judging: Judging, file: PlainFile, span: Span) -> JudgedRange:
    """Return the rows that a range owns, judged."""
    maker, reader = judging.maker(), RangeReader(file, span)
    blocks = reader.blocks(again=not judging.finishing.needs_lines)
    parts = tuple(_sent(maker.of_block(block)) for block in blocks)
    return JudgedRange(reader.piece, parts)


def judge_source(judging: Judging, opening: Opening) -> JudgedSource:
    """Return the rows of a whole source, judged."""
    reader = opening.reader()
    parts = tuple(map(_sent, _parts_of(reader, judging.maker())))
    return JudgedSource(reader.identity(), parts)


def sort_range(
    judging: Judging, file: PlainFile, span: Span, piece: Piece, places: Places
) -> list[Run] | Run:
    """Return the lines of a range's rows for each bucket.

    Raises:
        DataError: the range is not what it was in pass one.
    """
    maker, reader = judging.maker(again=True), RangeReader(file, span)
    parts = [maker.of_block(block) for block in reader.blocks(again=False)]
    if reader.piece != piece:
        raise changed(file)
    return _sorted(parts, places, judging)


def sort_source(judging: Judging, opening: Opening, sha256: str, places: Places) -> list[Run] | Run:
    """Return the lines of a whole source's rows for each bucket.

    Raises:
        DataError: the source is not what it was in pass one.
    """
    reader = opening.reader()
    parts = list(_parts_of(reader, judging.maker(again=True)))
    if reader.identity().sha256 != sha256:
        told = "it changed while it was read; run again"
        raise DataError(Problem(f"source {opening.spec.id}", told))
    return _sorted(parts, places, judging)


def merge_bucket(first: int, count: int, *runs: Run) -> tuple[bytes, bytes]:
    """Return the lines of a bucket in order, each with its LF, and their digests, end to end.

    Raises:
        DataError: they are not the lines that were sent.
    """
    lines = numpy.concatenate([run.lines for run in runs])
    order = numpy.argsort(lines)
    if not numpy.array_equal(lines[order], numpy.arange(first, first + count)):
        raise DataError(_lost(first, count))
    views = [view for run in runs for view in _views(run)]
    data = b"".join([views[place] for place in order.tolist()])
    digests = numpy.concatenate([run.digests for run in runs])[order].tobytes()
    if hash_lines(data) != digests:
        raise DataError(_lost(first, count))
    return data, digests


@lru_cache(maxsize=1)
def _counter(path: Path) -> TokenCounter:
    return TokenCounter(path)


def _sent(part: Part) -> bytes:
    """Return a part as bytes, without lines, which pass two makes again."""
    return part_bytes(replace(part, lines=b""))


def _parts_of(reader: SourceReader, maker: FinishingMaker) -> Iterator[Part]:
    """Yield the parts of a whole source, with all of their lines."""
    if isinstance(reader, BlockReader):
        for block in reader.blocks():
            yield maker.of_block(replace(block, offset=None))
        return
    rows = (row for _, row in reader)
    while batch := _batch(rows):
        yield maker.of_rows(batch)


def _batch(rows: Iterable[Row | Fault]) -> list[Row | Fault]:
    return list(islice(rows, _PART_ROWS))


def _sorted(parts: list[Part], places: Places, judging: Judging) -> list[Run] | Run:
    """Return the lines of parts that follow one another for each bucket; one is no list."""
    rows = sum(len(part.entries) for part in parts)
    if rows != len(places.starts) - 1:
        raise DataError(_unlike(judging, f"{rows} rows, {len(places.starts) - 1} in pass one"))
    made = numpy.concatenate([part.entries[["offset", "length", "record"]] for part in parts])
    bases = numpy.cumsum([0, *(len(part.lines) for part in parts)], dtype=numpy.uint64)
    sizes = [len(part.entries) for part in parts]
    starts = made["offset"] + numpy.repeat(bases[:-1], sizes)
    row_of = numpy.repeat(numpy.arange(rows), numpy.diff(places.starts))
    if not numpy.array_equal(made["record"][row_of], places.digests):
        raise DataError(_unlike(judging, "a record has another digest than in pass one"))
    return _Sorter(
        data=memoryview(b"".join([part.lines for part in parts])), starts=starts,
        lengths=made["length"], row_of=row_of, places=places,
    ).runs()  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class _Sorter:
    """Lines end to end, where that of each row lies, and the row of each output line."""

    data: memoryview
    starts: Numbers
    lengths: Numbers
    row_of: Numbers
    places: Places

    def runs(self) -> list[Run] | Run:
        """Return the lines for each bucket; of one bucket, no list."""
        order = numpy.argsort(self.places.lines)
        cuts = numpy.searchsorted(self.places.lines[order], self.places.bounds).tolist()
        runs = [self._run(order[low:high]) for low, high in pairwise(cuts)]
        return runs if len(runs) > 1 else runs[0]

    def _run(self, chosen: Numbers) -> Run:
        """Return the lines at some of the places."""
        rows = self.row_of[chosen]
        firsts, sizes = self.starts[rows].tolist(), self.lengths[rows]
        lines = [self.data[at : at + size] for at, size in zip(firsts, sizes.tolist(), strict=True)]
        joined = b"\n".join([*lines, b""])  # a LF behind each, the last too
        return Run(
            lines=self.places.lines[chosen], sizes=sizes.astype(numpy.int64) + 1,
            digests=self.places.digests[chosen], data=numpy.frombuffer(joined, dtype=numpy.uint8),
        )  # fmt: skip


def _views(run: Run) -> Iterator[memoryview]:
    """Yield each line of a run, with its LF."""
    data, at = run.data.data, 0
    for size in run.sizes.tolist():
        yield data[at : at + size]
        at += size


def _unlike(judging: Judging, told: str) -> Problem:
    where = f"{judging.module.name} {judging.source.id}"
    return Problem(where, f"{told}, though the bytes are the same; run again, and tell us")


def _lost(first: int, count: int) -> Problem:
    where = f"lines {first + 1} to {first + count}"
    return Problem(where, "are not those that were sent by the tasks which made them; run again")

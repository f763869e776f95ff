"""Sources as tasks read them: plain JSON Lines by ranges, every other source as a whole.

Paths must mean the same on every machine of the cluster: a file system that all of them see, or
URLs. What lies in one process's memory cannot be read by tasks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any, Protocol
from urllib.parse import urlsplit

from teapot.errors import DataError, PluginError, Problem, UsageError
from teapot.finishing import finishing_of
from teapot.interfaces import Progress, SourceIdentity
from teapot.model.module import SourceSpec
from teapot.partfile import part_of
from teapot.parts import Part
from teapot.plugins import Plugin, load_source
from teapot.resolve import MixOptions, ModuleInMix, ResolvedMix
from teapot.sourcemap import Place, SourceMap
from teapot.sources.cache import cache_folder
from teapot.sources.fsspec import remote_size
from teapot.sources.jsonl import JsonlReader
from teapot.sources.local import check_digest
from teapot.sources.ranges import Piece, PlainFile, Span, changed, spans_of
from teapot.stages import (
    Judging,
    Opening,
    code_here,
    hash_file,
    judge_range,
    judge_source,
    sort_range,
    sort_source,
)

Job = tuple[Callable[..., Any], tuple[object, ...]]
"""A task, and what it is given."""
Take = Callable[[int], Any]
"""Gives the result of the job of this number, when it is made."""


class TaskSource(Protocol):
    """One source, as jobs; `plugin` is who provides it."""

    plugin: Plugin | None

    @property
    def size(self) -> int:
        """Return how many bytes will be cut into ranges."""
        ...

    def judging_jobs(self, range_bytes: int) -> list[Job]:
        """Return the jobs of pass one, in the order in which they should begin."""
        ...

    def parts(self, take: Take) -> Iterator[Part]:
        """Yield the parts that the jobs make, in order; know what was read in the end."""
        ...

    def identity(self) -> SourceIdentity:
        """Return what was read; valid once the parts are exhausted."""
        ...

    def sorting_jobs(self) -> Iterator[tuple[int, Job]]:
        """Yield the jobs of pass two, each with how many rows it has; places are given last."""
        ...


@dataclass(slots=True)
class RangedSource:
    """Plain JSON Lines, a job for each range, and one that hashes the file where it is cut."""

    judging: Judging
    plugin: Plugin | None
    file: PlainFile
    _spans: list[Span] = field(default_factory=list)
    _pieces: list[Piece] = field(default_factory=list)
    _rows: list[int] = field(default_factory=list)
    _identity: SourceIdentity | None = None

    @property
    def size(self) -> int:
        """Return the size of the file."""
        return self.file.size

    def judging_jobs(self, range_bytes: int) -> list[Job]:
        """Return a job that hashes the file, which takes longest, and one for each range."""
        self._spans = spans_of(self.file.size, range_bytes)
        hashing: list[Job] = [(hash_file, (self.file, tuple(self._spans)))]
        judging = [(judge_range, (self.judging, self.file, span)) for span in self._spans]
        return hashing * self._is_cut + judging

    def parts(self, take: Take) -> Iterator[Part]:
        """Yield the parts that the ranges make, and compare what they were parsed from.

        Raises:
            DataError: the file changed meanwhile, is empty, or is not what was declared.
        """
        for number in range(len(self._spans)):
            found, rows = take(number + self._is_cut), 0
            for data in found.parts:
                part = part_of(data)
                rows += len(part.entries)
                yield part
            self._pieces.append(found.piece)
            self._rows.append(rows)
        sha256, size = self._pieces[0].sha256, self._pieces[0].bytes
        if self._is_cut:
            whole = take(0)
            if list(whole.pieces) != self._pieces:
                raise changed(self.file)
            sha256, size = whole.sha256, whole.bytes
        self._identify(sha256, size)

    def identity(self) -> SourceIdentity:
        """Return what was read; valid once the parts are exhausted."""
        return _known(self._identity)

    def sorting_jobs(self) -> Iterator[tuple[int, Job]]:
        """Yield a job for each range."""
        for span, piece, rows in zip(self._spans, self._pieces, self._rows, strict=True):
            yield rows, (sort_range, (self.judging, self.file, span, piece))

    @property
    def _is_cut(self) -> bool:
        return len(self._spans) > 1

    def _identify(self, sha256: str, size: int) -> None:
        local = self.file.local
        if not sum(self._rows):
            raise DataError(local.problem("it is empty, expected at least one row"))
        self._identity = SourceIdentity(
            uri=local.spec.uri, revision=local.revision, bytes=size,
            sha256=check_digest(local, sha256), rows=sum(self._rows),
        )  # fmt: skip


@dataclass(slots=True)
class WholeSource:
    """Any other source, which one job reads from its start to its end."""

    judging: Judging
    plugin: Plugin | None
    opening: Opening
    _identity: SourceIdentity | None = None

    @property
    def size(self) -> int:
        """Return nothing: it is not cut."""
        return 0

    def judging_jobs(self, range_bytes: int) -> list[Job]:
        """Return the one job."""
        return [(judge_source, (self.judging, self.opening))]

    def parts(self, take: Take) -> Iterator[Part]:
        """Yield the parts of the whole source."""
        found = take(0)
        self._identity = found.identity
        yield from map(part_of, found.parts)

    def identity(self) -> SourceIdentity:
        """Return what was read; valid once the parts are exhausted."""
        return _known(self._identity)

    def sorting_jobs(self) -> Iterator[tuple[int, Job]]:
        """Yield the one job; what has revisions is read at the one that was read before."""
        read, opening = self.identity(), self.opening
        if read.revision is not None:
            opening = replace(opening, pinned=read.revision)
        yield read.rows, (sort_source, (self.judging, opening, read.sha256))


class SourceOpener:
    """Opens the sources of a mix for tasks, reading nothing of them."""

    def __init__(self, mix: ResolvedMix, options: MixOptions, tokenizer: Path | None) -> None:
        self._mix, self._options, self._tokenizer = mix, options, tokenizer
        given = SourceMap.gather(mix.file.path, options.sources, mix.source_ids())
        self._places = SourceMap({name: _absolute(place) for name, place in given.places.items()})

    @property
    def progress(self) -> Progress:
        """Return who is told how far the work is."""
        return self._options.progress

    def sources(self) -> dict[tuple[str, str], TaskSource]:
        """Return all sources by module and id, in the order of reading.

        Raises:
            PluginError, SourceError, UsageError: as `open` does.
        """
        return {
            (module.name, spec.id): self.open(module, spec)
            for module in self._mix.modules
            for spec in module.sources
        }

    def open(self, module: ModuleInMix, spec: SourceSpec) -> TaskSource:
        """Return a source of a module.

        Raises:
            PluginError: nobody provides its kind.
            SourceError, UsageError: it is missing, or tasks cannot read it.
        """
        place, judging = self._places.places.get(spec.id), self._judging(module, spec)
        plugin = None
        if place is None or place.path is None:
            try:
                plugin = load_source(spec.kind if place is None else "huggingface")[1]
            except PluginError as error:
                raise module.unknown_kind(spec, error) from error
        opening = Opening(
            spec=spec, places=self._places, folder=module.file.path.parent.absolute(),
            cache=(self._options.cache or cache_folder()).absolute(),
            offline=self._options.offline, pinned=self._mix.pins.get(f"{module.name} {spec.id}"),
        )  # fmt: skip
        file = self._plain_file(opening, place)
        if file is not None:
            return RangedSource(judging, plugin, file)
        return WholeSource(judging, plugin, opening)

    def _judging(self, module: ModuleInMix, spec: SourceSpec) -> Judging:
        config = self._mix.config
        return Judging(
            module=module.module, source=spec, allowed=config.license.allowed,
            profile=config.license.profile,
            checks=tuple(sorted({*config.checks, *module.module.checks})),
            strip_think=config.training.strip_think,
            include_reasoning=config.training.include_reasoning,
            tokenizer=self._tokenizer.absolute() if self._tokenizer is not None else None,
            code=code_here(), finishing=finishing_of(self._mix, module),
        )  # fmt: skip

    def _plain_file(self, opening: Opening, place: Place | None) -> PlainFile | None:
        """Return the file that a source's lines lie in as they are; None where they do not."""
        spec = opening.spec
        if place is None and spec.kind == "fsspec":
            _refuse_memory(spec)
            if not _may_be_plain(spec, spec.url):
                return None
            size = remote_size(spec, opening.context())
            return PlainFile(spec=spec, size=size, url=spec.url) if size is not None else None
        if not _may_be_plain(spec, _name_of(spec, place)):
            return None  # what others have opened, they have hashed: that is for a task to do
        reader = opening.reader(progress=self._options.progress)
        local = reader.plain() if isinstance(reader, JsonlReader) else None
        if local is None:
            return None
        return PlainFile(
            spec=local.spec, size=local.path.stat().st_size, path=local.path.absolute(),
            revision=local.revision,
        )  # fmt: skip


def _known(identity: SourceIdentity | None) -> SourceIdentity:
    assert identity is not None  # noqa: S101 - nobody asks before the parts are exhausted
    return identity


def _absolute(place: Place) -> Place:
    return place if place.path is None else replace(place, path=place.path.absolute())


def _name_of(spec: SourceSpec, place: Place | None) -> str | None:
    """Return the name of the file that a source is read from, if its kind has one."""
    if place is not None and place.path is not None:
        return place.path.name
    names = {"jsonl": spec.path, "huggingface": spec.file, "https": urlsplit(spec.url or "").path}
    return names.get(spec.kind if place is None else "huggingface")


def _may_be_plain(spec: SourceSpec, name: str | None) -> bool:
    if name is None or spec.format not in (None, "jsonl"):
        return False
    suffix = PurePosixPath(name.lower()).suffix
    told = spec.format == "jsonl" or spec.kind == "jsonl"
    return suffix in (".jsonl", ".ndjson") or (told and suffix not in (".gz", ".zst"))


def _refuse_memory(spec: SourceSpec) -> None:
    if (spec.url or "").startswith("memory:"):
        told = f"{spec.url} lies in the memory of one process; use --engine local"
        raise UsageError(Problem(f"source {spec.id}", told))

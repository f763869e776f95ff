"""A mix made by tasks on a cluster: they read and write all rows, and the plan stays here.

Parts come in the order of the sources, lines in the order of the output, whoever makes them and
when; so the index, the plan and every byte are those of one machine. `stages` says what holds of
sources and lines. This process holds the index and the plan, takes the lines bucket by bucket,
hashes them as one, and writes them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy
from numpy.typing import NDArray

from teapot.cluster import Cluster, Engine, Ref
from teapot.index import Numbers, RecordIndex
from teapot.interfaces import Progress, SourceIdentity
from teapot.mixing import Mix, RecordLines
from teapot.model.module import SourceSpec
from teapot.parts import Part
from teapot.plugins import Plugin
from teapot.resolve import ModuleInMix
from teapot.stages import Places, merge_bucket
from teapot.tasksources import Job, SourceOpener, Take, TaskSource

Lines = tuple[bytes, bytes]
_AHEAD = 3
"""How many tasks are asked for beforehand, for each that can run."""


class Distributed:
    """One mix on a cluster: every source is read through `open`, then `lines` gives the output."""

    def __init__(
        self, cluster: Cluster, engine: Engine, opener: SourceOpener, *, folder: Path
    ) -> None:
        """Keep what does not fit into memory in `folder`."""
        self._cluster, self._engine, self._folder = cluster, engine, folder
        self._progress = opener.progress
        self._window = _AHEAD * cluster.workers + 1
        self._sources = opener.sources()
        total = sum(source.size for source in self._sources.values())
        range_bytes = max(engine.range_bytes, total // engine.most_tasks)
        self._waiting: deque[tuple[tuple[str, str], int, Job]] = deque(
            (name, number, job)
            for name, source in self._sources.items()
            for number, job in enumerate(source.judging_jobs(range_bytes))
        )
        self._refs: dict[tuple[tuple[str, str], int], Ref] = {}

    def open(self, module: ModuleInMix, spec: SourceSpec) -> tuple[SourceInTasks, Plugin | None]:
        """Return what gives the parts of a source; sources are read in the order of the mix."""
        name = module.name, spec.id
        source = self._sources[name]
        take = partial(self._judged, name)
        return SourceInTasks(spec, source, take, self._progress), source.plugin

    def lines(self, index: RecordIndex, mix: Mix, spans: Sequence[range]) -> Iterator[Lines]:
        """Yield the lines of the mix in order; none of them go over the end of a span.

        Raises:
            DataError: a source is not what it was when it was read.
        """
        bounds = self._bounds(index, spans)
        runs = list(self._sorting(index, mix, bounds))
        merging: deque[Ref] = deque()
        for bucket, (first, stop) in enumerate(pairwise(bounds.tolist())):
            given = [run[bucket] for run in runs]
            merging.extend(self._cluster.submit(merge_bucket, first, stop - first, *given))
            for run in runs:
                run[bucket] = None  # what nobody asks for any more is let go
            if len(merging) >= self._window:
                yield self._cluster.result(merging.popleft())
        while merging:
            yield self._cluster.result(merging.popleft())

    def _judged(self, name: tuple[str, str], number: int) -> Any:
        """Return the result of a source's job, having asked for some of those that follow."""
        wanted = name, number
        while self._waiting and (wanted not in self._refs or len(self._refs) < self._window):
            source, place, (task, given) = self._waiting.popleft()
            (self._refs[source, place],) = self._cluster.submit(task, *given)
        return self._cluster.result(self._refs.pop(wanted))

    def _bounds(self, index: RecordIndex, spans: Sequence[range]) -> Numbers:
        """Return where each bucket begins, and the end; no bucket goes over the end of a span."""
        lengths = sum(int(chunk["length"].sum(dtype=numpy.int64)) for _, chunk in index.chunks())
        line_bytes = max(lengths / len(index), 1.0)
        most = line_bytes * spans[-1].stop / self._engine.most_tasks
        bucket_lines = max(self._engine.bucket_bytes, most) / line_bytes
        bounds = [0]
        for span in spans:
            count = min(max(round(len(span) / bucket_lines), 1), len(span))
            bounds.extend(span.start + len(span) * (n + 1) // count for n in range(count))
        return numpy.array(bounds, dtype=numpy.int64)

    def _sorting(self, index: RecordIndex, mix: Mix, bounds: Numbers) -> Iterator[list[Ref]]:
        """Yield, for each task that sorts lines into buckets, the runs that it makes."""
        first = 0
        running: deque[Ref] = deque()
        with closing(RecordLines(mix, self._folder)) as record_lines:
            for source in self._sources.values():
                for rows, (task, given) in source.sorting_jobs():
                    span, first = range(first, first + rows), first + rows
                    lines, starts = record_lines.of(mix.copies[span.start : span.stop])
                    if not len(lines):
                        continue  # nothing of it is in the mix
                    digests = _digests(index, span, starts)
                    places = Places(starts=starts, lines=lines, digests=digests, bounds=bounds)
                    runs = self._cluster.submit(task, *given, places, returns=len(bounds) - 1)
                    running.append(runs[0])
                    if len(running) >= self._window:
                        self._cluster.wait(running.popleft())
                    yield runs


class SourceInTasks:
    """The parts of one source, in order, as tasks give them."""

    def __init__(
        self, spec: SourceSpec, source: TaskSource, take: Take, progress: Progress
    ) -> None:
        self._spec, self._source, self._take, self._progress = spec, source, take, progress

    def parts(self) -> Iterator[Part]:
        """Yield the parts, and know what was read in the end.

        Raises:
            DataError: the source changed while it was read, or is not what was declared.
        """
        rows = 0
        for part in self._source.parts(self._take):
            rows += len(part.entries)
            yield part
            self._progress(self._spec.id, rows, None)

    def identity(self) -> SourceIdentity:
        """Return what was read; valid once the parts are exhausted."""
        return self._source.identity()


def _digests(index: RecordIndex, span: range, starts: Numbers) -> NDArray[numpy.uint8]:
    """Return the record digest for each line of the rows of a span."""
    found = [
        numpy.repeat(
            entries["record"],
            numpy.diff(starts[first - span.start : first - span.start + len(entries) + 1]),
            axis=0,
        )
        for first, entries in index.chunks(span)
    ]
    return numpy.concatenate(found)

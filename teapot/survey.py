"""Pass one: reads every source once, judges every row, and keeps what it found in the index.

Blocks are read and hashed in order, made into parts in threads, and put together in order, so that
neither the number of threads nor the size of blocks changes anything.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from itertools import islice
from typing import Any, Protocol
from unicodedata import unidata_version

import numpy

from teapot.curating import SHOWN, Curator
from teapot.errors import BadRowsError, DataError, PluginError, Problem, counted
from teapot.finishing import Finisher, Finishing, finishing_of
from teapot.index import NO_RECORD, RecordIndex, prefixes_of
from teapot.inorder import in_order
from teapot.interfaces import (
    Block,
    BlockReader,
    Check,
    RowWatcher,
    SourceContext,
    SourceIdentity,
    SourceReader,
)
from teapot.leakscreen import LEAKED
from teapot.ledger import LedgerSpool
from teapot.licenseterms import license_data
from teapot.licensing import LicensePolicy
from teapot.model.module import SourceSpec
from teapot.model.record import Dropped, Fault, Row
from teapot.model.report import SourceReport
from teapot.partcache import PartCache
from teapot.partmaker import PartMaker
from teapot.parts import Part, Reviewed
from teapot.plugins import Plugin
from teapot.records import RecordMaker, RecordOptions
from teapot.resolve import MixOptions, ModuleInMix, ResolvedMix
from teapot.sketches import Sketches
from teapot.sourcemap import SourceMap
from teapot.spool import Origin, Origins
from teapot.tokens import TokenCounter

SHOWN_BAD_ROWS = 20
SHOWN_EXAMPLES = 3
_PART_ROWS = 2048


@dataclass(slots=True)
class Tally:
    """The counts of one module while it is read."""

    read: int = 0
    usable: int = 0
    bad: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    repaired: Counter[str] = field(default_factory=Counter)
    noted: Counter[str] = field(default_factory=Counter)
    repeated_ids: int = 0
    bad_rows: list[Problem] = field(default_factory=list)
    leaks: list[Problem] = field(default_factory=list)
    curator: Curator | None = None


@dataclass(slots=True)
class Survey:
    """What pass one found."""

    index: RecordIndex
    tallies: dict[str, Tally] = field(default_factory=dict)
    sources: list[SourceReport] = field(default_factory=list)
    plugins: dict[str, Plugin] = field(default_factory=dict)


class PartReader(Protocol):
    """The parts of one source, once, in order."""

    def parts(self) -> Iterator[Part]:
        """Yield what the rows of the source make."""
        ...

    def identity(self) -> SourceIdentity:
        """Return what was read; valid once the parts are exhausted."""
        ...


class Elsewhere(Protocol):
    """Who makes the parts of sources where not this process does."""

    def open(self, module: ModuleInMix, spec: SourceSpec) -> tuple[PartReader, Plugin | None]:
        """Return what gives the parts of a source, and the plug-in that reads it."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Sinks:
    """Where outcomes go beside the index; when a mix is only planned, nowhere.

    `elsewhere` makes the parts, which then say nothing of where lines lie. `sketches` are kept
    where duplicates are told by more than equal contents.
    """

    elsewhere: Elsewhere | None = None
    origins: Origins | None = None
    ledger: LedgerSpool | None = None
    tokens: TokenCounter | None = None
    cache: PartCache | None = None
    sketches: Sketches | None = None


def survey(
    mix: ResolvedMix,
    options: MixOptions,
    checks: dict[str, list[Check]],
    *,
    found: Survey,
    sinks: Sinks,
) -> None:
    """Read all sources of a mix into `found`; `checks` are those of each module.

    Raises:
        BadRowsError: rows failed their checks and the policy does not let them be dropped.
        SourceError: a source is missing or cannot be reached.
        DataError: a source is not what was declared, or a module has no usable row.
    """
    training = mix.config.training
    licenses = LicensePolicy(mix.config.license.allowed, mix.config.license.profile)
    places = SourceMap.gather(mix.file.path, options.sources, mix.source_ids())
    for module in mix.modules:
        record_options = RecordOptions(
            licenses=licenses,
            checks=checks[module.name],
            strip_think=training.strip_think,
            include_reasoning=training.include_reasoning,
        )
        context = SourceContext(
            folder=module.file.path.parent,
            offline=options.offline,
            cache=options.cache,
            progress=options.progress,
        )
        finishing = finishing_of(mix, module)
        reading = _Reading(module, finishing, found, sinks=sinks, options=options)
        for spec in module.sources:
            if sinks.elsewhere is not None:
                reading.read_elsewhere(spec, sinks.elsewhere)
                continue
            reader, plugin = _opened(module, spec, places, context, mix.pins)
            if plugin is not None:
                found.plugins[f"source {plugin.name}"] = plugin
            maker = RecordMaker(module.module, spec, record_options)
            parts = PartMaker(maker, sinks.tokens, alone=options.watcher is not None)
            reading.read(spec, reader, parts, _facts(mix, module, spec, sinks))
        reading.end()
    _judge_bad_rows(mix, found)
    _refuse_leaked(mix, found)
    _refuse_unreviewed(mix, found)
    _refuse_empty(mix, found)


def _opened(
    module: ModuleInMix,
    spec: SourceSpec,
    places: SourceMap,
    context: SourceContext,
    pins: Mapping[str, str | None],
) -> tuple[SourceReader, Plugin | None]:
    try:
        return places.open(spec, context, pins.get(f"{module.name} {spec.id}"))
    except PluginError as error:
        raise module.unknown_kind(spec, error) from error


class _Reading:
    """Reads the sources of one module."""

    def __init__(
        self, module: ModuleInMix, finishing: Finishing, found: Survey, *, sinks: Sinks,
        options: MixOptions,
    ) -> None:  # fmt: skip
        self._module = module
        self._found = found
        self._sinks = sinks
        self._options = options
        curation = module.curation
        self._curator = Curator(curation) if curation is not None else None
        self._finishing = finishing
        self._tally = found.tallies[module.name] = Tally(curator=self._curator)

    def read(
        self, spec: SourceSpec, reader: SourceReader, maker: PartMaker, facts: Mapping[str, Any]
    ) -> None:
        """Read one source to its end; `facts` are what decides its parts beside its bytes."""
        made = _kept(maker, self._sinks.cache, facts)
        finisher = Finisher(maker, self._finishing)

        def make(block: Block) -> Part:
            return finisher.of_block(made(block), block)

        def of_rows(rows: Sequence[Row | Fault]) -> Part:
            return finisher.of_rows(maker.of_rows(rows), rows)

        parts = self._parts(spec, reader, maker, (make, of_rows))
        self._take_all(spec, parts, reader)

    def read_elsewhere(self, spec: SourceSpec, elsewhere: Elsewhere) -> None:
        """Take the parts of one source from whoever makes them."""
        reader, plugin = elsewhere.open(self._module, spec)
        if plugin is not None:
            self._found.plugins[f"source {plugin.name}"] = plugin
        self._take_all(spec, reader.parts(), reader)

    def _take_all(
        self, spec: SourceSpec, parts: Iterator[Part], reader: SourceReader | PartReader
    ) -> None:
        name, first = self._module.name, 0
        self._found.index.begin_source(f"{name} {spec.id}")
        for part in parts:
            part.entries["row"] += first
            self._take(
                part if self._curator is None else self._curator.applied(part, spec.id), spec
            )
            first += len(part.entries)
        identity = reader.identity()
        self._found.sources.append(
            SourceReport(
                module=name, id=spec.id, kind=spec.kind, uri=identity.uri,
                revision=identity.revision, sha256=identity.sha256, bytes=identity.bytes,
                rows=identity.rows, digest_of=identity.digest_of, expected=spec.examples,
            )
        )  # fmt: skip

    def end(self) -> None:
        """Close the module and count its ids that stand on rows of unlike content."""
        index = self._found.index
        index.end_module(self._module.name)
        span = index.spans[self._module.name]
        is_usable = index.column("state", span) != NO_RECORD
        ids = index.column("id_hash", span)[is_usable]
        if len(numpy.unique(ids)) == len(ids):
            return
        contents = numpy.concatenate(
            [prefixes_of(entries["content"]) for _, entries in index.chunks(span)]
        )[is_usable]
        unlike = numpy.unique(numpy.stack((ids, contents)), axis=1).shape[1]
        self._tally.repeated_ids = unlike - len(numpy.unique(ids))

    def _parts(
        self,
        spec: SourceSpec,
        reader: SourceReader,
        maker: PartMaker,
        making: tuple[Callable[[Block], Part], Callable[[Sequence[Row | Fault]], Part]],
    ) -> Iterator[Part]:
        """Yield what the source's blocks make, in order; note where their lines lie."""
        watcher, (make, of_rows) = self._options.watcher, making
        blocks = reader if watcher is None and isinstance(reader, BlockReader) else None
        is_read_again = self._is_read_again(blocks, maker)
        if blocks is not None:
            given = blocks.blocks()
            if not is_read_again:
                given = (replace(block, offset=None) for block in given)
            # Nobody asks of a plug-in that several threads may call it at once.
            workers = 1 if maker.asks_plugins else self._options.workers
            yield from in_order(make, given, workers)
        elif watcher is not None:
            yield from map(of_rows, _batches(self._watched(spec, reader, watcher)))
        else:
            yield from map(of_rows, _batches(row for _, row in reader))

    def _is_read_again(self, blocks: BlockReader | None, maker: PartMaker) -> bool:
        """Keep a source open whose lines are made again; False where they must be spooled."""
        origins, common = self._sinks.origins, maker.common
        needs_lines = self._finishing.needs_lines
        if origins is None:
            return not needs_lines
        again = None
        if blocks is not None and common is not None and origins.has_room and not needs_lines:
            again = blocks.again()
        origins.add(Origin(again, common))
        return again is not None or (common is None and not needs_lines)

    def _watched(
        self, spec: SourceSpec, reader: SourceReader, watcher: RowWatcher
    ) -> Iterator[Row | Fault]:
        for number, row in reader:
            if not isinstance(row, Fault):
                watcher(self._module.name, spec.id, number, row)
            yield row

    def _take(self, part: Part, spec: SourceSpec) -> None:
        tally, sinks = self._tally, self._sinks
        tally.read += len(part.entries)
        tally.usable += int((part.entries["state"] != NO_RECORD).sum())
        for place, odd in part.odd.items():
            if isinstance(odd, Dropped):
                self._drop(odd, spec, int(part.entries["row"][place]))
            else:
                tally.repaired.update(odd.repairs)
                if isinstance(odd, Reviewed):
                    tally.noted.update(odd.counted)
        if sinks.origins is not None:
            sinks.origins.place(part)
        self._found.index.extend(part.entries, part.licenses)
        if sinks.ledger is not None:
            sinks.ledger.add(part)
        if sinks.sketches is not None:
            sinks.sketches.add(part)

    def _drop(self, dropped: Dropped, spec: SourceSpec, number: int) -> None:
        tally = self._tally
        tally.dropped[dropped.reason] += 1
        if not dropped.bad and dropped.reason != LEAKED:
            return
        tally.bad += dropped.bad
        problems = tally.bad_rows if dropped.bad else tally.leaks
        if len(problems) < SHOWN_BAD_ROWS:
            place = f"{self._module.name} {spec.id}:{number}"
            shown = f" (id {dropped.id})" if dropped.id else ""
            problems.append(Problem(place, dropped.shown + shown))


def _facts(mix: ResolvedMix, module: ModuleInMix, spec: SourceSpec, sinks: Sinks) -> dict[str, Any]:
    """Return what decides the parts of a source, beside its bytes and the code."""
    training, declared = mix.config.training, module.module
    decides = replace(declared, sources=(), suggested_weight=None, min_examples=None)
    libraries = ["jiter", "license-expression", "orjson"]
    if sinks.tokens is not None:
        libraries.append("tokenizers")
    return {
        "module": asdict(decides),
        "source": asdict(spec),
        "allowed": mix.config.license.allowed,
        "profile": [*mix.config.license.profile, license_data().sha256],
        "strip_think": training.strip_think,
        "include_reasoning": training.include_reasoning,
        "tokenizer": sinks.tokens.sha256 if sinks.tokens is not None else None,
        "libraries": {name: version(name) for name in libraries},
        "unicode": unidata_version,
    }


def _kept(
    maker: PartMaker, cache: PartCache | None, facts: Mapping[str, Any]
) -> Callable[[Block], Part]:
    """Return what makes parts, or takes them from the cache, and keeps what it made."""
    if cache is None or maker.asks_plugins:
        return maker.of_block
    key = cache.key(facts)

    def make(block: Block) -> Part:
        part = cache.get(key, block)
        if part is None or not maker.knows(part):
            part = maker.of_block(block)
            cache.put(key, block, part)
        return part

    return make


def _batches(rows: Iterator[Row | Fault]) -> Iterator[list[Row | Fault]]:
    while batch := list(islice(rows, _PART_ROWS)):
        yield batch


def _judge_bad_rows(mix: ResolvedMix, found: Survey) -> None:
    """Fail where a bad row must fail the run, and where too many were dropped."""
    strict = [found.tallies[m.name] for m in mix.modules if m.on_bad_row == "fail"]
    problems = [problem for tally in strict for problem in tally.bad_rows][:SHOWN_BAD_ROWS]
    failing = sum(tally.bad for tally in strict)
    if failing > len(problems):
        problems.append(Problem("", f"and {counted(failing - len(problems), 'more bad row')}"))
    if failing:
        advice = "mend them, drop them with on_bad_row: drop, or let the module repair them"
        problems.append(Problem("", f"{counted(failing, 'bad row')}; {advice}"))
    problems.extend(_too_many(mix, found))
    if problems:
        raise BadRowsError(*problems)


def _too_many(mix: ResolvedMix, found: Survey) -> Iterator[Problem]:
    """Yield what is over a limit of bad rows, with the first of them."""
    for module in mix.modules:
        tally = found.tallies[module.name]
        if module.max_bad_rows is not None and tally.bad > module.max_bad_rows:
            if module.on_bad_row == "drop":
                yield from tally.bad_rows[:SHOWN_EXAMPLES]
            limit = f"at most {module.max_bad_rows} allowed by max_bad_rows"
            yield Problem(module.name, f"{counted(tally.bad, 'bad row')}, {limit}")
    total = sum(tally.bad for tally in found.tallies.values())
    allowed = mix.config.max_bad_rows
    if allowed is not None and total > allowed:
        for tally in found.tallies.values():
            yield from tally.bad_rows[:SHOWN_EXAMPLES]
        told = f"{counted(total, 'bad row')} in the mix, at most {allowed} allowed by max_bad_rows"
        yield mix.file.problem(("max_bad_rows",), told)


def _refuse_leaked(mix: ResolvedMix, found: Survey) -> None:
    """Fail where records hold of an evaluation set what must not be in the mix at all."""
    tallies = found.tallies.values()
    problems = [problem for tally in tallies for problem in tally.leaks][:SHOWN_BAD_ROWS]
    leaked = sum(tally.dropped[LEAKED] for tally in tallies)
    if leaked:
        told = f"{counted(leaked, 'record')} of evaluation sets in the mix"
        if leaked > len(problems):
            told += f", of which the first {len(problems)} are named"
        told += "; take them out, or say what becomes of them (rows: drop, overlap: drop)"
        place = ("decontaminate",) if mix.config.decontaminate else ("eval", "sets")
        raise DataError(*problems, mix.file.problem(place, told))


def _refuse_unreviewed(mix: ResolvedMix, found: Survey) -> None:
    """Fail where the config asks for a verdict on every row, and one has none."""
    problems: list[Problem] = []
    for module in mix.modules:
        curator = found.tallies[module.name].curator
        if curator is None or not curator.tally.fails:
            continue
        rows = curator.tally.rows["unreviewed"]
        problems.extend(
            Problem(f"{module.name} {source}:{row}", f"no verdict on content {content}")
            for source, row, content in curator.tally.fails
        )
        told = f"{counted(rows, 'row')} without a verdict in {curator.curation.use}"
        if rows > SHOWN:
            told += f", of which the first {SHOWN} are named"
        told += "; review them, or let them in with unreviewed: keep"
        problems.append(mix.file.problem(("curations", module.name), told))
    if problems:
        raise DataError(*problems)


def _refuse_empty(mix: ResolvedMix, found: Survey) -> None:
    problems = []
    for module in mix.modules:
        tally = found.tallies[module.name]
        if not tally.usable:
            problems.extend(tally.bad_rows[:SHOWN_EXAMPLES])
            counts = sorted(tally.dropped.items())
            reasons = ", ".join(f"{count} {reason}" for reason, count in counts)
            told = f"no usable row of {tally.read} read ({reasons or 'no rows'}); turn it off"
            problems.append(mix.file.problem(("modules", module.name), told))
    if problems:
        raise DataError(*problems)

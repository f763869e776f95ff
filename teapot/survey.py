"""Pass one: reads every source once, judges every row, and keeps a compact index of what is usable.

This is the hot path of the whole tool: what happens per row happens here and in `records`.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy

from teapot.digest import sha256
from teapot.errors import BadRowsError, DataError, PluginError, Problem, counted
from teapot.index import RecordIndex
from teapot.interfaces import Check, RowWatcher, SourceContext, SourceReader
from teapot.ledger import LedgerSpool
from teapot.licensing import LicensePolicy
from teapot.model.module import SourceSpec
from teapot.model.record import Dropped, Example, Fault
from teapot.model.report import SourceReport
from teapot.plugins import Plugin
from teapot.records import RecordMaker, RecordOptions
from teapot.resolve import MixOptions, ModuleInMix, ResolvedMix
from teapot.sourcemap import SourceMap
from teapot.spool import LineSpool
from teapot.tokens import TokenCounter

SHOWN_BAD_ROWS = 20
SHOWN_EXAMPLES = 3


@dataclass(slots=True)
class Tally:
    """The counts of one module while it is read."""

    read: int = 0
    usable: int = 0
    bad: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    repaired: Counter[str] = field(default_factory=Counter)
    repeated_ids: int = 0
    bad_rows: list[Problem] = field(default_factory=list)


@dataclass(slots=True)
class Survey:
    """What pass one found."""

    index: RecordIndex = field(default_factory=RecordIndex)
    tallies: dict[str, Tally] = field(default_factory=dict)
    sources: list[SourceReport] = field(default_factory=list)
    plugins: dict[str, Plugin] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Sinks:
    """Where lines and outcomes go; when a mix is only planned, no more than the lines' digests."""

    lines: LineSpool | None = None
    line_digests: bytearray | None = None
    ledger: LedgerSpool | None = None
    tokens: TokenCounter | None = None


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
    licenses = LicensePolicy(mix.config.license.allowed)
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
        reading = _Reading(module, found, sinks, options.watcher)
        for spec in module.sources:
            reader, plugin = _opened(module, spec, places, context, mix.pins)
            if plugin is not None:
                found.plugins[f"source {plugin.name}"] = plugin
            reading.read(spec, reader, RecordMaker(module.module, spec, record_options))
        reading.end()
    _judge_bad_rows(mix, found)
    _refuse_empty(mix, found)


def unparsed(fault: Fault) -> Dropped:
    """Return what becomes of a row that could not be parsed."""
    return Dropped(reason=fault.code, detail=str(fault), shown=fault.shown())


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
        number = [source.id for source in module.module.sources].index(spec.id)
        path = ("sources", number, "kind")
        raise PluginError(module.file.document.problem(path, str(error))) from error


class _Reading:
    """Reads the sources of one module."""

    def __init__(
        self, module: ModuleInMix, found: Survey, sinks: Sinks, watcher: RowWatcher | None
    ) -> None:
        self._module = module
        self._found = found
        self._sinks = sinks
        self._watcher = watcher
        self._tally = found.tallies[module.name] = Tally()
        self._ids = array("q")

    def read(self, spec: SourceSpec, reader: SourceReader, maker: RecordMaker) -> None:
        """Read one source to its end."""
        name, tally = self._module.name, self._tally
        ledger, watcher = self._sinks.ledger, self._watcher
        self._found.index.begin_source(f"{name} {spec.id}")
        for number, row in reader:
            tally.read += 1
            if isinstance(row, Fault):
                outcome: Example | Dropped = unparsed(row)
            else:
                outcome = maker.make(row)
                if watcher is not None:
                    watcher(name, spec.id, number, row)
            if isinstance(outcome, Example):
                self._keep(outcome, number)
            else:
                self._drop(outcome, spec, number)
            if ledger is not None:
                ledger.add(name, spec.id, number, outcome)
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
        self._found.index.end_module(self._module.name)
        if self._ids:
            ids = numpy.frombuffer(self._ids, dtype=numpy.int64)
            if len(numpy.unique(ids)) == len(ids):
                return
            span = self._found.index.spans[self._module.name]
            contents = self._found.index.digest_keys(span)[:, 0].astype(numpy.int64)
            unlike = numpy.unique(numpy.stack((ids, contents)), axis=1).shape[1]
            self._tally.repeated_ids = unlike - len(numpy.unique(ids))

    def _keep(self, example: Example, number: int) -> None:
        tally, sinks = self._tally, self._sinks
        tally.usable += 1
        if example.repairs:
            tally.repaired.update(example.repairs)
        tokens = sinks.tokens.count(example.messages) if sinks.tokens is not None else 0
        self._found.index.add(
            example.content_digest, example.license, row=number,
            characters=example.characters, tokens=tokens,
        )  # fmt: skip
        if sinks.lines is not None:
            sinks.lines.add(example.line)
        if sinks.line_digests is not None:
            sinks.line_digests.extend(sha256(example.line))
        self._ids.append(hash(example.id))

    def _drop(self, dropped: Dropped, spec: SourceSpec, number: int) -> None:
        tally = self._tally
        tally.dropped[dropped.reason] += 1
        if not dropped.bad:
            return
        tally.bad += 1
        if len(tally.bad_rows) < SHOWN_BAD_ROWS:
            place = f"{self._module.name} {spec.id}:{number}"
            shown = f" (id {dropped.id})" if dropped.id else ""
            tally.bad_rows.append(Problem(place, dropped.shown + shown))


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

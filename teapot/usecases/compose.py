"""The use cases `plan` and `compose`: from a config to numbers, or to one proven training file."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from teapot.amounts import Usable, solve, unique_lines
from teapot.attribution import attributed
from teapot.checks.builtin import builtin_checks
from teapot.contents import ContentsFacts, hash_contents
from teapot.digest import sha256_hex
from teapot.emit import DataFacts, contents_of, gathered, write_data, write_orders
from teapot.epochs import EpochOrders, UniqueRecords
from teapot.errors import ConfigError, DataError, ExpectationError, Problem, UsageError, counted
from teapot.evalsets import with_eval_sets
from teapot.files import OutputPaths, Stage, recover, staged
from teapot.index import RecordIndex
from teapot.interfaces import Check
from teapot.ledger import LedgerFacts, LedgerSpool
from teapot.lock import Lock
from teapot.mixing import Beside, Mix, Rules, plan_mix
from teapot.model.attribution import AttributedPart, Attribution
from teapot.model.manifest import DataFile, LedgerFile, Manifest, OrderFile, told_of
from teapot.model.recipe import Recipe
from teapot.model.report import MixReport
from teapot.names import file_fault
from teapot.outputtargets import OutputTargets
from teapot.partcache import PartCache
from teapot.plugins import load_check, plugin_versions
from teapot.reporting import attributed_parts, make_recipe, report_mix
from teapot.resolve import MixOptions, ResolvedMix, resolve
from teapot.shards import shard_spans, stem_of
from teapot.sketches import Sketches, bands_of
from teapot.sourcemap import SourceMap
from teapot.sources.cache import cache_folder
from teapot.splitting import Split
from teapot.spool import Origins
from teapot.survey import Sinks, Survey, survey
from teapot.tokens import TokenCounter
from teapot.version import __version__

if TYPE_CHECKING:
    from teapot.distributed import Distributed

Signer = Callable[[bytes], bytes]


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What a mix would be: nothing was written."""

    name: str
    config: Path
    recipe: Recipe
    report: MixReport

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as JSON values."""
        return {
            "name": self.name,
            "recipe_sha256": self.recipe.sha256(),
            **self.report.to_dict(),
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Composition:
    """What a mix is: the files that were written, and their hashes as 64 hex digits."""

    name: str
    paths: OutputPaths
    data: DataFile
    ledger: LedgerFile
    manifest_sha256: str
    is_signed: bool
    recipe_sha256: str
    report: MixReport
    attribution: Attribution | None = None
    validation: DataFile | None = None
    orders: tuple[OrderFile, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the composition as JSON values."""
        made = self.attribution
        path = str(self.paths.attribution)
        return {
            "name": self.name,
            "data": {
                "path": str(self.paths.data), "sha256": self.data.sha256,
                "bytes": self.data.bytes, "records": self.data.records,
                "merkle_root": self.data.merkle_root, **self._shards(),
            },
            "ledger": {
                "path": str(self.paths.ledger), "rows": self.ledger.rows,
                "rows_sha256": self.ledger.rows_sha256,
            },
            "manifest": {"path": str(self.paths.manifest), "sha256": self.manifest_sha256},
            "signature": {"path": str(self.paths.bundle)} if self.is_signed else None,
            **({"attribution": {"path": path, "sha256": made.sha256}} if made else {}),
            **self._validation(),
            **self._orders(),
            "recipe_sha256": self.recipe_sha256,
            **self.report.to_dict(),
        }  # fmt: skip

    def _validation(self) -> dict[str, Any]:
        held = self.validation
        if held is None:
            return {}
        return {"validation": {**told_of(held), "path": str(self.paths.validation)}}

    def _orders(self) -> dict[str, Any]:
        files = zip(self.orders, self.paths.orders(len(self.orders)), strict=True)
        told = [{**asdict(order), "path": str(path)} for order, path in files]
        return {"orders": told} if told else {}

    def _shards(self) -> dict[str, Any]:
        shards = self.data.shards
        files = zip(shards, self.paths.shards(len(shards)), strict=True)
        told = [{**asdict(shard), "path": str(path)} for shard, path in files]
        return {"shards": told} if told else {}


@dataclass(slots=True)
class _Run:
    """One walk through a mix: what was resolved, and what is asked of it."""

    resolved: ResolvedMix
    options: MixOptions
    tokens: TokenCounter | None

    @property
    def tokenizer(self) -> str | None:
        """Return the SHA-256 of the tokenizer, where one counts."""
        return None if self.tokens is None else self.tokens.sha256

    @property
    def split(self) -> Split | None:
        """Return what is to be held out, None where nothing is."""
        asked = self.resolved.config.split
        return (
            None
            if asked is None
            else Split(asked.validation, relatives=self.resolved.config.relatives)
        )


def plan(
    config: str | Path,
    options: MixOptions | None = None,
    *,
    lock: Lock | None = None,
    unlocked: Collection[str] = (),
) -> Plan:
    """Return what a mix would be, reading every source and writing nothing.

    With a `lock`, sources must be what it pins, but for those of the modules in `unlocked`.

    Raises:
        TeapotError: whatever `compose` would refuse, but for the expected number of examples,
            which `plan` exists to show.
    """
    options = options or MixOptions()
    run = _start(config, options)
    if lock is not None:
        run.resolved = lock.pin(run.resolved, but=unlocked)
    with closing(RecordIndex()) as index, _sketches(run) as sketches:
        sinks = Sinks(tokens=run.tokens, cache=_cache(run.options), sketches=sketches)
        found = _read(run, index, sinks)
        if lock is not None:
            lock.compare([source for source in found.sources if source.module not in unlocked])
        mix = _mix(run, index, sketches)
        report = _report(run, found, mix)
    problem = _unexpected(run.resolved, report)
    if problem is not None:
        report = replace(report, warnings=(*report.warnings, str(problem)))
    return Plan(
        name=run.resolved.file.name,
        config=run.resolved.file.path,
        recipe=make_recipe(run.resolved, found, tokenizer=run.tokenizer),
        report=report,
    )


def compose(
    config: str | Path,
    options: MixOptions | None = None,
    *,
    output: str | Path | None = None,
    lock: Lock | None = None,
    signer: Signer | None = None,
) -> Composition:
    """Write the data file, ledger, manifest and signature of a mix, all or none.

    `output` names the data file; else the config's `output`, else `<config>.jsonl`, both taken
    relative to the working folder. Where shards are asked for, they lie there instead of it. With
    a `lock`, sources must be exactly what it pins. `signer` gets the manifest's bytes and returns
    the bundle's; without one nothing is signed, and the signatures of an older manifest go.

    Raises:
        ConfigError, UsageError: the config, a module or an option is wrong.
        SourceError: a source is missing or cannot be reached.
        DataError: rows, digests, counts or licences are not what was promised.
        OutputError: the files cannot be written; nothing was changed.
    """
    run = _start(config, options or MixOptions())
    if lock is not None:
        lock.refuse_other_version(__version__)
        run.resolved = lock.pin(run.resolved)
    paths = output_paths(run.resolved, output)
    recover(paths)
    targets = OutputTargets.of(
        paths, _shards(run), attributed=_is_attributed(run), split=run.split is not None,
        epochs=run.resolved.config.epoch_count,
    )  # fmt: skip
    _refuse_overwriting(run, targets)
    with staged(paths, targets.written) as stage:
        manifest = _write_data_and_ledger(run, stage, targets, lock=lock)
        written = manifest.to_bytes()
        stage.path(paths.manifest).write_bytes(written)
        finals = [*targets.written, paths.ledger, paths.manifest]
        if manifest.attribution is not None:
            finals.append(paths.attribution)
        if signer is not None:
            stage.path(paths.bundle).write_bytes(signer(written))
            finals.append(paths.bundle)
        stale = [*_stale_bundles(paths, written, finals), *targets.replaced]
        stage.commit(finals, stale=stale)
    return Composition(
        name=run.resolved.file.name,
        paths=paths,
        data=manifest.data,
        ledger=manifest.ledger,
        manifest_sha256=sha256_hex(written),
        is_signed=signer is not None,
        recipe_sha256=manifest.recipe.sha256(),
        report=manifest.report,
        attribution=manifest.attribution,
        validation=manifest.validation,
        orders=manifest.orders,
    )


def _write_data_and_ledger(
    run: _Run, stage: Stage, targets: OutputTargets, *, lock: Lock | None
) -> Manifest:
    """Prepare data and ledger and return the manifest that states them."""
    paths = targets.paths
    with (
        closing(RecordIndex(stage.folder)) as index,
        closing(Origins(stage.folder, index)) as origins,
        closing(LedgerSpool(stage.folder)) as ledger,
        _elsewhere(run, stage.folder) as elsewhere,
        _sketches(run, stage.folder) as sketches,
    ):
        sinks = Sinks(
            elsewhere=elsewhere, origins=None if elsewhere else origins, ledger=ledger,
            tokens=run.tokens, cache=None if elsewhere else _cache(run.options),
            sketches=sketches,
        )  # fmt: skip
        found = _read(run, index, sinks)
        if lock is not None:
            lock.compare(found.sources)
        mix = _mix(run, index, sketches, stage.folder)
        report = _report(run, found, mix)
        problem = _unexpected(run.resolved, report)
        if problem is not None:
            raise ExpectationError(problem)
        if not report.total.lines:
            raise DataError(*report.warnings, "the mix has no line; raise a weight")
        _refuse_empty_validation(run, report)
        targets.refuse_empty_shards(report.total.lines)
        with ThreadPoolExecutor(1) as beside:
            accounted = beside.submit(_account, ledger, stage.path(paths.ledger), index, mix)
            spans = shard_spans(report.total.lines, len(targets.data))
            whole = mix.with_validation(stage.folder)
            rest = range(len(mix.order), len(whole.order))
            all_spans = [*spans, rest] if rest else spans
            made = (
                gathered(whole, origins, all_spans, workers=run.options.workers)
                if elsewhere is None
                else elsewhere.lines(index, whole, all_spans)
            )
            places = [stage.path(path) for path in targets.data]
            data = write_data(made, places, spans, run.options.progress)
            held = None
            if targets.validation is not None:
                place = stage.path(targets.validation)
                held = write_data(made, [place], [range(len(rest))], run.options.progress)
            orders = _write_orders(run, stage, targets, index=index, mix=mix)
            rows, contents, held_contents = accounted.result()
        parts = attributed_parts(found, mix) if targets.is_attributed else None
    manifest = Manifest(
        data=_stated(paths.data, data, contents),
        validation=None if held is None else _stated(paths.validation, held, held_contents),
        ledger=LedgerFile(name=paths.ledger.name, rows=rows.rows, rows_sha256=rows.rows_sha256),
        recipe=make_recipe(run.resolved, found, tokenizer=run.tokenizer),
        report=report,
        versions=_versions(run.resolved, found),
        tokenizer=run.tokenizer,
        orders=orders,
    )  # fmt: skip
    return manifest if parts is None else _attributed(run, stage, manifest, parts)


def _stated(path: Path, written: DataFacts, contents: ContentsFacts) -> DataFile:
    """Return what a manifest says of a file of records."""
    return DataFile(
        name=path.name, sha256=written.sha256, bytes=written.bytes, records=written.records,
        merkle_root=written.merkle_root, contents=contents.count,
        contents_root=contents.merkle_root, shards=written.shards,
    )  # fmt: skip


def _write_orders(
    run: _Run, stage: Stage, targets: OutputTargets, *, index: RecordIndex, mix: Mix
) -> tuple[OrderFile, ...]:
    """Prepare the orders of epochs, where they were asked for."""
    lines = _epoch_lines(run.resolved, mix)
    if lines is None:
        return ()
    orders = EpochOrders(
        UniqueRecords.of_mix(index, mix, stage.folder), lines, count=len(targets.orders),
        seed=run.resolved.config.training.seed,
    )  # fmt: skip
    return write_orders(orders, list(map(stage.path, targets.orders)), run.options.progress)


def _attributed(
    run: _Run, stage: Stage, manifest: Manifest, parts: Sequence[AttributedPart]
) -> Manifest:
    """Prepare the attribution, and return the manifest that states it."""
    maintainers = {m.name: m.module.maintainer for m in run.resolved.modules if m.module.maintainer}
    path = OutputPaths(Path(manifest.data.name)).attribution
    text, stated = attributed(manifest, path.name, parts=parts, maintainers=maintainers)
    stage.path(path).write_bytes(text)
    return stated


@contextmanager
def _elsewhere(run: _Run, folder: Path) -> Iterator[Distributed | None]:
    """Give what makes parts and lines on a cluster, where one was asked for."""
    engine = run.options.engine
    if engine is None or run.options.watcher is not None:  # rows are watched where they are read
        yield None
        return
    from teapot.distributed import Distributed  # which few ask for
    from teapot.tasksources import SourceOpener

    tokenizer = run.tokens.file if run.tokens is not None else None
    opener = SourceOpener(run.resolved, run.options, tokenizer)
    with engine.start() as cluster:
        yield Distributed(cluster, engine, opener, folder=folder)


def _stale_bundles(paths: OutputPaths, manifest: bytes, written: Collection[Path]) -> list[Path]:
    """Return the signatures that lie there and are not of this manifest, or not wanted."""
    try:
        unchanged = paths.manifest.read_bytes() == manifest
    except OSError:
        unchanged = False
    # Signatures of further people stay where the manifest they signed is made again.
    keep = set(paths.all_bundles()) - {paths.bundle} if unchanged else set()
    return [path for path in paths.all_bundles() if path not in keep and path not in written]


def _versions(resolved: ResolvedMix, found: Survey) -> dict[str, str]:
    """Return the versions of Teapot, its plug-ins, and the libraries that rows are judged by."""
    libraries = ["license-expression"]
    if resolved.config.sketched.match == "near":
        libraries.append("datasketch")
    named = {name: version(name) for name in libraries}
    for module in resolved.modules:
        named |= module.scan.detectors if module.scan is not None else {}
    return {"teapot": __version__} | named | plugin_versions(found.plugins)


def output_paths(resolved: ResolvedMix, output: str | Path | None) -> OutputPaths:
    """Return where a mix is written."""
    name = Path(output or resolved.config.output.file or f"{resolved.file.name}.jsonl")
    if name.suffix != ".jsonl" and not name.is_dir():
        message = "is no name for JSON Lines, expected one that ends in .jsonl"
        raise UsageError(Problem(str(name), message))
    fault = file_fault(name.name)
    if fault is not None:
        message = f"the name {name.name!a} {fault}; choose another with -o"
        raise UsageError(Problem(str(name.parent), message))
    if stem_of(name.name) is not None:
        message = "is the name of a shard; choose another with -o, and --shards to cut the data"
        raise UsageError(Problem(str(name), message))
    return OutputPaths(name)


def _shards(run: _Run) -> int:
    asked = run.options.shards
    return run.resolved.config.output.shards if asked is None else asked


def _is_attributed(run: _Run) -> bool:
    asked = run.options.attribution
    return run.resolved.config.output.attribution if asked is None else asked


def _refuse_overwriting(run: _Run, targets: OutputTargets) -> None:
    """Refuse an output that is one of the inputs: the run would destroy what it was made from."""
    mix, paths = run.resolved, targets.paths
    places = SourceMap.gather(mix.file.path, run.options.sources, mix.source_ids())
    inputs = {mix.file.path: "the config"}
    for module in mix.modules:
        inputs[module.file.path] = f"the module {module.name}"
        if module.curation is not None:
            inputs[module.curation.path] = f"the verdicts on {module.name}"
        for spec in module.sources:
            path = places.local_path(spec, module.file.path.parent)
            if path is not None:
                inputs[path] = f"the source {spec.id}"
    files = mix.eval_files.items()
    inputs |= {path: f"the evaluation set {name}" for name, path in files if path is not None}
    taken = {path.resolve(): what for path, what in inputs.items()}
    outputs = [paths.data, *targets.written, *targets.replaced, paths.ledger, paths.manifest]
    outputs += [paths.attribution] if targets.is_attributed else []
    for output in (*outputs, paths.bundle):
        if output.resolve() in taken:
            message = f"is {taken[output.resolve()]}, which this would overwrite; choose -o"
            raise UsageError(Problem(str(output), message))
    targets.refuse_foreign()


def _start(config: str | Path, options: MixOptions) -> _Run:
    resolved = with_eval_sets(resolve(config, options), options)
    named = resolved.config.tokenizer
    path = options.tokenizer or (resolved.file.path.parent / named if named else None)
    return _Run(resolved, options, TokenCounter(path) if path is not None else None)


def _account(
    ledger: LedgerSpool, path: Path, index: RecordIndex, mix: Mix
) -> tuple[LedgerFacts, ContentsFacts, ContentsFacts]:
    """Write the ledger, and return what it and the contents of data and validation file are."""
    held = contents_of(index, mix.of_validation()) if len(mix.held) else hash_contents(())
    return ledger.finish(path, index, mix), contents_of(index, mix), held


def _read(run: _Run, index: RecordIndex, sinks: Sinks) -> Survey:
    found = Survey(index)
    extra = {
        name: load_check(name)
        for name in sorted(
            {
                *run.resolved.config.checks,
                *(c for m in run.resolved.modules for c in m.module.checks),
            }
        )
    }
    checks: dict[str, list[Check]] = {}
    for module in run.resolved.modules:
        named = sorted({*run.resolved.config.checks, *module.module.checks})
        checks[module.name] = [
            *builtin_checks(module.module.max_length),
            *(extra[name][0] for name in named),
        ]
    found.plugins.update({f"check {name}": plugin for name, (_, plugin) in extra.items()})
    survey(run.resolved, run.options, checks, found=found, sinks=sinks)
    if sinks.cache is not None:
        sinks.cache.prune()
    return found


def _cache(options: MixOptions) -> PartCache | None:
    return PartCache(options.cache or cache_folder()) if options.keep_parts else None


@contextmanager
def _sketches(run: _Run, folder: Path | None = None) -> Iterator[Sketches | None]:
    """Give room for sketches, where duplicates are told by more than equal contents.

    Raises:
        MissingExtraError: a library for them is not installed.
    """
    likeness = run.resolved.config.sketched
    if likeness.is_exact:
        yield None
        return
    if likeness.match == "near":
        bands_of(likeness.near)  # before anything is read
    with closing(Sketches(likeness, folder)) as sketches:
        yield sketches


def _mix(
    run: _Run, index: RecordIndex, sketches: Sketches | None, folder: Path | None = None
) -> Mix:
    config = run.resolved.config
    return plan_mix(
        index,
        partial(_data_lines_of, run.resolved),
        Rules(seed=config.training.seed, duplicates=config.duplicates, split=run.split),
        Beside(folder=folder, sketches=sketches),
    )


def _report(run: _Run, found: Survey, mix: Mix) -> MixReport:
    return report_mix(
        run.resolved, found, mix, tokens=run.tokens is not None,
        epoch_lines=_epoch_lines(run.resolved, mix),
    )  # fmt: skip


def _epoch_lines(resolved: ResolvedMix, mix: Mix) -> Mapping[str, int] | None:
    """Return the lines of each module in one epoch, None where epochs have no orders."""
    if resolved.config.epoch_count is None:
        return None
    usable = {
        name: Usable(records=share.usable, tokens=share.tokens)
        for name, share in mix.shares.items()
    }
    return _lines_of(resolved, usable)


def _data_lines_of(resolved: ResolvedMix, usable: Mapping[str, Usable]) -> Mapping[str, int]:
    """Return the lines of each module in the data file: what epochs use stands there once."""
    lines, count = _lines_of(resolved, usable), resolved.config.epoch_count
    return lines if count is None else unique_lines(lines, count, usable)


def _lines_of(resolved: ResolvedMix, usable: Mapping[str, Usable]) -> Mapping[str, int]:
    """Return the lines of each module.

    Raises:
        ConfigError: what was asked for cannot be had; every conflict is named.
    """
    found = solve(resolved.asked, usable)
    if isinstance(found, tuple):
        raise ConfigError(*(resolved.file.problem(part.path, part.told) for part in found))
    return found


def _refuse_empty_validation(run: _Run, report: MixReport) -> None:
    """Refuse a split that would make an empty file.

    Raises:
        DataError: it holds nothing out.
    """
    if report.split is not None and not report.held_out:
        told = f"{report.split_told}; raise it"
        raise DataError(run.resolved.file.problem(("split", "validation"), told))


def _unexpected(resolved: ResolvedMix, report: MixReport) -> Problem | None:
    """Return what is wrong where the mix has not as many examples as the config expects."""
    expected, found = resolved.config.expect.examples, report.examples
    if expected is None or expected == found:
        return None
    moved = [
        f"source {source.id} holds {source.rows} rows where its module declares {source.expected} "
        f"({source.uri} at {source.revision or 'no revision'}, sha256 {source.sha256})"
        for source in report.sources
        if source.expected is not None and source.expected != source.rows
    ]
    told = f"found {counted(found, 'example')}, expected {expected}"
    if moved:
        told += (
            f": {'; '.join(moved)}; to make the mix of then, pin the revision of then (revision: "
            "in the module file), or give a copy with --source ID=PATH; to accept the mix of now, "
            "correct expect.examples"
        )
    else:
        told += (
            ", though every source holds the rows its module declares: look at weights, licences "
            "and dropped rows with `teapot plan`, or correct expect.examples"
        )
    return resolved.file.problem(("expect", "examples"), told)

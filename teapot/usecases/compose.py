"""The use cases `plan` and `compose`: from a config to numbers, or to one proven training file."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from teapot.attribution import attributed
from teapot.contents import ContentsFacts, hash_contents
from teapot.digest import sha256_hex
from teapot.emit import DataFacts, contents_of, gathered, write_data, write_orders
from teapot.epochs import EpochOrders, UniqueRecords
from teapot.errors import DataError, ExpectationError, Problem, UsageError
from teapot.files import OutputPaths, Stage, recover, staged
from teapot.index import RecordIndex
from teapot.ledger import LedgerFacts, LedgerSpool
from teapot.lock import Lock
from teapot.mixing import Mix
from teapot.model.attribution import AttributedPart
from teapot.model.manifest import DataFile, LedgerFile, Manifest, OrderFile
from teapot.names import file_fault
from teapot.outputtargets import OutputTargets
from teapot.plugins import plugin_versions
from teapot.reporting import attributed_parts, make_recipe
from teapot.resolve import MixOptions, ResolvedMix
from teapot.shards import shard_spans, stem_of
from teapot.sourcemap import SourceMap
from teapot.spool import Origins
from teapot.survey import Sinks, Survey
from teapot.usecases.composed import Composition, Plan
from teapot.usecases.mixrun import (
    MixRun,
    epoch_lines_of,
    part_cache,
    plan_run,
    read_sources,
    refuse_empty_validation,
    report_run,
    sketches_of,
    start_run,
    unexpected,
)
from teapot.version import __version__

if TYPE_CHECKING:
    from teapot.distributed import Distributed

Signer = Callable[[bytes], bytes]


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
    run = start_run(config, options)
    if lock is not None:
        run.resolved = lock.pin(run.resolved, but=unlocked)
    with closing(RecordIndex()) as index, sketches_of(run) as sketches:
        sinks = Sinks(tokens=run.tokens, cache=part_cache(run.options), sketches=sketches)
        found = read_sources(run, index, sinks)
        if lock is not None:
            lock.compare([source for source in found.sources if source.module not in unlocked])
        mix = plan_run(run, index, sketches)
        report = report_run(run, found, mix)
    problem = unexpected(run.resolved, report)
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
    run = start_run(config, options or MixOptions())
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
    run: MixRun, stage: Stage, targets: OutputTargets, *, lock: Lock | None
) -> Manifest:
    """Prepare data and ledger and return the manifest that states them."""
    paths = targets.paths
    with (
        closing(RecordIndex(stage.folder)) as index,
        closing(Origins(stage.folder, index)) as origins,
        closing(LedgerSpool(stage.folder)) as ledger,
        _elsewhere(run, stage.folder) as elsewhere,
        sketches_of(run, stage.folder) as sketches,
    ):
        sinks = Sinks(
            elsewhere=elsewhere, origins=None if elsewhere else origins, ledger=ledger,
            tokens=run.tokens, cache=None if elsewhere else part_cache(run.options),
            sketches=sketches,
        )  # fmt: skip
        found = read_sources(run, index, sinks)
        if lock is not None:
            lock.compare(found.sources)
        mix = plan_run(run, index, sketches, stage.folder)
        report = report_run(run, found, mix)
        problem = unexpected(run.resolved, report)
        if problem is not None:
            raise ExpectationError(problem)
        if not report.total.lines:
            raise DataError(*report.warnings, "the mix has no line; raise a weight")
        refuse_empty_validation(run, report)
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
    run: MixRun, stage: Stage, targets: OutputTargets, *, index: RecordIndex, mix: Mix
) -> tuple[OrderFile, ...]:
    """Prepare the orders of epochs, where they were asked for."""
    lines = epoch_lines_of(run.resolved, mix)
    if lines is None:
        return ()
    orders = EpochOrders(
        UniqueRecords.of_mix(index, mix, stage.folder), lines, count=len(targets.orders),
        seed=run.resolved.config.training.seed,
    )  # fmt: skip
    return write_orders(orders, list(map(stage.path, targets.orders)), run.options.progress)


def _attributed(
    run: MixRun, stage: Stage, manifest: Manifest, parts: Sequence[AttributedPart]
) -> Manifest:
    """Prepare the attribution, and return the manifest that states it."""
    maintainers = {m.name: m.module.maintainer for m in run.resolved.modules if m.module.maintainer}
    path = OutputPaths(Path(manifest.data.name)).attribution
    text, stated = attributed(manifest, path.name, parts=parts, maintainers=maintainers)
    stage.path(path).write_bytes(text)
    return stated


@contextmanager
def _elsewhere(run: MixRun, folder: Path) -> Iterator[Distributed | None]:
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


def _shards(run: MixRun) -> int:
    asked = run.options.shards
    return run.resolved.config.output.shards if asked is None else asked


def _is_attributed(run: MixRun) -> bool:
    asked = run.options.attribution
    return run.resolved.config.output.attribution if asked is None else asked


def _refuse_overwriting(run: MixRun, targets: OutputTargets) -> None:
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


def _account(
    ledger: LedgerSpool, path: Path, index: RecordIndex, mix: Mix
) -> tuple[LedgerFacts, ContentsFacts, ContentsFacts]:
    """Write the ledger, and return what it and the contents of data and validation file are."""
    held = contents_of(index, mix.of_validation()) if len(mix.held) else hash_contents(())
    return ledger.finish(path, index, mix), contents_of(index, mix), held

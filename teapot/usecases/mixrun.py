"""One walk through a mix: its sources are read, and its plan is made; nothing is written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from teapot.amounts import Usable, solve, unique_lines
from teapot.checks.builtin import builtin_checks
from teapot.errors import ConfigError, DataError, Problem, counted
from teapot.evalsets import with_eval_sets
from teapot.index import RecordIndex
from teapot.interfaces import Check
from teapot.mixing import Beside, Mix, Rules, plan_mix
from teapot.model.report import MixReport
from teapot.partcache import PartCache
from teapot.plugins import load_check
from teapot.reporting import report_mix
from teapot.resolve import MixOptions, ResolvedMix, resolve
from teapot.sketches import Sketches, bands_of
from teapot.sources.cache import cache_folder
from teapot.splitting import Split
from teapot.survey import Sinks, Survey, survey
from teapot.tokens import TokenCounter


@dataclass(slots=True)
class MixRun:
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
        config = self.resolved.config
        if config.split is None:
            return None
        return Split(config.split.validation, relatives=config.relatives)


def start_run(config: str | Path, options: MixOptions) -> MixRun:
    """Return a walk through the mix of a config.

    Raises:
        ConfigError, UsageError: the config, a module or an option is wrong.
    """
    resolved = with_eval_sets(resolve(config, options), options)
    named = resolved.config.tokenizer
    path = options.tokenizer or (resolved.file.path.parent / named if named else None)
    return MixRun(resolved, options, TokenCounter(path) if path is not None else None)


def read_sources(run: MixRun, index: RecordIndex, sinks: Sinks) -> Survey:
    """Read all sources into an index, and return what was found."""
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


def part_cache(options: MixOptions) -> PartCache | None:
    """Return where parts are kept for the next run; None where nothing is to be kept."""
    return PartCache(options.cache or cache_folder()) if options.keep_parts else None


@contextmanager
def sketches_of(run: MixRun, folder: Path | None = None) -> Iterator[Sketches | None]:
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


def plan_run(
    run: MixRun, index: RecordIndex, sketches: Sketches | None, folder: Path | None = None
) -> Mix:
    """Return the plan of what was read; in `folder` lies what is too much for memory."""
    config = run.resolved.config
    return plan_mix(
        index,
        partial(_data_lines_of, run.resolved),
        Rules(seed=config.training.seed, duplicates=config.duplicates, split=run.split),
        Beside(folder=folder, sketches=sketches),
    )


def report_run(run: MixRun, found: Survey, mix: Mix) -> MixReport:
    """Return the account of a plan."""
    return report_mix(
        run.resolved, found, mix, tokens=run.tokens is not None,
        epoch_lines=epoch_lines_of(run.resolved, mix),
    )  # fmt: skip


def epoch_lines_of(resolved: ResolvedMix, mix: Mix) -> Mapping[str, int] | None:
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


def refuse_empty_validation(run: MixRun, report: MixReport) -> None:
    """Refuse a split that would make an empty file.

    Raises:
        DataError: it holds nothing out.
    """
    if report.split is not None and not report.held_out:
        told = f"{report.split_told}; raise it"
        raise DataError(run.resolved.file.problem(("split", "validation"), told))


def unexpected(resolved: ResolvedMix, report: MixReport) -> Problem | None:
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

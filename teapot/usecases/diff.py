"""The use case `diff`: how two mixes, configs or locks differ, and which rows.

Two compositions are compared by their rows where both ledgers are here and are what their manifests
state, and else by what the manifests state. Two things of different kinds are compared by what both
tell; where that is nothing, the error says so.
"""

from __future__ import annotations

from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field, replace
from pathlib import Path

from teapot.auditing import needs_own_process
from teapot.errors import DataError, Problem, UsageError
from teapot.ledgerrows import StatedLedger
from teapot.mixdiff import (
    license_differences,
    module_differences,
    recipe_settings,
    source_differences,
)
from teapot.model.difference import Difference, RowChanges
from teapot.processes import OwnProcesses
from teapot.settings import differing
from teapot.usecases.diffsides import ConfigSide, LockSide, MixSide, Side, read_side
from teapot.usecases.verify import VerifyOptions

DIFFERENT = 7
"""The exit code for sides that differ: 1, which `diff` has for it, means a fault in data here."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DiffOptions:
    """Whom to believe, where modules lie, and how many examples to give of each kind of change."""

    verify: VerifyOptions = field(default_factory=VerifyOptions)
    modules: tuple[Path, ...] = ()
    examples: int = 3


def diff(a: str, b: str, options: DiffOptions | None = None) -> Difference:
    """Return how two configs, compositions, locks, or models' mixes differ.

    Raises:
        UsageError: a side is nothing that can be compared, or the two have nothing in common.
        ConfigError: a config or one of its modules is wrong.
        DataError: a manifest, a statement or a ledger is not what was signed or stated.
        TrustError: a trust file is missing or cannot be read.
    """
    options = options or DiffOptions()
    first, second = (read_side(target, options.verify, options.modules) for target in (a, b))
    if isinstance(first, MixSide) and isinstance(second, MixSide):
        return _mixes(first, second, options.examples)
    if isinstance(first, ConfigSide) and isinstance(second, ConfigSide):
        return Difference(
            a=first.told, b=second.told, compared="configs",
            settings=differing(first.settings(), second.settings()),
        )  # fmt: skip
    if isinstance(first, LockSide) and isinstance(second, LockSide):
        return Difference(
            a=first.told, b=second.told, compared="locks",
            settings=differing(first.settings(), second.settings()),
            sources=source_differences(first.sources(), second.sources()),
        )  # fmt: skip
    return _of_different_kinds(first, second)


def _of_different_kinds(first: Side, second: Side) -> Difference:
    if not isinstance(first, LockSide) and not isinstance(second, LockSide):
        return Difference(
            a=first.told, b=second.told, compared="recipes",
            settings=differing(recipe_settings(first.recipe), recipe_settings(second.recipe)),
        )  # fmt: skip
    if not isinstance(first, ConfigSide) and not isinstance(second, ConfigSide):
        return Difference(
            a=first.told, b=second.told, compared="sources",
            sources=source_differences(first.sources(), second.sources()),
        )  # fmt: skip
    told = (
        f"a {first.told.kind} and a {second.told.kind} have nothing in common to compare: a lock "
        "tells what sources are pinned to, which a config does not; compare the lock with a lock, "
        "a manifest or a model folder, and the config with a config, a manifest or a model folder"
    )
    raise UsageError(Problem(f"{first.told.target}, {second.told.target}", told))


def _mixes(first: MixSide, second: MixSide, examples: int) -> Difference:
    rows = None
    a, b = first.told, second.told
    reports = first.manifest.report, second.manifest.report
    if first.ledger is not None and second.ledger is not None:
        sources = [(s.module, s.id) for report in reports for s in report.sources]
        rows = _rows(first.ledger, second.ledger, sources, examples)
        a, b = (replace(told, ledger="verified") for told in (a, b))
    values = [first.settings(), second.settings()]
    if a.kind != b.kind:  # only one of them was trained on
        for value in values:
            value.pop("trained", None)
    return Difference(
        a=a, b=b, compared="manifests" if rows is None else "rows",
        settings=differing(*values),
        modules=module_differences(*reports, rows),
        licenses=license_differences(*reports),
        sources=source_differences(first.sources(), second.sources()),
    )  # fmt: skip


def _rows(
    a: StatedLedger, b: StatedLedger, sources: list[tuple[str, str]], examples: int
) -> dict[str, RowChanges]:
    """Compare ledgers, which nothing vouches for yet: large ones in a process that may break."""
    if not any(needs_own_process(stated.path) for stated in (a, b)):
        return _compare(a, b, sources, examples)
    with OwnProcesses(1) as pool:
        try:
            return pool.submit(_compare_bounded, a, b, sources, examples).result()
        except BrokenProcessPool as error:
            told = "broke the process that read them as Parquet; one is damaged or made to do harm"
            raise DataError(Problem(f"{a.path}, {b.path}", told)) from error


def _compare_bounded(
    a: StatedLedger, b: StatedLedger, sources: list[tuple[str, str]], examples: int
) -> dict[str, RowChanges]:
    from teapot.ledgerguard import bound_memory

    bound_memory()
    return _compare(a, b, sources, examples)


def _compare(
    a: StatedLedger, b: StatedLedger, sources: list[tuple[str, str]], examples: int
) -> dict[str, RowChanges]:
    from teapot.ledgerdiff import compare_ledgers

    return compare_ledgers(a, b, sources, examples)

"""Two manifests compared by what they state: a summary of how two mixes differ. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any, TypeVar

from teapot.model.difference import (
    LicenseDifference,
    LicenseSide,
    ModuleDifference,
    ModuleSide,
    RowChanges,
    SourceDifference,
    SourceSide,
)
from teapot.model.manifest import Manifest
from teapot.model.recipe import Recipe
from teapot.model.report import Amount, MixReport, ModuleReport
from teapot.reporting import share_of

_PINS = ("rows", "sha256", "revision")
Key = TypeVar("Key")
Value = TypeVar("Value")
SourceName = tuple[str, str]


def module_differences(
    a: MixReport, b: MixReport, rows: Mapping[str, RowChanges] | None
) -> tuple[ModuleDifference, ...]:
    """Return every module of both mixes, in the order of their names."""
    first, second = _modules(a), _modules(b)
    return tuple(
        ModuleDifference(
            name=name, a=first.get(name), b=second.get(name),
            rows=None if rows is None else rows[name],
        )
        for name in sorted(first.keys() | second.keys())
    )  # fmt: skip


def license_differences(a: MixReport, b: MixReport) -> tuple[LicenseDifference, ...]:
    """Return the licences whose part of the mix differs."""
    first, second = (
        {name: _license(amount) for name, amount in report.licenses.items()} for report in (a, b)
    )
    return tuple(
        LicenseDifference(license=name, a=of_a, b=of_b)
        for name, of_a, of_b in _unlike(first, second)
    )


def source_differences(
    a: Mapping[SourceName, SourceSide], b: Mapping[SourceName, SourceSide]
) -> tuple[SourceDifference, ...]:
    """Return the sources that are not the same on both sides, by module and id."""
    return tuple(
        SourceDifference(module=module, id=identity, a=of_a, b=of_b)
        for (module, identity), of_a, of_b in _unlike(a, b)
    )


def sources_of(report: MixReport) -> dict[SourceName, SourceSide]:
    """Return the sources of a mix as they were read."""
    return {
        (s.module, s.id): SourceSide(uri=s.uri, revision=s.revision, sha256=s.sha256, rows=s.rows)
        for s in report.sources
    }


def recipe_settings(recipe: Recipe) -> dict[str, Any]:
    """Return what a recipe says, but for what was read of each source."""
    value = recipe.to_dict()
    value["modules"] = {module.pop("name"): module for module in value["modules"]}
    for module in value["modules"].values():
        sources = {source.pop("id"): source for source in module["sources"]}
        for source in sources.values():
            for key in _PINS:
                del source[key]
        module["sources"] = sources
    if "decontaminate" in value:
        value["decontaminate"] = {one.pop("name"): one for one in value["decontaminate"]["sets"]}
        for one in value["decontaminate"].values():
            del one["sources"]
    return value


def manifest_settings(manifest: Manifest) -> dict[str, Any]:
    """Return the settings of a mix as its manifest states them."""
    made = recipe_settings(manifest.recipe)
    return {**made, "versions": dict(manifest.versions), "tokenizer": manifest.tokenizer}


def _modules(report: MixReport) -> dict[str, ModuleSide]:
    asked = sum(map(_lines_asked, report.modules), Decimal(0))
    return {module.name: _module(module, report.total.lines, asked) for module in report.modules}


def _module(module: ModuleReport, lines: int, asked: Decimal) -> ModuleSide:
    wanted = 100 * _lines_asked(module) / asked if asked else Decimal(0)
    return ModuleSide(
        version=module.version, asked=module.amount or module.weight_text, read=module.read,
        usable=module.usable, kept=module.kept, lines=module.lines,
        share_asked=str(wanted.quantize(Decimal("0.1"))), share=str(share_of(module.lines, lines)),
        characters=module.characters, tokens=module.tokens, dropped=dict(module.dropped),
        repaired=dict(module.repaired),
    )  # fmt: skip


def _lines_asked(module: ModuleReport) -> Decimal:
    """Return the lines that were asked for, those of a weight before their fraction is cut off."""
    return Decimal(module.examples) if module.weight is None else module.weight * module.usable


def _license(amount: Amount) -> LicenseSide:
    return LicenseSide(lines=amount.lines, characters=amount.characters, tokens=amount.tokens)


def _unlike(
    a: Mapping[Key, Value], b: Mapping[Key, Value]
) -> Iterable[tuple[Key, Value | None, Value | None]]:
    names: Callable[[Iterable[Any]], list[Key]] = sorted
    for name in names(a.keys() | b.keys()):
        if a.get(name) != b.get(name):
            yield name, a.get(name), b.get(name)

"""Where an account says what no recipe asks for, or a recipe what no config could. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal

from teapot.errors import counted
from teapot.findings import PERSONAL, SECRET
from teapot.model.likeness import Likeness
from teapot.model.manifest import Manifest
from teapot.model.recipe import Recipe, RecipeDecontamination, RecipeModule
from teapot.model.report import ModuleReport

_LEAST, _MOST = Decimal("0.5"), Decimal("0.99")
_NGRAM, _PERMUTATIONS, _SEED = range(1, 33), range(16, 1025), range(1 << 32)
_RUN, _SHORT_RUN = range(5, 65), range(3, 65)


def screen_faults(manifest: Manifest) -> Iterator[str]:
    """Yield where rows went out or were changed in ways that the recipe does not ask for."""
    recipe = manifest.recipe
    for asked, module in zip(recipe.modules, manifest.report.modules, strict=False):
        yield from _scan_faults(asked, module, manifest.versions)
        yield from _left_faults(recipe, asked, module)
        yield from _uncurated_faults(asked, module)
    yield from _set_faults(recipe.decontaminate)


def likeness_faults(written: Mapping[str, str] | None) -> Iterator[str]:
    """Yield parameters that no config can ask for; what is near is not looked for by such."""
    likeness = Likeness.from_written(written)
    if written is None or likeness.match != "near":
        return
    near, bands = likeness.near, (int(written["bands"]), int(written["rows"]))
    limits = {
        "threshold": _LEAST <= near.threshold <= _MOST, "ngram": near.ngram in _NGRAM,
        "permutations": near.permutations in _PERMUTATIONS, "seed": near.seed in _SEED,
        "bands": bands[0] * bands[1] <= near.permutations,
    }  # fmt: skip
    for key, is_possible in limits.items():
        if not is_possible:
            yield f"{key} {written[key]} is more or less than what is near can have"
    for key, text in (likeness.written(bands) or {}).items():
        if written[key] != text:
            yield f"{key} {written[key]} is written {text}"


def _scan_faults(
    asked: RecipeModule, module: ModuleReport, versions: Mapping[str, str]
) -> Iterator[str]:
    scan = asked.scan
    for kind in ("secrets", "personal"):
        rows = module.repaired.get(f"redact-{kind}", 0)
        if rows and (scan is None or getattr(scan, kind) != "redact"):
            told = f"{counted(rows, 'row')} by redact-{kind}, which its scan does not ask for"
            yield f"{module.name}: {told}"
    for name, version in scan.detectors.items() if scan is not None else ():
        if versions.get(name) != version:
            told = f"{name} {version}, stated is {versions.get(name, 'none')}"
            yield f"{module.name}: its scan is by {told}"


def _left_faults(recipe: Recipe, asked: RecipeModule, module: ModuleReport) -> Iterator[str]:
    """Yield reasons for which rows were left out, and nothing asks for that."""
    if asked.checks:
        return  # a check of somebody's own may give any word for a reason
    scan, sets = asked.scan, recipe.decontaminate.sets if recipe.decontaminate else ()
    drops = {
        SECRET: scan is not None and scan.secrets in ("drop", "redact"),
        PERSONAL: scan is not None and scan.personal in ("drop", "redact"),
        "contaminated": any("drop" in (one.overlap, one.on_row) for one in sets),
        "duplicate": recipe.duplicates == "drop",
        "curated": asked.curation is not None,
        "unreviewed": asked.curation is not None and asked.curation.unreviewed == "drop",
    }
    for reason, is_asked in drops.items():
        rows = module.dropped.get(reason, 0)
        if rows and not is_asked:
            told = f"{counted(rows, 'row')} dropped as {reason}, which its recipe does not ask for"
            yield f"{module.name}: {told}"


def _uncurated_faults(asked: RecipeModule, module: ModuleReport) -> Iterator[str]:
    for kind in ("edit", "move") if asked.curation is None else ():
        rows = module.repaired.get(f"curated-{kind}", 0)
        if rows:
            yield f"{module.name}: {counted(rows, 'row')} by curated-{kind}, and no verdicts"


def _set_faults(asked: RecipeDecontamination | None) -> Iterator[str]:
    for one in asked.sets if asked is not None else ():
        if one.ngram not in _RUN or one.short not in _SHORT_RUN:
            told = f"runs of {one.ngram} words, of short texts {one.short}"
            yield f"{one.name}: {told}, which no config can ask for"

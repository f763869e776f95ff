"""Compares the evaluation sets that a recipe states with the files that lie here."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from teapot.digest import sha256_file
from teapot.errors import ConfigError, UsageError
from teapot.model.manifest import Manifest
from teapot.model.recipe import RecipeEvalSet, RecipeEvalSource
from teapot.model.verification import CheckResult, Status
from teapot.modulefile import ModulePlaces
from teapot.resolve import MixOptions
from teapot.sourcemap import SourceMap
from teapot.sources.local import format_of_name


def check_eval_sets(
    manifest: Manifest, mix: MixOptions, config: Path | None
) -> Iterator[CheckResult]:
    """Yield, for every file of an evaluation set, whether it still is what records met."""
    stated = manifest.recipe.decontaminate
    if stated is None:
        return
    modules = ModulePlaces.around(config, mix.modules)
    ids = [*(source.id for source in manifest.report.sources), *manifest.recipe.eval_source_ids()]
    try:
        given = SourceMap.gather(config, mix.sources, ids)
    except (UsageError, ConfigError):
        return  # the check of the sources has told it
    for one in stated.sets:
        for source in one.sources:
            yield _compared(one, source, _path(one, source, (given, modules), config))


def _compared(one: RecipeEvalSet, source: RecipeEvalSource, path: Path | None) -> CheckResult:
    name, compared = f"evaluation set {one.name}", f"SHA-256 of the file of {source.id}"
    try:
        found = sha256_file(path) if path is not None and path.is_file() else None
    except OSError:
        found = None
    if found is None:
        told = f"{compared}; it is not here"
        return CheckResult(name=name, status=Status.SKIPPED, compared=told)
    return CheckResult.compare(name, compared, expected=source.sha256, found=found)


def _path(
    one: RecipeEvalSet, source: RecipeEvalSource, where: tuple[SourceMap, ModulePlaces],
    config: Path | None,
) -> Path | None:  # fmt: skip
    """Return where a file should lie; None where nothing here tells, or it is fetched."""
    given, modules = where
    if source.id in given.places:
        return given.places[source.id].path
    if one.name.startswith("$"):
        place = os.environ.get(one.name[1:])
        return Path(place) if place else None
    if format_of_name(one.name) is not None:
        return config.parent / one.name if config is not None else None
    try:
        module = modules.find(one.name)
    except ConfigError:
        return None
    spec = next((spec for spec in module.module.sources if spec.id == source.id), None)
    return given.local_path(spec, module.path.parent) if spec is not None else None

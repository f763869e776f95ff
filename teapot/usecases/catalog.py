"""The use cases `modules` and `sources`: what there is, whether it is sound, where it lies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from teapot.errors import ConfigError, Problem, TeapotError
from teapot.model.module import Module, SourceSpec
from teapot.modulefile import ModuleFile, ModulePlaces
from teapot.plugins import load_check, load_source
from teapot.resolve import MixOptions, resolve
from teapot.sourcemap import FILE, SourceMap, variable_of


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceStatus:
    """One source: where it resolves, whether it is at hand, and how to say another place.

    `state` is `present`, `missing` or `remote` (fetched when it is read).
    """

    module: str
    id: str
    kind: str
    declared: str
    resolved: str
    said_by: str
    state: str
    variable: str
    expected: int | None

    def to_dict(self) -> dict[str, Any]:
        """Return the status as JSON values."""
        return asdict(self)


def list_modules(places: ModulePlaces) -> tuple[list[ModuleFile], list[Problem]]:
    """Return every module that can be found, and what is wrong with those that cannot be read."""
    modules: list[ModuleFile] = []
    problems: list[Problem] = []
    for name in places.names():
        try:
            modules.append(places.find(name))
        except ConfigError as error:
            problems.extend(error.problems)
    return modules, problems


def check_modules(places: ModulePlaces, names: Sequence[str]) -> tuple[list[str], list[Problem]]:
    """Return the modules that are sound, and the problems of the others.

    A module is sound when its file can be read, its plug-ins are there, and the files that it
    keeps beside itself exist.
    """
    sound: list[str] = []
    problems: list[Problem] = []
    for name in names or places.names():
        try:
            file = places.find(name)
            found = _unsound(file)
        except ConfigError as error:
            found = [p if p.where else Problem(name, p.message) for p in error.problems]
        problems.extend(found)
        if not found:
            sound.append(name)
    return sound, problems


def source_statuses(
    config: Path | None, places: ModulePlaces, options: MixOptions
) -> list[SourceStatus]:
    """Return the sources of a config's modules, or of every module where there is no config."""
    if config is not None:
        files = [module.file for module in resolve(config, options).modules]
    else:
        files = list_modules(places)[0]
    specs = [(file, source) for file in files for source in file.module.sources]
    known = SourceMap.gather(config, options.sources, [source.id for _, source in specs])
    return [_status(file, source, known) for file, source in specs]


def _status(file: ModuleFile, source: SourceSpec, known: SourceMap) -> SourceStatus:
    place = known.places.get(source.id)
    path = known.local_path(source, file.path.parent)
    said_by = place.said_by if place else "the module"
    if place is not None and place.repo is not None:
        resolved = f"hf://datasets/{place.repo}@{place.revision or 'main'}"
    else:
        at = f"@{source.revision}" if source.revision else ""
        resolved = str(path) if path is not None else source.uri + at
    state = "remote" if path is None else "present" if path.is_file() else "missing"
    return SourceStatus(
        module=file.module.name, id=source.id, kind=source.kind, declared=source.uri,
        resolved=resolved, said_by=said_by, state=state, variable=variable_of(source.id),
        expected=source.examples,
    )  # fmt: skip


def _unsound(file: ModuleFile) -> list[Problem]:
    module: Module = file.module
    problems: list[Problem] = []
    for place, source in enumerate(module.sources):
        try:
            load_source(source.kind)
        except TeapotError as error:
            problems.append(file.document.problem(("sources", place, "kind"), str(error)))
        if source.path is not None and not (file.path.parent / source.path).is_file():
            message = f"no such file beside the module; give it with --source {source.id}=PATH, "
            message += f"{variable_of(source.id)}, or in {FILE}"
            problems.append(file.document.problem(("sources", place, "path"), message))
    for place, name in enumerate(module.checks):
        try:
            load_check(name)
        except TeapotError as error:
            problems.append(file.document.problem(("checks", place), str(error)))
    return problems

"""From a config to the modules of a mix: found, read, in order, their demands on others told."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from teapot.cluster import Engine
from teapot.configfile import ConfigFile, load_config
from teapot.curationfile import Curation
from teapot.curationplaces import curation_of
from teapot.errors import ConfigError, PluginError, Problem
from teapot.inorder import processors
from teapot.interfaces import Progress, RowWatcher, silent
from teapot.licensing import deprecated_in
from teapot.model.amount import AskedMix
from teapot.model.config import BadRowPolicy, Config
from teapot.model.module import Module, SourceSpec
from teapot.model.recipe import RecipeDecontamination, RecipeScan
from teapot.modulefile import ModuleFile, ModulePlaces
from teapot.scanscreens import scan_of, scan_screens
from teapot.screens import ScreenSpec


@dataclass(frozen=True, kw_only=True, slots=True)
class MixOptions:
    """What the command line adds to a config; None leaves the config's word.

    `watcher` sees every row that could be parsed, as it was read. `workers` threads judge rows and
    make lines; whatever their number, the bytes are the same. `keep_parts` keeps in the cache what
    was judged, so that another weight judges no row again. `shards` is how many files the data is
    cut into, `attribution` whether the file that says whose it is is written. An `engine` makes
    parts and lines on a cluster; without one, threads make them.
    """

    modules: Sequence[Path] = ()
    sources: Mapping[str, str] = field(default_factory=dict)
    seed: int | None = None
    on_bad_row: BadRowPolicy | None = None
    tokenizer: Path | None = None
    offline: bool = False
    cache: Path | None = None
    progress: Progress = silent
    watcher: RowWatcher | None = None
    keep_parts: bool = True
    workers: int = field(default_factory=processors)
    shards: int | None = None
    attribution: bool | None = None
    engine: Engine | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ModuleInMix:
    """One module of a mix with everything about it decided."""

    file: ModuleFile
    on_bad_row: BadRowPolicy
    max_bad_rows: int | None
    curation: Curation | None = None
    screens: tuple[ScreenSpec, ...] = ()
    scan: RecipeScan | None = None

    @property
    def module(self) -> Module:
        """Return what the module file declares."""
        return self.file.module

    @property
    def name(self) -> str:
        """Return the module's name."""
        return self.file.module.name

    @property
    def sources(self) -> list[SourceSpec]:
        """Return the module's sources in the order of their ids, which is the order of reading."""
        return sorted(self.file.module.sources, key=lambda source: source.id)

    def unknown_kind(self, spec: SourceSpec, error: PluginError) -> PluginError:
        """Return the error of a source whose kind nobody provides, at its place in the file."""
        number = [source.id for source in self.module.sources].index(spec.id)
        return PluginError(self.file.document.problem(("sources", number, "kind"), str(error)))


@dataclass(frozen=True, kw_only=True, slots=True)
class ResolvedMix:
    """A config with its modules in the order of their names.

    `warnings` concern the modules' demands on each other; `pins` are locked revisions by module and
    source id (`safety/consequence ke-secular-conversational`). `decontamination` says of evaluation
    sets what a recipe does, once they were read; `eval_files` are they by source id.
    """

    file: ConfigFile
    config: Config
    modules: tuple[ModuleInMix, ...]
    warnings: tuple[str, ...]
    pins: Mapping[str, str | None] = field(default_factory=dict)
    decontamination: RecipeDecontamination | None = None
    eval_files: Mapping[str, Path | None] = field(default_factory=dict)

    @property
    def asked(self) -> AskedMix:
        """Return how much is asked of each module."""
        return self.config.asked_mix()

    def source_ids(self) -> list[str]:
        """Return the ids of all sources of the mix, and of its evaluation sets once read."""
        ids = [source.id for module in self.modules for source in module.sources]
        return [*ids, *(one for one in self.eval_files if one not in ids)]


def resolve(path: str | Path, options: MixOptions) -> ResolvedMix:
    """Return the mix that a config describes.

    Raises:
        UsageError: there is no such config, or it asks for what this version cannot do.
        ConfigError: the config or one of its modules is wrong; all their faults are named.
    """
    file = load_config(path)
    config = file.config
    if options.seed is not None:
        config = replace(config, training=replace(config.training, seed=options.seed))
    names = [name for name in sorted(config.modules) if config.weight(name) > 0]
    if not names:
        raise ConfigError(file.problem(("modules",), "every module is off; turn one on"))
    if config.asked_mix().needs_tokens and not (config.tokenizer or options.tokenizer):
        raise ConfigError(_uncounted(file))
    modules = with_curations(file, _find_modules(file, names, options))
    _refuse_shared_ids(modules)
    _refuse_circles(modules)
    return ResolvedMix(
        file=file, config=config, modules=tuple(modules),
        warnings=(*_demands(modules), *_deprecated_ids(file, modules)),
    )  # fmt: skip


def _uncounted(file: ConfigFile) -> Problem:
    """Return what is wrong with amounts of tokens that nothing counts, at the first of them."""
    uses = sorted(file.config.modules.items())
    paths = [("modules", name, "tokens") for name, use in uses if use.tokens is not None]
    told = "tokens are counted by a tokenizer, and the config names none; say tokenizer: FILE"
    return file.problem((*paths, ("amounts", "share_of"))[0], told)


def _find_modules(file: ConfigFile, names: Sequence[str], options: MixOptions) -> list[ModuleInMix]:
    places = ModulePlaces.around(file.path, options.modules)
    found: list[ModuleInMix] = []
    problems: list[Problem] = []
    for name in names:
        try:
            found.append(_in_mix(file.config, places.find(name), options))
        except ConfigError as error:
            problems.extend(_placed(file, name, problem) for problem in error.problems)
    if problems:
        raise ConfigError(*sorted(problems, key=file.document.line_of))
    return found


def with_curations(file: ConfigFile, modules: Sequence[ModuleInMix]) -> list[ModuleInMix]:
    """Return the modules with the verdicts that the config names for them.

    Raises:
        ConfigError: a module is not in the config, or a file is missing or no curation file.
    """
    problems: list[Problem] = []
    curations: dict[str, Curation] = {}
    known = {module.name: module for module in modules}
    for name, use in file.config.curations.items():
        path = ("curations", name)
        if name not in file.config.modules:
            near = difflib.get_close_matches(name, file.config.modules, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            problems.append(file.problem(path, f"is not a module of this config{hint}"))
        elif name in known:
            try:
                curations[name] = curation_of(use, known[name].file, file.path)
            except ConfigError as error:
                problems.extend(
                    one if one.where else file.problem(path, one.message) for one in error.problems
                )
    if problems:
        raise ConfigError(*problems)
    return [replace(module, curation=curations.get(module.name)) for module in modules]


def _placed(file: ConfigFile, name: str, problem: Problem) -> Problem:
    """Give a problem that has no place of its own the line where the config names the module."""
    return problem if problem.where else file.problem(("modules", name), problem.message)


def _in_mix(config: Config, file: ModuleFile, options: MixOptions) -> ModuleInMix:
    """Decide the bad-row policy: the command's word, else the use's, the config's, the module's."""
    use, module = config.modules[file.module.name], file.module
    policy = options.on_bad_row or use.on_bad_row or config.on_bad_row or module.on_bad_row
    limit = use.max_bad_rows if use.max_bad_rows is not None else module.max_bad_rows
    scan = scan_of(config.scan_of(file.module.name))
    return ModuleInMix(
        file=file,
        on_bad_row=policy or "fail",
        max_bad_rows=limit,
        screens=scan_screens(scan),
        scan=scan,
    )


def _refuse_shared_ids(modules: Sequence[ModuleInMix]) -> None:
    """Refuse one id for two unlike sources: `--source` could not tell them apart."""
    owners: dict[str, tuple[str, str | Path]] = {}
    problems = []
    for module in modules:
        for source in module.sources:
            folder = module.file.path.parent
            place = source.uri if source.path is None else (folder / source.path).resolve()
            name, first = owners.setdefault(source.id, (module.name, place))
            if first != place:
                message = f"the source id {source.id} stands for another source in {name}"
                problems.append(Problem(str(module.file.path), message))
    if problems:
        raise ConfigError(*problems)


def _refuse_circles(modules: Sequence[ModuleInMix]) -> None:
    depends = {module.name: module.module.depends for module in modules}
    done: set[str] = set()

    def walk(name: str, trail: tuple[str, ...]) -> None:
        if name in trail:
            circle = " → ".join((*trail[trail.index(name) :], name))
            where = next(str(m.file.path) for m in modules if m.name == name)
            raise ConfigError(Problem(where, f"modules depend on each other in a circle: {circle}"))
        if name in done:
            return
        for needed in depends.get(name, ()):
            walk(needed, (*trail, name))
        done.add(name)

    for name in depends:
        walk(name, ())


def _deprecated_ids(file: ConfigFile, modules: Sequence[ModuleInMix]) -> list[str]:
    """Return a warning for every licence that is written as SPDX does no longer."""
    named = [(str(file.path.name), text) for text in file.config.license.allowed or ()]
    for use in modules:
        sources = (source.license or "" for source in use.sources)
        named += [(use.name, text) for text in (use.module.license, *sources)]
    return list(dict.fromkeys(
        f"{where}: {old} is a deprecated SPDX id; it is read as {new}, write that"
        for where, text in named
        for old, new in deprecated_in(text)
    ))  # fmt: skip


def _demands(modules: Sequence[ModuleInMix]) -> list[str]:
    """Return a warning for every dependency that is missing and every conflict that is present."""
    present = {module.name for module in modules}
    provided = {word for module in modules for word in module.module.provides}
    warnings: list[str] = []
    for module in modules:
        for needed in module.module.depends:
            if needed not in present | provided:
                near = difflib.get_close_matches(needed, present - {module.name}, n=1)
                hint = f"; did its author mean {near[0]}?" if near else ""
                warnings.append(f"{module.name} depends on {needed}, which is not in the mix{hint}")
        warnings.extend(
            f"{module.name} conflicts with {other}, and both are in the mix"
            for other in module.module.conflicts
            if other in present
        )
    return warnings

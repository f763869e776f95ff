"""Reads the evaluation sets that a config names, and makes the screen that keeps them out.

A set is a file beside the config, in any format that sources have, a module, or a sealed suite
whose file an environment variable names. Where a file lies can be said as for any source. A row
that cannot be read ends the run: what was not read cannot be kept out.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from teapot.barewords import bare_words
from teapot.errors import ConfigError, DataError, Problem, counted
from teapot.evaltexts import row_of_columns, row_of_turns
from teapot.interfaces import SourceContext, SourceReader
from teapot.leakindex import EvaluationRow, EvaluationSet, LeakIndex
from teapot.leakscreen import LeakScreenSpec
from teapot.model.config import Config, EvalSet
from teapot.model.module import Module, SourceSpec
from teapot.model.recipe import RecipeDecontamination, RecipeEvalSet, RecipeEvalSource
from teapot.model.record import Fault, Row
from teapot.modulefile import ModuleFile, ModulePlaces
from teapot.resolve import MixOptions, ResolvedMix
from teapot.sourcemap import SourceMap
from teapot.sources.local import LocalFile, format_of_name, open_local
from teapot.strictyaml import Path_

_SHOWN = 20
_ToTexts = Callable[[int, Row], EvaluationRow | Fault]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Source:
    """One source of an evaluation set: where it is, and how its rows become texts."""

    spec: SourceSpec
    folder: Path
    label: str
    texts: _ToTexts
    path: Path | None = None


@dataclass(frozen=True, slots=True)
class _Set:
    """An evaluation set of a config, with its sources."""

    asked: EvalSet
    sources: tuple[_Source, ...]


def with_eval_sets(mix: ResolvedMix, options: MixOptions) -> ResolvedMix:
    """Return a mix whose modules are screened for the evaluation sets that its config names.

    Raises:
        ConfigError: a set is no module, or a sealed suite is required and not here.
        SourceError: a file is missing or cannot be reached.
        DataError: a set has rows that cannot be read, or no text at all.
    """
    if not mix.config.is_decontaminated:
        return mix
    sets, warnings = _found(mix, options)
    mix = replace(mix, warnings=(*mix.warnings, *warnings))
    if not sets:
        told = f"{mix.file.path.name}: records were compared with no evaluation set: none is named"
        return replace(mix, warnings=(*mix.warnings, told))
    specs = [source.spec.id for one in sets for source in one.sources]
    places = SourceMap.gather(mix.file.path, options.sources, [*mix.source_ids(), *specs])
    read, stated = _read_all(sets, places, options)
    index = LeakIndex.of(read)
    decontamination = RecipeDecontamination(index_sha256=index.sha256(), sets=tuple(stated))
    screen = LeakScreenSpec.of(index, decontamination)
    files = {
        source.spec.id: _path(source, places)
        for one in sets
        for source in one.sources
    }  # fmt: skip
    return replace(
        mix, decontamination=decontamination, eval_files=files,
        modules=tuple(replace(use, screens=(*use.screens, screen)) for use in mix.modules),
    )  # fmt: skip


def declared_sets(config: Config) -> RecipeDecontamination | None:
    """Return what a config says of evaluation sets, of which none was read."""
    if not config.is_decontaminated:
        return None
    asked = [*config.eval_sets(), *(one for one, _ in _sealed(config))]
    return RecipeDecontamination(index_sha256="", sets=tuple(_stated(one, ()) for one in asked))


def _found(mix: ResolvedMix, options: MixOptions) -> tuple[list[_Set], list[str]]:
    """Return the sets of a config, and what is to be told of those that are not here."""
    modules = ModulePlaces.around(mix.file.path, options.modules)
    sets: list[_Set] = []
    problems: list[Problem] = []
    for one, path in _named(mix.config):
        try:
            sources = _sources_of(one, mix, modules, path)
            sets.append(_Set(one, tuple(sources)))
        except ConfigError as error:
            problems.extend(
                found if found.where else mix.file.problem(path, found.message)
                for found in error.problems
            )
    sets.extend(_Set(suite, (_sealed_source(suite, path),)) for suite, path in _sealed(mix.config))
    told: list[str] = []
    for message in _missing_suites(mix.config):
        if mix.config.eval.required:
            problems.append(mix.file.problem(("eval", "sealed_suites"), message))
        else:
            told.append(message)
    if problems:
        raise ConfigError(*problems)
    return sets, told


def _named(config: Config) -> Iterator[tuple[EvalSet, Path_]]:
    """Yield the sets that a config names, with the places where it does."""
    lists = ((("decontaminate",), config.decontaminate or ()), (("eval", "sets"), config.eval.sets))
    places = {
        id(one): (*path, number) for path, listed in lists for number, one in enumerate(listed)
    }
    for one in config.eval_sets():
        yield one, places[id(one)]


def _sources_of(
    one: EvalSet, mix: ResolvedMix, modules: ModulePlaces, path: Path_
) -> Iterator[_Source]:
    label = f"{mix.file.problem(path, one.set)}"
    if format_of_name(one.set) is not None:
        spec = SourceSpec(id=one.set, kind="jsonl", path=one.set, sha256=one.sha256)
        folder = mix.file.path.parent
        yield _Source(
            spec=spec, folder=folder, label=label, texts=row_of_columns(one.fields),
            path=folder / one.set,
        )  # fmt: skip
        return
    if one.fields or one.sha256:
        told = (
            f"{one.set} is a module, whose file says what its rows are: leave fields and sha256 out"
        )
        raise ConfigError(mix.file.problem(path, told))
    file = _module_of(one.set, mix, modules, path)
    for spec in sorted(file.module.sources, key=lambda source: source.id):
        yield _Source(
            spec=spec, folder=file.path.parent, label=f"{label}: source {spec.id}",
            texts=_turns_of(file.module),
        )  # fmt: skip


def _module_of(name: str, mix: ResolvedMix, modules: ModulePlaces, path: Path_) -> ModuleFile:
    """Return the module that is a set; what lies there under its name, and is none, is told."""
    try:
        return modules.find(name)
    except ConfigError as error:
        is_there = os.path.lexists(mix.file.path.parent / name)
        if not is_there or any(problem.where for problem in error.problems):
            raise
        told = f"{name} is no module, and as a file its name tells no format; expected .jsonl, "
        raise ConfigError(mix.file.problem(path, f"{told}.csv, .parquet or the like")) from error


def _turns_of(module: Module) -> _ToTexts:
    return row_of_turns(module.fields, frozenset(module.ignore_message_keys))


def _sealed_source(suite: EvalSet, path: Path) -> _Source:
    spec = SourceSpec(id=suite.set[1:], kind="jsonl", path=suite.set, sha256=suite.sha256)
    return _Source(
        spec=spec, folder=Path(), label=f"sealed suite {suite.set}", texts=row_of_columns(()),
        path=path,
    )  # fmt: skip


def _sealed(config: Config) -> Iterator[tuple[EvalSet, Path]]:
    """Yield the sealed suites that are here, with their files."""
    for suite in config.eval.sealed_suites:
        variable = suite.get("env")
        place = os.environ.get(variable) if isinstance(variable, str) else None
        if place:
            sha256 = suite.get("sha256")
            yield EvalSet(set=f"${variable}", sha256=sha256 and str(sha256)), Path(place)


def _missing_suites(config: Config) -> Iterator[str]:
    for number, suite in enumerate(config.eval.sealed_suites):
        variable = suite.get("env")
        if not isinstance(variable, str):
            yield f"the sealed suite {number + 1} names no env, so no record was compared with it"
        elif not os.environ.get(variable):
            told = "is not here, so no record was compared with it"
            yield f"the sealed suite ${variable} {told}; set the variable to the path of its file"


def _read_all(
    sets: Sequence[_Set], places: SourceMap, options: MixOptions
) -> tuple[list[EvaluationSet], list[RecipeEvalSet]]:
    read: list[EvaluationSet] = []
    stated: list[RecipeEvalSet] = []
    for one in sets:
        sources: list[RecipeEvalSource] = []
        for source in one.sources:
            rows, facts = _read(source, places, options)
            sources.append(facts)
            read.append(_evaluation_set(one.asked, source, len(one.sources), rows))
        stated.append(_stated(one.asked, tuple(sources)))
    return read, stated


def _evaluation_set(
    asked: EvalSet, source: _Source, count: int, rows: Sequence[EvaluationRow]
) -> EvaluationSet:
    """Return the rows of a source as a set, which is named by the source where it has several."""
    return EvaluationSet(
        name=asked.set if count == 1 else f"{asked.set} {source.spec.id}", rows=rows,
        overlap=asked.overlap, on_row=asked.rows, ngram=asked.ngram, short=asked.short,
    )  # fmt: skip


def _stated(asked: EvalSet, sources: tuple[RecipeEvalSource, ...]) -> RecipeEvalSet:
    return RecipeEvalSet(
        name=asked.set, fields=asked.fields, overlap=asked.overlap, on_row=asked.rows,
        ngram=asked.ngram, short=asked.short, sources=sources,
    )  # fmt: skip


def _read(
    source: _Source, places: SourceMap, options: MixOptions
) -> tuple[list[EvaluationRow], RecipeEvalSource]:
    reader = _opened(source, places, options)
    rows: list[EvaluationRow] = []
    problems: list[Problem] = []
    for number, row in reader:
        made = row if isinstance(row, Fault) else source.texts(number, row)
        if isinstance(made, Fault):
            problems.append(Problem(f"{source.label}:{number}", made.words))
        else:
            rows.append(made)
    if len(problems) > _SHOWN:
        more = counted(len(problems) - _SHOWN, "more row")
        problems[_SHOWN:] = [Problem(source.label, f"and {more} that cannot be read")]
    if not problems and not any(bare_words(text) for row in rows for text in row.texts):
        problems.append(Problem(source.label, "no row has a text, so nothing could be compared"))
    if problems:
        raise DataError(*problems)
    found = reader.identity()
    return rows, RecipeEvalSource(
        id=source.spec.id, revision=found.revision, sha256=found.sha256, rows=found.rows
    )


def _opened(source: _Source, places: SourceMap, options: MixOptions) -> SourceReader:
    context = SourceContext(
        folder=source.folder, offline=options.offline, cache=options.cache,
        progress=options.progress,
    )  # fmt: skip
    path = _path(source, places)
    if path is None or source.path is None:
        return places.open(source.spec, context)[0]
    return open_local(
        LocalFile(path=path, spec=source.spec, progress=options.progress, label=source.label)
    )


def _path(source: _Source, places: SourceMap) -> Path | None:
    """Return the file of this machine that a source is read from; None where it is fetched."""
    if source.path is not None and source.spec.id not in places.places:
        return source.path
    return places.local_path(source.spec, source.folder)

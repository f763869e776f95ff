"""What a user means by a target: one composition, all of a folder, or all of the project."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from teapot.errors import Problem, UsageError
from teapot.files import OutputPaths
from teapot.model.trainstatement import STATEMENT

MANIFEST = ".manifest.json"
_BUNDLE = re.compile(r"(.+)\.manifest(?:\.[^.]+)?\.sigstore\.json")
_ORDER = re.compile(r"(.+)\.epoch-[1-9][0-9]*\.order")
_NOT_PROJECT = frozenset(("build", "dist", "node_modules", "site-packages", "tests", "__pycache__"))


def composition_of(path: Path) -> OutputPaths | None:
    """Return the composition that a file of the set belongs to, by its name; None for others."""
    bundle = _BUNDLE.fullmatch(path.name)
    if bundle:
        return _named(path, bundle[1])
    order = _ORDER.fullmatch(path.name)
    if order:
        return _named(path, order[1])
    for ending in (MANIFEST, ".ledger.parquet", ".ATTRIBUTION.md", ".jsonl"):
        if path.name.endswith(ending) and path.name != ending:
            named = _named(path, path.name.removesuffix(ending))
            return OutputPaths.of_file(path) if ending == ".jsonl" else named
    return None


def names_order(path: Path) -> bool:
    """Tell whether a file is the order of an epoch, by its name."""
    return _ORDER.fullmatch(path.name) is not None


def refuse_held_out(target: Path, paths: OutputPaths) -> None:
    """Refuse a validation file where the data is meant: its lines are others, and not trained on.

    Raises:
        UsageError: it is the one of this composition.
    """
    if target.name == paths.validation.name:
        told = f"holds what was held out of the data, expected the data; name {paths.data.name}"
        raise UsageError(Problem(str(target), told))


def compositions_of(targets: Iterable[Path]) -> list[OutputPaths]:
    """Return the compositions that targets name, each once; none given means the project.

    Raises:
        UsageError: a target is missing or no part of a composition, or there is nothing to verify.
    """
    given = list(targets)
    if given:
        return _each_once(paths for target in given for paths in _of_target(target))
    found = _each_once(_in_project(Path()))
    if not found:
        told = f"no *{MANIFEST} in this project; name a manifest, a data file or a folder"
        raise UsageError(told)
    return found


def compositions_in(folder: Path) -> list[OutputPaths]:
    """Return the compositions whose manifest or signature lies in a folder, each once."""
    return _each_once(_of_names(folder, (path.name for path in folder.iterdir())))


def compositions_under(folder: Path) -> list[OutputPaths]:
    """Return the compositions that lie in a folder or below it, whatever the folders are called."""
    found = (
        paths for place, _, names in os.walk(folder) for paths in _of_names(Path(place), names)
    )
    return _each_once(found)


def _each_once(found: Iterable[OutputPaths]) -> list[OutputPaths]:
    return list({paths.data.absolute(): paths for paths in found}.values())


def _of_target(target: Path) -> Iterator[OutputPaths]:
    if target.is_dir():
        found = compositions_in(target)
        if not found:
            raise UsageError(Problem(str(target), f"holds no *{MANIFEST}, so nothing to verify"))
        yield from found
        return
    paths = composition_of(target)
    # a run was killed: `recover`; or the data as a whole is named, which lies there in shards
    is_there = paths is not None and (paths.run_folder.is_dir() or bool(paths.all_shards()))
    if not os.path.lexists(target) and not is_there:
        raise UsageError(Problem(str(target), "no such file or folder"))
    if paths is None:
        told = (
            "is no part of a composition, expected a data file (.jsonl), its ledger, manifest or "
            "signature, a proof, or a folder"
        )
        raise UsageError(Problem(str(target), told))
    yield paths


def _in_project(root: Path) -> Iterator[OutputPaths]:
    for folder, folders, files in os.walk(root):
        if STATEMENT in files:  # a trained model: its manifest is a copy, without the data
            folders.clear()
            continue
        folders[:] = sorted(
            name for name in folders if name not in _NOT_PROJECT and not name.startswith(".")
        )
        yield from _of_names(Path(folder), files)


def _of_names(folder: Path, names: Iterable[str]) -> Iterator[OutputPaths]:
    """Yield the compositions of which a manifest or a signature is among the names of a folder."""
    for name in sorted(names):
        if name.endswith(MANIFEST) or _BUNDLE.fullmatch(name):
            paths = composition_of(folder / name)
            if paths is not None:
                yield paths


def _named(path: Path, stem: str) -> OutputPaths:
    return OutputPaths(path.with_name(f"{stem}.jsonl"))

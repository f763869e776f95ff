"""What a user means by a target: one composition, all of a folder, or all of the project."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from teapot.errors import Problem, UsageError
from teapot.files import OutputPaths

MANIFEST = ".manifest.json"
_BUNDLE = re.compile(r"(.+)\.manifest(?:\.[^.]+)?\.sigstore\.json")
_NOT_PROJECT = frozenset(("build", "dist", "node_modules", "site-packages", "__pycache__"))


def composition_of(path: Path) -> OutputPaths | None:
    """Return the composition that a file of the set belongs to, by its name; None for others."""
    bundle = _BUNDLE.fullmatch(path.name)
    if bundle:
        return _named(path, bundle[1])
    for ending in (MANIFEST, ".ledger.parquet", ".jsonl"):
        if path.name.endswith(ending) and path.name != ending:
            return _named(path, path.name.removesuffix(ending))
    return None


def compositions_of(targets: Iterable[Path]) -> list[OutputPaths]:
    """Return the compositions that targets name, each once; none given means the project.

    Raises:
        UsageError: a target is missing or no part of a composition, or there is nothing to verify.
    """
    found: dict[Path, OutputPaths] = {}
    given = list(targets)
    for target in given:
        for paths in _of_target(target):
            found[paths.data.absolute()] = paths
    if not given:
        found = {paths.data.absolute(): paths for paths in _in_project(Path())}
        if not found:
            told = f"no *{MANIFEST} in this project; name a manifest, a data file or a folder"
            raise UsageError(told)
    return list(found.values())


def _of_target(target: Path) -> Iterator[OutputPaths]:
    if target.is_dir():
        stems = sorted(target.glob(f"*{MANIFEST}"))
        bundles = sorted(target.glob(f"*{MANIFEST.removesuffix('.json')}*.sigstore.json"))
        yield from filter(None, map(composition_of, [*stems, *bundles]))
        return
    paths = composition_of(target)
    if not os.path.lexists(target):
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
        folders[:] = sorted(
            name for name in folders if name not in _NOT_PROJECT and not name.startswith(".")
        )
        for name in sorted(files):
            if name.endswith(MANIFEST) and name != MANIFEST:
                yield _named(Path(folder, name), name.removesuffix(MANIFEST))


def _named(path: Path, stem: str) -> OutputPaths:
    return OutputPaths(path.with_name(f"{stem}.jsonl"))

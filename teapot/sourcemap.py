"""Where a declared source really lies on this machine.

Asked in this order: `--source ID=PATH`, `$TEAPOT_SOURCE_<ID>`, `teapot.sources.yaml` beside the
config or in the working folder, and then the module's own word. A value is a path, or
`hf:owner/name` with perhaps `@revision`; in the file also a mapping of `path`, `repo` and
`revision`, where the path wins if it exists.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from teapot.errors import ConfigError, Problem, UsageError
from teapot.interfaces import SourceContext, SourceReader
from teapot.model.module import SourceSpec
from teapot.plugins import Plugin, load_source
from teapot.sources.local import LocalFile, open_local
from teapot.strictyaml import read_yaml

FILE = "teapot.sources.yaml"
_HUB = re.compile(r"hf:([^/@\s]+/[^/@\s]+)(?:@(\S+))?")


@dataclass(frozen=True, slots=True)
class Place:
    """A path or a Hub dataset that stands for a source, and who said so."""

    said_by: str
    path: Path | None = None
    repo: str | None = None
    revision: str | None = None


@dataclass(frozen=True, slots=True)
class SourceMap:
    """All places given for sources, each from the most telling that names it."""

    places: Mapping[str, Place]

    @classmethod
    def gather(cls, config: Path | None, given: Mapping[str, str], ids: Iterable[str]) -> SourceMap:
        """Return the places of the sources `ids`.

        Raises:
            UsageError: `given` names a source that is not among `ids`.
            ConfigError: `teapot.sources.yaml` is not a mapping of ids to places.
        """
        wanted = sorted(set(ids))
        for identity in given:
            if identity not in wanted:
                known = ", ".join(wanted)
                raise UsageError(
                    Problem(
                        f"--source {identity}",
                        f"no source of this id in the mix; known are {known}",
                    )
                )
        places = _from_files(config)
        said = {
            identity: (value, variable_of(identity))
            for identity in wanted
            if (value := os.environ.get(variable_of(identity)))
        }
        for identity, (_, variable) in said.items():
            sharing = [other for other in wanted if variable_of(other) == variable]
            if len(sharing) > 1:
                told = f"stands for {' and '.join(sharing)}; use --source {identity}=PATH"
                raise UsageError(Problem(variable, told))
        said |= {identity: (value, "--source") for identity, value in given.items()}
        for identity, (value, said_by) in said.items():
            try:
                places[identity] = _place(value, said_by, Path())
            except ValueError as error:
                raise UsageError(Problem(f"{said_by} {identity}={value}", str(error))) from error
        return cls({identity: places[identity] for identity in wanted if identity in places})

    def local_path(self, spec: SourceSpec, folder: Path) -> Path | None:
        """Return the file of this machine that a source is read from; None where it is fetched."""
        place = self.places.get(spec.id)
        if place is not None:
            return place.path
        return folder / spec.path if spec.path is not None else None

    def open(
        self, spec: SourceSpec, context: SourceContext, pinned: str | None = None
    ) -> tuple[SourceReader, Plugin | None]:
        """Return a reader of a source where it really lies, and the plug-in that gave it.

        `pinned` is the locked revision, which goes before any other.
        """
        place = self.places.get(spec.id)
        if place is not None and place.path is not None:
            return open_local(
                LocalFile(path=place.path, spec=spec, progress=context.progress)
            ), None
        if pinned is not None and spec.repo is not None:
            spec = replace(spec, revision=pinned)
        if place is not None and place.repo is not None:
            spec = replace(
                spec, kind="huggingface", repo=place.repo, revision=pinned or place.revision,
                file=spec.file or (None if spec.split else Path(spec.path or spec.url or "").name),
            )  # fmt: skip
        source, plugin = load_source(spec.kind)
        return source.open(spec, context), plugin


def variable_of(identity: str) -> str:
    """Return the environment variable of a source: `ke-thinking` is TEAPOT_SOURCE_KE_THINKING."""
    return "TEAPOT_SOURCE_" + re.sub(r"[^A-Z0-9]", "_", identity.upper())


def parse_given(pairs: Sequence[str]) -> dict[str, str]:
    """Return `--source` arguments as a mapping.

    Raises:
        UsageError: an argument is not ID=PATH, or an id is given twice.
    """
    given: dict[str, str] = {}
    for pair in pairs:
        identity, mark, value = pair.partition("=")
        if not mark or not identity or not value:
            raise UsageError(Problem(f"--source {pair}", "expected ID=PATH"))
        if identity in given:
            raise UsageError(Problem(f"--source {pair}", "this source is given twice"))
        given[identity] = value
    return given


def _from_files(config: Path | None) -> dict[str, Place]:
    folders = [Path()] if config is None else [config.parent, Path()]
    path = next((folder / FILE for folder in folders if (folder / FILE).is_file()), None)
    if path is None:
        return {}
    document = read_yaml(path)
    if not isinstance(document.value, dict):
        raise ConfigError(Problem(f"{path}:1", "expected a mapping of source ids to places"))
    places: dict[str, Place] = {}
    problems = []
    for identity, value in document.value.items():
        try:
            places[identity] = _place(value, str(path), path.parent)
        except ValueError as error:
            problems.append(document.problem((identity,), str(error)))
    if problems:
        raise ConfigError(*problems)
    return places


def _place(value: Any, said_by: str, folder: Path) -> Place:
    if isinstance(value, str):
        hub = _HUB.fullmatch(value)
        if hub:
            return Place(said_by, repo=hub[1], revision=hub[2])
        if value.startswith("hf:"):
            raise ValueError("expected hf:owner/name, perhaps with @revision")
        return Place(said_by, path=_path(value, folder))
    if not isinstance(value, dict) or not value.keys() <= {"path", "repo", "revision"} or not value:
        raise ValueError("expected a path, hf:owner/name, or a mapping of path, repo and revision")
    if not all(isinstance(part, str) for part in value.values()):
        raise ValueError("path, repo and revision are text")
    if "path" not in value and "repo" not in value:
        raise ValueError("expected a path or a repo beside the revision")
    path = _path(value["path"], folder) if "path" in value else None
    if path is not None and (path.exists() or "repo" not in value):
        return Place(said_by, path=path)
    return Place(said_by, repo=value["repo"], revision=value.get("revision"))


def _path(value: str, folder: Path) -> Path:
    try:
        return folder / Path(value).expanduser()
    except RuntimeError as error:
        raise ValueError(f"{value}: {error}") from error

"""Finds module files and reads them: beside the config, in folders given, in the shipped set."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path, PureWindowsPath
from typing import Any

from teapot.errors import ConfigError, Problem
from teapot.licensing import parse_license
from teapot.model.module import MIXED, Module
from teapot.model.record import Fault
from teapot.schemas import schema_faults, shown
from teapot.strictyaml import Path_, YamlDocument, read_yaml

VARIABLE = "TEAPOT_MODULES"
_NEEDED = {
    "jsonl": ("path",),
    "parquet": ("path",),
    "csv": ("path",),
    "sqlite": ("path", "query"),
    "https": ("url", "sha256"),
    "fsspec": ("url",),
    "huggingface": ("repo",),
}
_ENDINGS = (".yaml", ".yml", "/module.yaml")


@dataclass(frozen=True, slots=True)
class ModuleFile:
    """A module with the file it was read from."""

    path: Path
    module: Module
    document: YamlDocument


@dataclass(frozen=True, slots=True)
class ModulePlaces:
    """The folders that modules are looked for in, first wins."""

    folders: tuple[Path, ...]

    @classmethod
    def around(cls, config: Path | None, given: Sequence[Path] = ()) -> ModulePlaces:
        """Return `modules/` beside the config, then `given`, `$TEAPOT_MODULES`, the shipped set."""
        beside = [config.parent / "modules"] if config is not None else []
        named = [Path(part) for part in os.environ.get(VARIABLE, "").split(os.pathsep) if part]
        return cls(
            tuple(_without_repeats([*beside, *given, *named, shipped_configs() / "modules"]))
        )

    def find(self, name: str) -> ModuleFile:
        """Return the module of this name from the first place that has it.

        Raises:
            ConfigError: no place has it, one has it twice, or its file is not a module.
        """
        for folder in self.folders:
            found = [path for ending in _ENDINGS if (path := folder / (name + ending)).is_file()]
            if len(found) > 1:
                both = " and ".join(str(path) for path in found)
                raise ConfigError(Problem(name, f"two files for one module: {both}; remove one"))
            if found:
                return load_module(found[0], name)
        raise ConfigError(Problem("", f"no such module{self._near(name)}", name))

    def names(self) -> dict[str, Path]:
        """Return every module name that can be found, with the file that would be read."""
        found: dict[str, Path] = {}
        for folder in self.folders:
            for path in sorted(folder.rglob("*.y*ml")) if folder.is_dir() else ():
                relative = path.relative_to(folder)
                name = (
                    relative.parent if relative.name == "module.yaml" else relative.with_suffix("")
                )
                found.setdefault(name.as_posix(), path)
        return dict(sorted(found.items()))

    def _near(self, name: str) -> str:
        names = self.names()
        alike = [known for known in names if known.replace("/", "-") == name.replace("/", "-")]
        near = alike or difflib.get_close_matches(name, names, n=1)
        if near:
            return f"; did you mean {near[0]}?"
        return f"; looked in {', '.join(str(folder) for folder in self.folders)}"


def load_module(path: Path, name: str | None = None) -> ModuleFile:
    """Return the module in a file, which must bear `name` where it is given.

    Raises:
        ConfigError: the file is not a module; names every fault with its line.
    """
    document = read_yaml(path)
    if not isinstance(document.value, dict):
        raise ConfigError(document.problem((), f"found {shown(document.value)}, expected a module"))
    faults = list(schema_faults("module", document)) or list(_semantic_faults(document.value, name))
    if faults:
        raise ConfigError(*document.problems(faults))
    return ModuleFile(path, Module.from_dict(document.value), document)


def shipped_configs() -> Path:
    """Return the folder of the configs and modules that come with Teapot."""
    return Path(str(files("teapot_configs")))


def _semantic_faults(value: dict[str, Any], name: str | None) -> Iterator[tuple[Path_, str]]:
    if name is not None and value["name"] != name:
        yield ("name",), f"found {value['name']}, expected {name} as its place says"
    if value["license"] != MIXED:
        yield from _license_fault(value["license"], ("license",))
    seen: dict[str, int] = {}
    for place, source in enumerate(value["sources"]):
        first = seen.setdefault(source["id"], place)
        if first != place:
            yield ("sources", place, "id"), f"a second source with the id {source['id']}"
        if "license" in source:
            yield from _license_fault(source["license"], ("sources", place, "license"))
        yield from _source_faults(source, ("sources", place))
    fields = value.get("fields", {})
    if ("user" in fields) != ("assistant" in fields):
        yield ("fields",), "user and assistant make one exchange: name both"
    if "user" in fields and "messages" in fields:
        yield ("fields",), "either messages, or user and assistant"


def _source_faults(source: dict[str, Any], path: Path_) -> Iterator[tuple[Path_, str]]:
    kind = source["kind"]
    for key in _NEEDED.get(kind, ()):
        if key not in source:
            yield path, f"kind {kind} needs the key {key}"
    if kind == "huggingface" and ("file" in source) == ("split" in source):
        yield path, "kind huggingface needs one of the keys file and split"
    url = source.get("url", "")
    if kind == "fsspec" and ("://" not in url or url.startswith(("file:", "local:"))):
        yield (*path, "url"), f"found {url}, expected another file system; for a file use path"
    file = source.get("path", "")
    if file.startswith(("/", "~", "\\")) or PureWindowsPath(file).drive:
        told = f"found {file}, expected a path relative to the module file; where a file lies on"
        yield (*path, "path"), f"{told} this machine is said with --source {source['id']}=PATH"


def _license_fault(text: str, path: Path_) -> Iterator[tuple[Path_, str]]:
    parsed = parse_license(text)
    if isinstance(parsed, Fault):
        yield path, parsed.words


def _without_repeats(folders: Sequence[Path]) -> Iterator[Path]:
    seen: set[Path] = set()
    for folder in folders:
        real = folder.resolve()
        if real not in seen:
            seen.add(real)
            yield folder

"""Sources read alone, through their plug-ins, and mixes of one source through the real command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from teapot.interfaces import SourceContext, SourceIdentity
from teapot.model.module import SourceSpec
from teapot.model.record import Fault, Row
from teapot.plugins import load_source
from tests.support.project import write_config, write_module

Environment = Mapping[str, str]
Ran = subprocess.CompletedProcess[str]
NumberedRows = list[tuple[int, Row | Fault]]


def read(
    kind: str, folder: Path, *, offline: bool = False, cache: Path | None = None, **keys: Any
) -> tuple[NumberedRows, SourceIdentity]:
    """Return all rows of a source of this kind, as its plug-in gives them, and what was read."""
    context = SourceContext(folder=folder, offline=offline, cache=cache)
    reader = load_source(kind)[0].open(SourceSpec(id="s", kind=kind, **keys), context)
    rows = list(reader)
    return rows, reader.identity()


def write_mix(folder: Path, sources: Mapping[str, Mapping[str, Any]], **config: Any) -> Path:
    """Write `mix.config` with a module of one source for each name; a source's id is its name.

    `fields` among a source's keys is its module's.
    """
    for name, source in sources.items():
        keys = {key: value for key, value in source.items() if key != "fields"}
        fields = source.get("fields", {})
        write_module(folder, f"t/{name}", b"", sources=[{"id": name, **keys}], fields=fields)
    return write_config(folder, {f"t/{name}": 1 for name in sources}, **config)


def teapot(folder: Path, *arguments: str | Path, env: Environment | None = None) -> Ran:
    """Run the command line in a folder; `env` comes on top of this process's environment."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("TEAPOT_")}
    return subprocess.run(
        [sys.executable, "-m", "teapot", *map(str, arguments)],
        cwd=folder, env=own | dict(env or {}), capture_output=True, encoding="utf-8",
        timeout=300, check=False,
    )  # fmt: skip


def composed(folder: Path, *arguments: str | Path, env: Environment | None = None) -> Any:
    """Compose a folder's `mix.config`, which must succeed, and return what `--json` tells."""
    ran = teapot(folder, "compose", "mix.config", "--json", *arguments, env=env)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return json.loads(ran.stdout)


def refused(folder: Path, *arguments: str | Path, env: Environment | None = None) -> Ran:
    """Compose a folder's `mix.config`, which must fail in words and leave no output."""
    ran = teapot(folder, "compose", "mix.config", "-o", "out.jsonl", *arguments, env=env)
    assert ran.returncode in {1, 2, 3} and "error: " in ran.stderr, ran.stdout + ran.stderr
    assert "Traceback" not in ran.stderr, ran.stderr
    assert not [*folder.glob("*out.*")], "a run that failed left files"
    return ran


def manifest(folder: Path) -> Any:
    """Return the manifest of a folder's composed `mix.config`."""
    return json.loads((folder / "mix.manifest.json").read_bytes())


def dependencies(folder: Path) -> dict[str, Any]:
    """Return what the manifest says of each source, by the source's id."""
    found = manifest(folder)["predicate"]["buildDefinition"]["resolvedDependencies"]
    return {one["name"].split()[1]: {**one["annotations"], **one["digest"], **one} for one in found}

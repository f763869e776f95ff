"""Plug-ins of other packages: found by entry point, named in YAML, recorded in the manifest."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.project import chat_row, chat_rows, write_config, write_module

_CODE = """
from teapot.interfaces import SourceIdentity
from teapot.model.record import Fault

class HaikuSource:
    def open(self, spec, context):
        return HaikuReader(spec)

class HaikuReader:
    def __init__(self, spec):
        self.spec = spec
    def __iter__(self):
        yield 1, {"messages": [{"role": "user", "content": "A haiku?"},
                               {"role": "assistant", "content": "Old pond, a frog jumps."}]}
    def identity(self):
        return SourceIdentity(uri=self.spec.uri, sha256="0" * 64, bytes=1, rows=1, digest_of="rows")

class NoEmails:
    name = "no-emails"
    def run(self, record):
        return [Fault("email", "an e-mail address", index)
                for index, message in enumerate(record.messages) if "@" in message["content"]]
"""


def install(folder: Path, package: str, points: str) -> None:
    """Lay out an installed package: its module, and the metadata that names its entry points."""
    (folder / f"{package}.py").write_text(_CODE)
    metadata = folder / f"{package}-2.5.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 2.5\n")
    (metadata / "entry_points.txt").write_text(points)


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    folder = tmp_path / "packages"
    folder.mkdir()
    install(
        folder,
        "garden",
        "[teapot.sources]\nhaiku = garden:HaikuSource\n"
        "[teapot.checks]\nno-emails = garden:NoEmails\nbroken = garden:Missing\n",
    )
    return folder


def run(project: Path, packages: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(packages)}
    return subprocess.run(
        [sys.executable, "-m", "teapot", *arguments], cwd=project, env=environment,
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_source_of_another_package_is_read_and_recorded(tmp_path: Path, packages: Path) -> None:
    write_module(tmp_path, "t/h", [], sources=[{"id": "h", "kind": "haiku"}])
    write_config(tmp_path, {"t/h": 1}, output="out.jsonl")
    ran = run(tmp_path, packages, "compose", "mix.config")
    assert ran.returncode == 0, ran.stderr
    manifest = json.loads((tmp_path / "out.manifest.json").read_bytes())
    version = manifest["predicate"]["runDetails"]["builder"]["version"]
    assert version["garden"] == "2.5"
    assert b"Old pond" in (tmp_path / "out.jsonl").read_bytes()


def test_check_of_another_package_drops_rows_by_its_code(tmp_path: Path, packages: Path) -> None:
    rows = [chat_row("x", "Write to a@b.example?"), *chat_rows("a", 2)]
    write_module(tmp_path, "t/a", rows, checks=["no-emails"], on_bad_row="drop")
    write_config(tmp_path, {"t/a": 1}, output="out.jsonl")
    said = json.loads(run(tmp_path, packages, "compose", "mix.config", "--json").stdout)
    assert said["modules"][0]["dropped"] == {"email": 1}
    manifest = json.loads((tmp_path / "out.manifest.json").read_bytes())
    external = manifest["predicate"]["buildDefinition"]["externalParameters"]
    assert external["recipe"]["modules"][0]["checks"] == ["no-emails"]


def test_two_packages_with_one_name_are_refused(tmp_path: Path, packages: Path) -> None:
    install(packages, "meadow", "[teapot.sources]\nhaiku = meadow:HaikuSource\n")
    write_module(tmp_path, "t/h", [], sources=[{"id": "h", "kind": "haiku"}])
    write_config(tmp_path, {"t/h": 1})
    ran = run(tmp_path, packages, "plan", "mix.config")
    assert ran.returncode == 2
    assert "provided by garden and meadow; uninstall all but one" in ran.stderr


def test_plugin_that_cannot_be_loaded_is_named(tmp_path: Path, packages: Path) -> None:
    write_module(tmp_path, "t/a", chat_rows("a", 1), checks=["broken"])
    write_config(tmp_path, {"t/a": 1})
    ran = run(tmp_path, packages, "plan", "mix.config")
    assert ran.returncode == 2
    assert "the check plug-in 'broken' of garden cannot be loaded" in ran.stderr

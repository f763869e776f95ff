"""Splits through `datasets`: the rows that are read are those of the commit that is recorded."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from teapot.canonical import dumps
from teapot.digest import sha256_hex
from tests.support.hub import Hub
from tests.support.project import Row, chat_rows, jsonl
from tests.support.sources import composed, dependencies, refused, write_mix

pytest.importorskip("datasets")

REPO = "owner/tea"
CARD = b"""---
configs:
- config_name: main
  data_files: [{split: train, path: a/train.jsonl}, {split: test, path: a/test.jsonl}]
- config_name: other
  data_files: [{split: train, path: b/train.jsonl}]
---
"""


def files(word: str) -> dict[str, bytes]:
    parts = {"a/train": f"{word}-train", "a/test": f"{word}-test", "b/train": f"{word}-other"}
    rows = {f"{path}.jsonl": jsonl(chat_rows(name, 20)) for path, name in parts.items()}
    return {"README.md": CARD, **rows}


def digest_of(rows: list[Row]) -> str:
    return sha256_hex(b"".join(dumps(row) + b"\n" for row in rows))


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    with Hub() as made:
        made.commit(REPO, files("old"))
        yield made


def declare(folder: Path, **keys: str) -> None:
    write_mix(folder, {"rows": {"kind": "huggingface", "repo": REPO, **keys}})


def found(hub: Hub, folder: Path, *arguments: str) -> Any:
    composed(folder, *arguments, env=hub.environment(folder / "cache"))
    return dependencies(folder)["rows"]


def test_split_of_a_configuration_is_read_at_the_commit_of_its_branch(
    hub: Hub, tmp_path: Path
) -> None:
    declare(tmp_path, config="main", split="test")
    commit = hub.commit(REPO, files("old"))
    made = found(hub, tmp_path)
    assert made["uri"] == f"hf://datasets/{REPO}/main/test"
    assert (made["revision"], made["rows"], made["digest_of"]) == (commit, 20, "rows")
    assert made["sha256"] == digest_of(chat_rows("old-test", 20))
    moved = hub.move_branch(REPO, "main", files("new"))
    made = found(hub, tmp_path)
    assert (made["revision"], made["sha256"]) == (moved, digest_of(chat_rows("new-test", 20)))


def test_commit_is_not_recorded_for_the_rows_of_another(hub: Hub, tmp_path: Path) -> None:
    old = hub.commit(REPO, files("old"))
    new = hub.move_branch(REPO, "main", files("new"))
    declare(tmp_path, config="main", split="train", revision=new)
    assert found(hub, tmp_path)["revision"] == new
    declare(tmp_path, config="main", split="train", revision=old)
    # `datasets` now gives the cached rows of the other commit, with a line on stderr.
    hub.fail(f"/api/datasets/{REPO}/revision/{old}", 500, times=99)
    ran = refused(tmp_path, env=hub.environment(tmp_path / "cache"))
    assert ran.returncode == 3


def test_offline_reads_the_pinned_commit_and_no_other(hub: Hub, tmp_path: Path) -> None:
    old = hub.commit(REPO, files("old"))
    declare(tmp_path, config="main", split="train", revision=old)
    env = hub.environment(tmp_path / "cache")
    assert refused(tmp_path, "--offline", env=env).returncode == 3
    assert hub.requests == []
    made = found(hub, tmp_path)
    hub.requests.clear()
    assert found(hub, tmp_path, "--offline") == made
    declare(tmp_path, config="main", split="train", revision="0" * 40)
    assert refused(tmp_path, "--offline", env=env).returncode == 3
    assert hub.requests == []


@pytest.mark.parametrize("lacks", ["config", "split"])
def test_unknown_split_or_configuration_is_told(lacks: str, hub: Hub, tmp_path: Path) -> None:
    declare(tmp_path, **{"config": "main", "split": "train", lacks: "nothing"})
    ran = refused(tmp_path, env=hub.environment(tmp_path / "cache"))
    assert (ran.returncode, "nothing" in ran.stderr) == (3, True)
    assert "file None" not in ran.stderr


def test_declared_digest_of_a_split_is_held_to(hub: Hub, tmp_path: Path) -> None:
    declare(tmp_path, config="main", split="train", sha256=digest_of(chat_rows("old-train", 20)))
    assert found(hub, tmp_path)["rows"] == 20
    declare(tmp_path, config="main", split="train", sha256="0" * 64)
    assert refused(tmp_path, env=hub.environment(tmp_path / "cache")).returncode == 1


def test_missing_package_is_told_with_the_extra_to_install(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys; sys.modules['datasets'] = None\n")
    declare(tmp_path, config="main", split="train")
    env = hub.environment(tmp_path / "cache")
    env["PYTHONPATH"] = f"{tmp_path}{os.pathsep}{env.get('PYTHONPATH', '')}"
    ran = refused(tmp_path, env=env)
    assert ran.returncode == 2
    assert "needs an optional package: pip install 'teapot[datasets]'" in ran.stderr

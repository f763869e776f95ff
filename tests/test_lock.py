"""`teapot lock` and `compose --locked`: the very sources of then, or a refusal that says why."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from teapot.digest import sha256_hex
from tests.support.hub import Hub
from tests.support.project import chat_rows, jsonl
from tests.support.sources import Environment, composed, dependencies, refused, teapot, write_mix
from tests.support.verdicts import verdict, write_verdicts

LOCK = "teapot.lock"
REPO = "owner/tea"
OLD, NEW = jsonl(chat_rows("old", 20)), jsonl(chat_rows("new", 20))
LOCAL = {"a": {"kind": "jsonl", "path": "a.jsonl"}, "b": {"kind": "jsonl", "path": "b.jsonl"}}
ON_HUB = {
    "a": {"kind": "huggingface", "repo": REPO, "file": "a.jsonl"},
    "b": {"kind": "huggingface", "repo": REPO, "file": "b.jsonl"},
}


def lock(folder: Path, *arguments: str, env: Environment | None = None) -> dict[str, Any]:
    """Lock a folder's `mix.config`, which must succeed, and return the pins by source id."""
    ran = teapot(folder, "lock", "mix.config", *arguments, env=env)
    assert ran.returncode == 0, ran.stderr
    return pins(folder)


def pins(folder: Path) -> dict[str, Any]:
    return {
        name.split()[1]: pin
        for name, pin in json.loads((folder / LOCK).read_bytes())["sources"].items()
    }


def write_rows(folder: Path, identity: str, content: bytes) -> None:
    (folder / "modules" / "t" / f"{identity}.jsonl").write_bytes(content)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A mix of two local sources."""
    write_mix(tmp_path, LOCAL)
    write_rows(tmp_path, "a", OLD)
    write_rows(tmp_path, "b", NEW)
    return tmp_path


def test_locked_mix_composes_as_the_open_one(folder: Path) -> None:
    made = lock(folder)
    assert made["a"] == {
        "digest_of": "file", "kind": "jsonl", "revision": None, "rows": 20,
        "sha256": sha256_hex(OLD), "uri": "a.jsonl",
    }  # fmt: skip
    text = (folder / LOCK).read_bytes()
    assert composed(folder, "--locked") == composed(folder)
    assert lock(folder) == made
    assert (folder / LOCK).read_bytes() == text
    assert str(folder).encode() not in text


def test_changed_bytes_are_refused_naming_what_differs(folder: Path) -> None:
    lock(folder)
    write_rows(folder, "b", OLD[: OLD.rindex(b"\n", 0, -1) + 1])
    ran = refused(folder, "--locked")
    assert ran.returncode == 1
    was, found = sha256_hex(NEW), sha256_hex(OLD[: OLD.rindex(b"\n", 0, -1) + 1])
    assert f"{LOCK}: t/b b: sha256 is {found}, locked is {was}\n" in ran.stderr
    assert f"{LOCK}: t/b b: rows is 19, locked is 20\n" in ran.stderr
    assert "t/a" not in ran.stderr


def test_source_that_the_lock_does_not_name_is_refused(folder: Path) -> None:
    write_mix(folder, {"a": LOCAL["a"]})
    write_rows(folder, "a", OLD)
    lock(folder)
    write_mix(folder, LOCAL)
    write_rows(folder, "a", OLD)
    write_rows(folder, "b", NEW)
    ran = refused(folder, "--locked")
    assert ran.returncode == 1
    assert f"{LOCK}: does not pin t/b b; run `teapot lock` again" in ran.stderr


def test_lock_without_a_lock_file_is_told(folder: Path) -> None:
    ran = refused(folder, "--locked")
    assert ran.returncode == 2
    assert "no lock here; `teapot lock CONFIG` writes one" in ran.stderr


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"format": "teapot/lock/v9", "sources": {}}',
        '{"format": "teapot/lock/v1", "sources": []}',
        '{"format": "teapot/lock/v1", "sources": {"t/a a": "x", "t/b b": "y"}}',
    ],
)
def test_file_that_is_no_lock_is_told(text: str, folder: Path) -> None:
    (folder / LOCK).write_text(text)
    ran = refused(folder, "--locked")
    assert (ran.returncode, f"{LOCK}: is not a lock" in ran.stderr) == (2, True)


def test_update_pins_only_the_module_it_names(folder: Path) -> None:
    before = lock(folder)
    write_rows(folder, "a", NEW)
    after = lock(folder, "--update", "t/a")
    assert after == {**before, "a": {**before["a"], "sha256": sha256_hex(NEW)}}
    composed(folder, "--locked")


def test_update_refuses_where_another_module_changed(folder: Path) -> None:
    before = lock(folder)
    write_rows(folder, "a", NEW)
    write_rows(folder, "b", OLD)
    ran = teapot(folder, "lock", "mix.config", "--update", "t/a")
    assert (ran.returncode, "t/b b: sha256 is" in ran.stderr) == (1, True)
    ran = teapot(folder, "lock", "mix.config", "--update", "t/c")
    assert (ran.returncode, "t/c: not a module of this mix" in ran.stderr) == (2, True)
    assert pins(folder) == before


def test_pins_of_another_mix_beside_it_stay(folder: Path) -> None:
    lock(folder)
    write_mix(folder, {"c": {"kind": "jsonl", "path": "a.jsonl"}})
    write_rows(folder, "a", OLD)
    assert list(lock(folder)) == ["a", "b", "c"]


def test_locked_source_may_lie_elsewhere_if_it_is_the_same(folder: Path) -> None:
    made = lock(folder)
    (folder / "same.jsonl").write_bytes(OLD)
    assert lock(folder, "--source", "a=same.jsonl") == made
    composed(folder, "--locked", "--source", "a=same.jsonl")
    (folder / "same.jsonl").write_bytes(NEW)
    ran = teapot(folder, "compose", "mix.config", "--locked", "--source", "a=same.jsonl")
    assert (ran.returncode, "t/a a: sha256 is" in ran.stderr) == (1, True)


def test_locked_commit_is_read_though_the_branch_moved(tmp_path: Path) -> None:
    write_mix(tmp_path, ON_HUB)
    with Hub() as hub:
        commit = hub.commit(REPO, {"a.jsonl": OLD, "b.jsonl": NEW})
        made = lock(tmp_path, env=hub.environment(tmp_path / "cache"))
        assert {pin["revision"] for pin in made.values()} == {commit}
        hub.move_branch(REPO, "main", {"a.jsonl": NEW, "b.jsonl": OLD})
        composed(tmp_path, "--locked", env=hub.environment(tmp_path / "fresh"))
        found = {name: source["sha256"] for name, source in dependencies(tmp_path).items()}
        assert found == {"a": sha256_hex(OLD), "b": sha256_hex(NEW)}
        composed(tmp_path, env=hub.environment(tmp_path / "fresh"))
        assert dependencies(tmp_path)["a"]["sha256"] == sha256_hex(NEW)


def test_update_leaves_other_modules_at_their_locked_commits(tmp_path: Path) -> None:
    write_mix(tmp_path, ON_HUB)
    with Hub() as hub:
        commit = hub.commit(REPO, {"a.jsonl": OLD, "b.jsonl": OLD})
        env = hub.environment(tmp_path / "cache")
        lock(tmp_path, env=env)
        moved = hub.move_branch(REPO, "main", {"a.jsonl": NEW, "b.jsonl": NEW})
        made = lock(tmp_path, "--update", "t/a", env=env)
    assert (made["a"]["revision"], made["a"]["sha256"]) == (moved, sha256_hex(NEW))
    assert (made["b"]["revision"], made["b"]["sha256"]) == (commit, sha256_hex(OLD))


def test_lock_made_from_a_copy_keeps_the_revision_that_the_module_declares(tmp_path: Path) -> None:
    (tmp_path / "copy.jsonl").write_bytes(OLD)
    with Hub() as hub:
        commit = hub.commit(REPO, {"a.jsonl": OLD})
        hub.move_branch(REPO, "main", {"a.jsonl": NEW})
        write_mix(tmp_path, {"a": {**ON_HUB["a"], "revision": commit}})
        env = hub.environment(tmp_path / "cache")
        lock(tmp_path, "--source", "a=copy.jsonl", env=env)
        composed(tmp_path, "--locked", env=env)
        assert dependencies(tmp_path)["a"]["revision"] == commit


def test_locked_commit_of_a_dataset_given_by_flag_is_read(tmp_path: Path) -> None:
    write_mix(tmp_path, {"a": LOCAL["a"]})
    given = ("--source", f"a=hf:{REPO}")
    with Hub() as hub:
        commit = hub.commit(REPO, {"a.jsonl": OLD})
        env = hub.environment(tmp_path / "cache")
        lock(tmp_path, *given, env=env)
        hub.move_branch(REPO, "main", {"a.jsonl": NEW})
        composed(tmp_path, "--locked", *given, env=env)
        assert dependencies(tmp_path)["a"]["revision"] == commit


def test_a_lock_of_another_version_of_teapot_is_refused_until_it_is_made_again(
    folder: Path,
) -> None:
    lock(folder)
    path = folder / LOCK
    value = json.loads(path.read_bytes())
    path.write_text(json.dumps({**value, "teapot": "0.0.1"}))
    message = refused(folder, "--locked").stderr
    assert f"{LOCK}: was made by Teapot 0.0.1, this is " in message
    assert "run `teapot lock` again" in message
    lock(folder, "--update", "t/a")
    composed(folder, "--locked")


def test_verdicts_are_pinned_with_the_sources(tmp_path: Path) -> None:
    write_mix(tmp_path, LOCAL, curations={"t/a": "published:v1"})
    write_rows(tmp_path, "a", OLD)
    write_rows(tmp_path, "b", NEW)
    curation = tmp_path / "modules/t/a.curation.v1.jsonl"
    first = json.loads(OLD.splitlines()[0])
    write_verdicts(curation, verdict(first, "drop"))
    lock(tmp_path)
    pinned = sha256_hex(curation.read_bytes())
    assert json.loads((tmp_path / LOCK).read_bytes())["verdicts"] == {"t/a published:v1": pinned}
    assert composed(tmp_path, "--locked") == composed(tmp_path)
    write_verdicts(curation, verdict(first, "keep"))
    told = refused(tmp_path, "--locked").stderr
    assert f"sha256 is {sha256_hex(curation.read_bytes())}, locked is {pinned}" in told

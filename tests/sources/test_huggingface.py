"""Files on the Hugging Face Hub, read by the real client from a Hub on loopback."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from teapot.digest import sha256_hex
from tests.support.hub import Hub
from tests.support.project import chat_rows, jsonl
from tests.support.sources import Ran, composed, dependencies, refused, write_mix

REPO = "owner/tea"
OLD, NEW = jsonl(chat_rows("old", 20)), jsonl(chat_rows("new", 23))
# The client waits 23 seconds and more before it believes that a Hub is gone.
SHORT_WAITS = "import time\n_s = time.sleep\ntime.sleep = lambda s: _s(min(s, 0.01))\n"


@dataclass(frozen=True)
class Site:
    """A Hub with one dataset, and a folder whose mix reads a file of it."""

    hub: Hub
    folder: Path
    commit: str

    def environment(self, token: str | None = None) -> dict[str, str]:
        own = self.hub.environment(self.folder / "cache", token)
        waits = f"{self.folder / 'waits'}{os.pathsep}{own.get('PYTHONPATH', '')}"
        return own | {"PYTHONPATH": waits}

    def declare(self, **keys: Any) -> None:
        source = {"kind": "huggingface", "repo": REPO, "file": "rows.jsonl", "examples": 20}
        write_mix(self.folder, {"rows": {**source, **keys}}, expect={"examples": 20})

    def compose(self, *arguments: str, token: str | None = None) -> Any:
        """Return what the manifest says of the source."""
        composed(self.folder, *arguments, env=self.environment(token))
        return dependencies(self.folder)["rows"]

    def fail(self, *arguments: str, token: str | None = None) -> Ran:
        return refused(self.folder, *arguments, env=self.environment(token))

    def downloads(self) -> list[tuple[str | None, int]]:
        asked = [request for request in self.hub.requests if request.path.endswith("/rows.jsonl")]
        return [(one.range, one.status) for one in asked if one.method == "GET"]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    (tmp_path / "waits").mkdir()
    (tmp_path / "waits" / "sitecustomize.py").write_text(SHORT_WAITS)
    with Hub() as hub:
        made = Site(hub, tmp_path, hub.commit(REPO, {"rows.jsonl": OLD, "other.jsonl": NEW}))
        made.declare()
        yield made


def test_branch_is_resolved_to_its_commit_and_the_second_run_reads_the_cache(site: Site) -> None:
    found = site.compose()
    assert found["uri"] == f"hf://datasets/{REPO}/rows.jsonl"
    assert (found["revision"], found["rows"]) == (site.commit, 20)
    assert (found["sha256"], found["bytes"]) == (sha256_hex(OLD), len(OLD))
    assert site.compose() == found
    assert site.downloads() == [(None, 200)]


def test_offline_reads_what_a_run_before_has_fetched(site: Site) -> None:
    ran = site.fail("--offline")
    assert (ran.returncode, site.hub.requests) == (3, [])
    assert "not in the Hub cache, and --offline is set; run once without it" in ran.stderr
    found = site.compose()
    site.hub.requests.clear()
    assert site.compose("--offline") == found
    assert site.hub.requests == []


@pytest.mark.parametrize("named", ["commit", "tag", "branch"])
def test_revision_is_read_though_main_moved(named: str, site: Site) -> None:
    site.hub.tag(REPO, "v1.0", site.commit)
    branch = site.hub.commit(REPO, {"rows.jsonl": OLD}, branch="dev/old")
    site.hub.move_branch(REPO, "main", {"rows.jsonl": NEW})
    revision = {"commit": site.commit, "tag": "v1.0", "branch": "dev/old"}[named]
    site.declare(revision=revision)
    found = site.compose()
    assert found["revision"] == (branch if named == "branch" else site.commit)
    assert found["sha256"] == sha256_hex(OLD)


def test_moved_branch_gives_its_new_commit(site: Site) -> None:
    site.compose()
    moved = site.hub.move_branch(REPO, "main", {"rows.jsonl": jsonl(chat_rows("new", 20))})
    assert site.compose()["revision"] == moved
    assert site.compose("--offline")["revision"] == moved


def test_moved_branch_against_the_expected_count_is_told_with_what_to_do(site: Site) -> None:
    site.compose()
    moved = site.hub.move_branch(REPO, "main", {"rows.jsonl": NEW})
    ran = site.fail()
    assert ran.returncode == 1
    assert "mix.config:1: expect.examples: found 23 examples, expected 20" in ran.stderr
    assert "source rows holds 23 rows where its module declares 20" in ran.stderr
    assert f"hf://datasets/{REPO}/rows.jsonl at {moved}, sha256 {sha256_hex(NEW)}" in ran.stderr
    assert "revision: in the module file" in ran.stderr
    assert "--source ID=PATH" in ran.stderr


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"repo": "owner/nothing"}, "no such dataset, or a private one: log in with"),
        ({"revision": "v9"}, "no such revision in the dataset"),
        ({"revision": "0" * 40}, "no such revision in the dataset"),
        ({"file": "nothing.jsonl"}, "no such file in the dataset at that revision"),
    ],
)
def test_what_is_not_on_the_hub_is_told_apart(keys: dict[str, str], told: str, site: Site) -> None:
    site.declare(**keys)
    ran = site.fail()
    assert ran.returncode == 3
    place = {"repo": REPO, "file": "rows.jsonl", "revision": "main", **keys}
    shown = f"{place['repo']}, file {place['file']}, revision {place['revision']}"
    assert ran.stderr.startswith(f"error: source rows: {shown}: {told}")
    assert ran.stderr.endswith("; or give it with --source rows=PATH\n")


def test_private_dataset_opens_with_its_token_only(site: Site) -> None:
    site.hub.require_token(REPO, "hf_secret")
    for token in (None, "hf_wrong"):
        ran = site.fail(token=token)
        assert (ran.returncode, "or a private one: log in with" in ran.stderr) == (3, True)
    assert site.compose(token="hf_secret")["revision"] == site.commit
    assert "hf_secret" not in (site.folder / "mix.manifest.json").read_text()


def test_gated_dataset_is_told_apart(site: Site) -> None:
    site.hub.require_token(REPO, "hf_secret", gated=True)
    for token in (None, "hf_wrong"):
        ran = site.fail(token=token)
        assert (ran.returncode, "gated: accept its terms on the Hub" in ran.stderr) == (3, True)
    assert site.compose(token="hf_secret")["revision"] == site.commit


def test_body_that_breaks_off_is_fetched_again(site: Site) -> None:
    site.hub.truncate("rows.jsonl", 700)
    assert site.compose()["sha256"] == sha256_hex(OLD)
    assert site.downloads()[-1][1] in {200, 206} and len(site.downloads()) == 2


def test_hub_that_fails_is_told_and_leaves_nothing_wrong_behind(site: Site) -> None:
    site.hub.fail("rows.jsonl", 503, method="GET")
    ran = site.fail()
    assert (ran.returncode, "503 Service Unavailable" in ran.stderr) == (3, True)
    assert site.compose()["sha256"] == sha256_hex(OLD)


def test_dead_hub_is_told_and_a_cached_branch_is_not_taken_for_the_branch_of_now(
    site: Site,
) -> None:
    found = site.compose()
    site.hub.offline()
    ran = site.fail()
    assert (ran.returncode, "error: source rows: " in ran.stderr) == (3, True)
    assert site.compose("--offline") == found


def test_dead_hub_does_not_matter_to_a_cached_commit(site: Site) -> None:
    site.declare(revision=site.commit)
    found = site.compose()
    site.hub.offline()
    assert site.compose() == found
    assert site.compose("--offline") == found


def test_dead_hub_and_an_empty_cache_are_told(site: Site) -> None:
    site.declare(revision=site.commit)
    site.hub.offline()
    ran = site.fail()
    assert ran.returncode == 3
    assert "the Hub cannot be reached, and the file is not in the cache" in ran.stderr


@pytest.mark.parametrize("keys", [{"file": None}, {"split": "train"}, {"repo": None}])
def test_source_that_names_no_file_or_a_split_too_is_refused(
    keys: dict[str, str | None], site: Site
) -> None:
    source = {"kind": "huggingface", "repo": REPO, "file": "rows.jsonl"} | keys
    write_mix(site.folder, {"rows": {key: value for key, value in source.items() if value}})
    ran = site.fail()
    assert (ran.returncode, site.hub.requests) == (2, [])
    assert "kind huggingface needs" in ran.stderr


def test_declared_digest_is_held_to(site: Site) -> None:
    site.declare(sha256=sha256_hex(OLD))
    site.compose()
    site.declare(sha256="0" * 64)
    assert f"its SHA-256 is {sha256_hex(OLD)}, expected {'0' * 64}" in site.fail().stderr

"""The mix that was published: from the Hub with no flag, and from files that stand in for it."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from tests.support.hub import Hub
from tests.support.project import chat_rows, jsonl
from tests.support.sources import teapot

CONFIG = Path(__file__).parents[2] / "configs" / "ke-v12-secular.config"
REPO = "anicka/karma-electric-dataset"
FILES = {
    "ke-secular-conversational": ("secular-conversational.jsonl", 3196),
    "ke-reward-evaluator": ("reward-evaluator.jsonl", 503),
}


def test_karma_electric_is_the_same_from_the_hub_and_from_files(tmp_path: Path) -> None:
    contents = {name: jsonl(chat_rows(name, count)) for name, count in FILES.values()}
    stand_ins: list[str] = []
    for identity, (name, _) in FILES.items():
        (tmp_path / name).write_bytes(contents[name])
        stand_ins += ["--source", f"{identity}=../{name}"]
    made = []
    with Hub() as hub:
        commit = hub.commit(REPO, contents)
        for folder, flags in (("hub", []), ("files", stand_ins)):
            (tmp_path / folder).mkdir()
            ran = teapot(
                tmp_path / folder, "compose", CONFIG, "--json", *flags,
                env=hub.environment(tmp_path / "cache"),
            )  # fmt: skip
            assert (ran.returncode, ran.stderr) == (0, "")
            made.append(json.loads(ran.stdout))
    from_hub, from_files = made
    assert from_hub["data"]["sha256"] == from_files["data"]["sha256"]
    assert from_hub["ledger"]["rows_sha256"] == from_files["ledger"]["rows_sha256"]
    assert {source["revision"] for source in from_hub["sources"]} == {commit}
    assert {source["revision"] for source in from_files["sources"]} == {None}
    lines = (tmp_path / "hub" / "train-ke-v12-secular.jsonl").read_bytes().splitlines()
    assert len(lines) == 3346
    modules = Counter(json.loads(line)["module"] for line in lines)
    assert modules == {"safety/consequence": 3196, "capability/reward-evaluator": 150}
    manifest = (tmp_path / "files" / "train-ke-v12-secular.manifest.json").read_text()
    assert str(tmp_path) not in manifest and "../" not in manifest

"""Signed manifests that say of screens, verdicts or likeness what their recipes do not ask for."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

import teapot
from teapot.manifestfile import recipe_faults
from teapot.model.manifest import Manifest
from teapot.usecases.verify import VerifyOptions
from tests.support.compositions import compose, manifest_of, restate, sign_again
from tests.support.planted import PERSONAL, SECRETS
from tests.support.project import chat_row, chat_rows, jsonl, write_config, write_module
from tests.support.verdicts import verdict, write_verdicts

ROWS = [
    *chat_rows("a", 30), chat_row("again", "Question 1 of a?"),
    chat_row("secret", "Log in", SECRETS["github-pat"]),
    chat_row("mail", f"Write to {PERSONAL['email']}"), chat_row("leak", "Who brews the tea here?"),
]  # fmt: skip
MOVED = "t/a: 1 row by curated-move, and no verdicts"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> teapot.Composition:
    folder = tmp_path_factory.mktemp("claims")
    write_module(folder, "t/a", ROWS)
    lines = verdict(ROWS[1], "drop"), verdict(ROWS[2], "move", category="tea")
    write_verdicts(folder / "modules/t/a.curation.v1.jsonl", *lines)
    (folder / "exam.jsonl").write_bytes(jsonl([{"question": "Who brews the tea here?"}]))
    config = write_config(
        folder, {"t/a": 1}, duplicates={"policy": "drop", "match": "near"},
        decontaminate=[{"set": "exam.jsonl"}], split={"validation": "1/3"},
        curations={"t/a": "published:v1"}, scan={"secrets": "drop", "personal": "drop"},
    )  # fmt: skip
    return compose(config)


def _set(*path: Any) -> Callable[[Any], None]:
    """Return what puts the last of a path in its place in a recipe."""

    def put(recipe: Any) -> None:
        for key in path[:-2]:
            recipe = recipe[key]
        recipe[path[-2]] = path[-1]

    return put


def _without_verdicts(recipe: Any) -> None:
    del recipe["modules"][0]["curation"]


def _told(reason: str) -> str:
    return f"t/a: 1 row dropped as {reason}, which its recipe does not ask for"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (_set("modules", 0, "scan", "secrets", "report"), _told("secret")),
        (_set("modules", 0, "scan", "personal", "off"), _told("personal-data")),
        (_set("modules", 0, "scan", "detectors", "schwifty", "1"), "its scan is by schwifty 1, st"),
        (_set("decontaminate", "sets", 0, "overlap", "report"), _told("contaminated")),
        (_set("decontaminate", "sets", 0, "ngram", 0), "exam.jsonl: runs of 0 words, of short"),
        (_set("duplicates", "keep"), _told("duplicate")),
        (_without_verdicts, _told("curated")),
        (_without_verdicts, MOVED),
        (_set("likeness", "threshold", "0.80"), "threshold 0.80 is written 0.8"),
        (_set("likeness", "bands", "999"), "bands 999 is more or less than what is near can have"),
        (_set("split", "permutations", "100000"), "permutations 100000 is more or less"),
        (_set("split", "ngram", "1000"), "ngram 1000 is more or less"),
        (_set("split", "seed", str(1 << 32)), "seed 4294967296 is more or less"),
    ],
)
def test_what_no_recipe_asks_for_is_told(
    change: Callable[[Any], None], told: str, made: teapot.Composition
) -> None:
    manifest = manifest_of(made)
    assert list(recipe_faults(manifest)) == []
    value = json.loads(manifest.to_bytes())
    change(value["predicate"]["buildDefinition"]["externalParameters"]["recipe"])
    assert told in " ".join(recipe_faults(Manifest.from_dict(value)))


def test_parameters_that_no_config_has_are_not_worked_with(
    made: teapot.Composition, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hundred thousand minima of each record would take hours."""

    def claim(value: Any) -> None:
        recipe = value["predicate"]["buildDefinition"]["externalParameters"]["recipe"]
        for key in ("likeness", "split"):
            recipe[key]["permutations"] = "100000"

    before = made.paths.manifest.read_bytes()
    monkeypatch.chdir(made.paths.data.parent)
    restate(made, claim)
    (found,) = teapot.verify("mix.jsonl", options=VerifyOptions())
    made.paths.manifest.write_bytes(before)
    sign_again(made)
    faults = {result.name: result.details for result in found.results if result.status == "fault"}
    assert "near-leaks" not in {result.name for result in found.results}
    assert "permutations 100000 is more or less than what is near can have" in faults["recipe"]


@pytest.mark.parametrize("key", ["groups", "records"])
def test_duplicates_are_counted_again_from_the_ledger(
    key: str, made: teapot.Composition, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = made.paths.manifest.read_bytes()
    stated = json.loads(before)["predicate"]["teapot_composition"]["duplicates"][key]

    def claim(value: Any) -> None:
        value["predicate"]["teapot_composition"]["duplicates"][key] = stated + 1

    monkeypatch.chdir(made.paths.data.parent)
    restate(made, claim)
    (found,) = teapot.verify("mix.jsonl", options=VerifyOptions())
    told = {result.name: result.details for result in found.results if result.status == "fault"}
    said = f"duplicates: {key}: the manifest states {stated + 1}, the ledger has {stated}"
    assert told["conservation"] == (said,)
    made.paths.manifest.write_bytes(before)
    sign_again(made)

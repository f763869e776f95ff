"""`explain`: every way to name a row, and what is said of each fate."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as arrow
import pytest
from pyarrow import parquet

import teapot
from teapot.canonical import dumps_readable
from teapot.errors import DataError, UsageError
from tests.support.project import chat_row, chat_rows, write_config, write_module


@pytest.fixture
def config(tmp_path: Path) -> Path:
    rows = [
        *chat_rows("a", 9),
        chat_row("twin", "Question 1 of a?"),
        chat_row("bad", "Why?", "<think>Hm."),
        {**chat_row("closed", "May I?"), "license": "CC-BY-NC-4.0"},
        chat_row("7", "An id that looks like a line"),
    ]
    write_module(tmp_path, "t/a", rows, on_bad_row="drop")
    return write_config(tmp_path, {"t/a": 0.5}, duplicates="drop", license={"allowed": ["MIT"]})


@pytest.fixture
def data(config: Path, tmp_path: Path) -> Path:
    return teapot.compose(config, output=tmp_path / "out.jsonl").paths.data


def test_every_fate_is_told_with_its_reason(data: Path) -> None:
    answers = teapot.explain(data, ["bad", "closed", *(f"a-{n}" for n in range(1, 10)), "twin"])
    found = {answer.query: answer.explanations[0] for answer in answers}
    assert found["bad"].reason == "think-unclosed" and found["bad"].checks_passed == ()
    assert found["closed"].reason == "license"
    assert {found["a-1"].reason, found["twin"].reason} >= {"duplicate"}
    for explanation in found.values():
        if explanation.draw_rank and explanation.cutoff and explanation.reason != "duplicate":
            drawn = explanation.draw_rank <= explanation.cutoff
            assert drawn == (explanation.fate == "kept")


def test_line_digest_and_text_lead_to_the_same_row(data: Path) -> None:
    by_line = teapot.explain(data, ["1"])[0].explanations[0]
    assert by_line.id is not None and by_line.content_digest is not None
    question = f"Question {by_line.id.partition('-')[2]} of a?"
    for query in (by_line.content_digest, by_line.content_digest[:12], question):
        found = teapot.explain(data, [query])[0].explanations
        assert by_line in found


def test_id_is_tried_before_line(data: Path) -> None:
    assert teapot.explain(data, ["7"])[0].explanations[0].id == "7"


def test_config_explains_like_its_manifest_and_finds_dropped_text(config: Path, data: Path) -> None:
    manifest = data.with_name("out.manifest.json")
    for query in ("1", "bad", "closed"):
        assert teapot.explain(config, [query]) == teapot.explain(manifest, [query])
    assert teapot.explain(config, ["<think>Hm."])[0].explanations[0].id == "bad"


def test_what_no_row_answers_to_is_an_error_that_says_so(data: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere: no line, id, content digest or text"):
        teapot.explain(data, ["1", "nowhere"])


def test_broken_or_foreign_ledger_is_told(data: Path) -> None:
    ledger = data.with_name("out.ledger.parquet")
    parquet.write_table(arrow.table({"a": [1]}), ledger)
    with pytest.raises(DataError, match="is not a ledger: it has other columns"):
        teapot.explain(data, ["1"])
    ledger.write_bytes(ledger.read_bytes()[:50])
    with pytest.raises(DataError, match="cannot be read as a ledger"):
        teapot.explain(data, ["1"])


def _without_modules(stated: Any, recipe: Any) -> None:
    recipe["modules"] = []


def _other_sources(stated: Any, recipe: Any) -> None:
    recipe["modules"][0]["sources"][0]["id"] = "another"


def _endless_lines(stated: Any, recipe: Any) -> None:
    stated["modules"][0]["lines"] = 10**15


@pytest.mark.parametrize("change", [_without_modules, _other_sources, _endless_lines])
def test_a_manifest_that_contradicts_its_ledger_is_told(
    change: Callable[[Any, Any], None], data: Path
) -> None:
    manifest = data.with_name("out.manifest.json")
    value = json.loads(manifest.read_bytes())
    predicate = value["predicate"]
    recipe = predicate["buildDefinition"]["externalParameters"]["recipe"]
    change(predicate["teapot_composition"], recipe)
    manifest.write_bytes(dumps_readable(value))
    with pytest.raises(DataError, match="contradict each other, so nothing is told"):
        teapot.explain(data, ["1"])


def test_empty_query_is_refused(data: Path) -> None:
    with pytest.raises(UsageError, match="an empty query"):
        teapot.explain(data, [""])

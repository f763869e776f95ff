"""Reviewers' edits and moves: checked again, told in the ledger, the same wherever made."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import teapot
from teapot import VerifyOptions
from teapot.canonical import dumps_readable, loads
from teapot.digest import sha256_hex
from teapot.errors import BadRowsError, ConfigError, DataError
from teapot.manifestfile import read_manifest, recipe_faults
from teapot.model.manifest import Manifest
from teapot.plugins import load_trainer
from tests.support.inline import inline_engine
from tests.support.project import chat_row, chat_rows, write_config, write_module
from tests.support.tokenizers import tokenizer_json
from tests.support.verdicts import digest_of, verdict, write_verdicts
from tests.support.ways import assert_same_in_every_way, composed, files_of, ledger_of

ROWS = [{**row, "category": "tea"} for row in chat_rows("a", 12)]
CURATION = Path("modules/t/a.curation.v1.jsonl")
TOLD = "edit by ada (published:v1): too short"


def turns(question: str, answer: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]


EDITED = turns("Question 3 of a?", "A better answer, ☕ and all.")
EDIT = verdict(ROWS[2], "edit", messages=EDITED, reason="too short")
MOVE = verdict(ROWS[4], "move", category="coffee")


def mix(folder: Path, *lines: dict[str, Any], **more: Any) -> Path:
    write_module(folder, "t/a", more.pop("rows", ROWS), **more)
    write_verdicts(folder / CURATION, *lines)
    return write_config(folder, {"t/a": 2}, curations={"t/a": "published:v1"})


def records_of(made: teapot.Composition) -> dict[str, Any]:
    lines = made.paths.data.read_bytes().splitlines()
    return {record["id"]: record for record in map(json.loads, lines)}


def test_an_edit_replaces_the_messages_and_the_ledger_tells_before_and_after(
    tmp_path: Path,
) -> None:
    made = composed(mix(tmp_path, EDIT))
    record, row = records_of(made)["a-3"], ledger_of(made)["a-3"]
    assert (record["messages"], record["category"]) == (EDITED, "tea")
    assert (row["repairs"], row["detail"]) == (["curated-edit"], TOLD)
    assert row["digest_before"] == digest_of(ROWS[2])
    assert row["content_digest"] == digest_of({"conversations": EDITED})
    assert len(row["lines"]) == 2
    (module,) = made.report.modules
    assert module.repaired == {"curated-edit": 1} and module.curation is not None
    assert module.curation.rows == {"edit": 1, "unreviewed": 11}
    assert made.data.records == 24


def test_a_move_gives_the_record_another_category_and_changes_no_content(tmp_path: Path) -> None:
    made = composed(mix(tmp_path, MOVE))
    record, row = records_of(made)["a-5"], ledger_of(made)["a-5"]
    assert record["category"] == "coffee"
    assert row["content_digest"] == row["digest_before"] == digest_of(ROWS[4])
    assert row["repairs"] == ["curated-move"]


def test_a_move_to_another_module_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="move to the module t/b, but a row belongs to"):
        composed(mix(tmp_path, verdict(ROWS[0], "move", module="t/b")))


def test_the_data_is_that_of_a_source_edited_by_hand(tmp_path: Path) -> None:
    by_verdict = composed(mix(tmp_path, EDIT))
    rows = [*ROWS[:2], {**ROWS[2], "conversations": EDITED}, *ROWS[3:]]
    write_module(tmp_path, "t/a", rows)
    by_hand = composed(write_config(tmp_path, {"t/a": 2}), "by-hand")
    assert by_verdict.data.sha256 == by_hand.data.sha256


@pytest.mark.parametrize("compiled", [True, False])
def test_neither_threads_blocks_code_nor_engine_change_a_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compiled: bool
) -> None:
    config = mix(tmp_path, EDIT, MOVE, verdict(ROWS[7], "drop"), verdict(ROWS[8], "keep"))
    assert_same_in_every_way(config, monkeypatch, compiled=compiled)


def test_the_cache_keeps_what_was_read_and_not_what_was_edited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("teapot.partcache.LEAST_BYTES", 1)
    config = mix(tmp_path, EDIT, MOVE)
    cached = {"keep_parts": True, "cache": tmp_path / "cache"}
    cold = composed(config, "cold", **cached)
    assert files_of(composed(config, "warm", **cached)) == files_of(cold)
    assert files_of(composed(config, "none")) == files_of(cold)
    write_verdicts(tmp_path / CURATION, verdict(ROWS[2], "keep"))
    again = records_of(composed(config, "again", **cached))["a-3"]
    assert again["messages"][1]["content"] == "An answer."


def test_verify_holds_and_rebuilds_and_explain_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = mix(tmp_path, EDIT, MOVE, verdict(ROWS[7], "drop"))
    made = teapot.compose(config, output="mix.jsonl")
    options = VerifyOptions(allow_unsigned=True, rebuild=True)
    (found,) = teapot.verify(made.paths.manifest, options=options)
    assert found.is_ok
    (answer,) = teapot.explain(made.paths.data, ["a-3"])
    assert answer.explanations[0].detail == TOLD


def test_an_edit_that_breaks_a_check_is_a_bad_row_named_with_its_reviewer(tmp_path: Path) -> None:
    broken = verdict(ROWS[2], "edit", messages=turns("Why?", "<think>Hm."))
    with pytest.raises(BadRowsError, match=r"t-a:3: .*think-unclosed.*; after edit by ada"):
        composed(mix(tmp_path, broken))
    made = composed(mix(tmp_path, broken, on_bad_row="drop"))
    row = ledger_of(made)["a-3"]
    assert (row["reason"], row["content_digest"]) == ("think-unclosed", digest_of(ROWS[2]))
    (module,) = made.report.modules
    assert module.read == module.kept + module.unused + sum(module.dropped.values())
    assert module.curation is not None and module.curation.matched == 1
    options = VerifyOptions(allow_unsigned=True)
    assert teapot.verify(made.paths.manifest, options=options)[0].is_ok


def test_an_edit_of_a_repaired_row_goes_by_the_repaired_content(tmp_path: Path) -> None:
    rows = [chat_row("a-1", "  Spaces?  "), *ROWS[1:]]
    repaired = digest_of(chat_row("a-1", "Spaces?"))
    edit = verdict(repaired, "edit", messages=EDITED)
    made = composed(mix(tmp_path, edit, rows=rows, repair=["outer-whitespace"]))
    row = ledger_of(made)["a-1"]
    assert row["repairs"] == ["outer-whitespace", "curated-edit"]
    assert row["digest_before"] == digest_of(rows[0])


def test_a_verdict_on_the_new_content_is_not_one_on_the_edited_row(tmp_path: Path) -> None:
    drop = verdict(digest_of({"conversations": EDITED}), "drop")
    made = composed(mix(tmp_path, EDIT, drop))
    assert ledger_of(made)["a-3"]["fate"] == "kept"
    (module,) = made.report.modules
    assert module.curation is not None and module.curation.orphans == 1


def test_a_row_without_an_id_keeps_the_one_of_what_was_read(tmp_path: Path) -> None:
    rows = [{"conversations": row["conversations"]} for row in ROWS]
    made = composed(mix(tmp_path, EDIT, rows=rows))
    name = f"t-a-{digest_of(ROWS[2])[:16]}"
    assert records_of(made)[name]["messages"] == EDITED


def test_tokens_are_those_of_the_edited_text(tmp_path: Path) -> None:
    tokenizer = tmp_path / "tokenizer.json"
    tokenizer.write_text(tokenizer_json(load_trainer("apertus")[0].base))
    by_verdict = composed(mix(tmp_path, EDIT), tokenizer=tokenizer)
    rows = [*ROWS[:2], {**ROWS[2], "conversations": EDITED}, *ROWS[3:]]
    write_module(tmp_path, "t/a", rows)
    by_hand = composed(write_config(tmp_path, {"t/a": 2}), "by-hand", tokenizer=tokenizer)
    assert by_verdict.report.total == by_hand.report.total


def test_rows_of_another_format_are_edited_too(tmp_path: Path) -> None:
    lines = "".join(f"a-{n},Question {n} of a?,An answer.\n" for n in range(1, 13))
    (tmp_path / "modules/t").mkdir(parents=True)
    (tmp_path / "modules/t/a.csv").write_text("id,question,answer\n" + lines)
    config = mix(
        tmp_path, EDIT, fields={"user": "question", "assistant": "answer"},
        sources=[{"id": "t-a", "kind": "csv", "path": "a.csv"}],
    )  # fmt: skip
    made = composed(config)
    assert records_of(made)["a-3"]["messages"] == EDITED
    assert files_of(composed(config, "there", engine=inline_engine())) == files_of(made)


def test_a_manifest_with_verdicts_is_read_back_to_the_byte(tmp_path: Path) -> None:
    made = composed(mix(tmp_path, EDIT))
    data = made.paths.manifest.read_bytes()
    assert teapot.model.manifest.Manifest.from_dict(json.loads(data)).to_bytes() == data
    assert sha256_hex(data) == made.manifest_sha256


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"edit": 2, "unreviewed": 8}, "rows by edit: the curation states 2, the rest sums to 1"),
        ({"move": 0, "unreviewed": 10}, "rows by move: the curation states 0, the rest sums to 1"),
        ({"keep": 90_000}, "rows: the curation states 90012, the rest sums to 12"),
        ({"keep": 2, "unreviewed": 7}, None),
    ],
)
def test_counts_of_verdicts_are_held_against_the_rows(
    change: dict[str, int], told: str | None, tmp_path: Path
) -> None:
    made = composed(mix(tmp_path, EDIT, MOVE, verdict(ROWS[0], "drop")))
    value = loads(made.paths.manifest.read_bytes())
    (module,) = value["predicate"]["teapot_composition"]["modules"]
    assert list(recipe_faults(Manifest.from_dict(value))) == []
    module["curation"]["rows"].update(change)
    faults = list(recipe_faults(Manifest.from_dict(value)))
    assert (f"t/a: {told}" in faults) if told else faults == []


def test_no_row_without_a_verdict_is_stated_where_such_rows_fail_the_run(tmp_path: Path) -> None:
    made = composed(mix(tmp_path, EDIT))
    value = loads(made.paths.manifest.read_bytes())
    build = value["predicate"]["buildDefinition"]["externalParameters"]
    build["recipe"]["modules"][0]["curation"]["unreviewed"] = "fail"
    assert list(recipe_faults(Manifest.from_dict(value))) == [
        "t/a: rows that nobody reviewed: the curation states 11, the rest sums to 0"
    ]


@pytest.mark.parametrize("use", ["local:\0", "local:x/../../y", "elsewhere"])
def test_a_manifest_names_verdicts_as_a_config_does(use: str, tmp_path: Path) -> None:
    made = composed(mix(tmp_path, EDIT))
    value = loads(made.paths.manifest.read_bytes())
    build = value["predicate"]["buildDefinition"]["externalParameters"]
    build["recipe"]["modules"][0]["curation"]["use"] = use
    with pytest.raises(DataError, match="expected published:NAME or local:NAME"):
        read_manifest(dumps_readable(value), "m")

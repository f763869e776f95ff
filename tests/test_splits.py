"""A mix with a validation file: what is written, stated and told, and what `verify` finds out."""

from __future__ import annotations

import json
import random
import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as arrow
import pytest
from pyarrow import parquet

import teapot
from teapot import VerifyOptions
from teapot.canonical import dumps
from teapot.cli.app import run
from teapot.digest import sha256_hex
from teapot.errors import ConfigError, DataError, UsageError
from teapot.files import OutputPaths
from teapot.ledger import LEDGER, read_ledger
from teapot.ledgerdigest import LedgerDigest
from teapot.model.verification import Status
from teapot.sketches import bands_of
from teapot.usecases.audit import audit
from teapot.usecases.diff import diff
from teapot.usecases.trace import Word, trace
from teapot.usecases.verifyfolder import _listed
from tests.support.compositions import compose, manifest_of, restate
from tests.support.inline import inline_engine
from tests.support.modelfolders import finish
from tests.support.project import chat_row, chat_rows, jsonl, write_config, write_module
from tests.support.verdicts import verdict, write_verdicts

SPLIT = {"validation": "20%"}


def _project(folder: Path, **config: Any) -> Path:
    """Write two modules, of which the second repeats rows of the first."""
    write_module(folder, "t/a", chat_rows("a", 60))
    write_module(folder, "t/b", [*chat_rows("b", 40), *chat_rows("a", 30), *chat_rows("b", 5)])
    return write_config(folder, {"t/a": 2, "t/b": "0.5"}, **{"split": SPLIT, **config})


@pytest.fixture(scope="module")
def master(tmp_path_factory: pytest.TempPathFactory) -> teapot.Composition:
    return compose(_project(tmp_path_factory.mktemp("split")))


@pytest.fixture
def made(
    master: teapot.Composition, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> teapot.Composition:
    """A signed composition with a validation file, in the working folder."""
    shutil.copytree(master.paths.data.parent, tmp_path / "project")
    monkeypatch.chdir(tmp_path / "project")
    return replace(master, paths=OutputPaths(Path("mix.jsonl")))


def _rows(made: teapot.Composition) -> list[dict[str, Any]]:
    return [row for batch in read_ledger(made.paths.ledger) for row in batch]


def _faults(**options: Any) -> dict[str, str]:
    (found,) = teapot.verify("mix.jsonl", options=VerifyOptions(**options))
    wrong = [r for r in found.results if r.status not in (Status.OK, Status.SKIPPED)]
    return {r.name: " ".join((r.found or "", *r.details)) for r in wrong}


def _contents(path: Path) -> list[str]:
    lines = map(json.loads, path.read_bytes().splitlines())
    return [sha256_hex(dumps({"messages": line["messages"]})) for line in lines]


def test_no_content_of_the_validation_file_is_in_the_data(master: teapot.Composition) -> None:
    held, trained = _contents(master.paths.validation), _contents(master.paths.data)
    assert held
    assert not set(held) & set(trained)


def test_the_ledger_says_where_each_row_is(master: teapot.Composition) -> None:
    lines = master.paths.validation.read_bytes().splitlines()
    held = [row for row in _rows(master) if row["reason"] == "held-out"]
    assert len(held) == len(lines) == master.report.held_out
    for row in held:
        number = int(row["detail"].removeprefix("validation line "))
        assert (row["fate"], row["lines"]) == ("dropped", [])
        assert row["record_digest"] == sha256_hex(lines[number - 1])


def test_the_manifest_states_the_file_and_counts_add_up(master: teapot.Composition) -> None:
    manifest, data = manifest_of(master), master.paths.validation.read_bytes()
    stated = manifest.validation
    assert stated is not None
    assert (stated.name, stated.sha256) == ("mix.validation.jsonl", sha256_hex(data))
    assert (stated.bytes, stated.records) == (len(data), data.count(b"\n"))
    assert stated.contents == len(set(_contents(master.paths.validation)))
    assert manifest.recipe.split is not None
    assert manifest.recipe.split | SPLIT == manifest.recipe.split
    assert manifest.recipe.split["match"] == "near"
    subjects = [part["name"] for part in manifest.to_dict()["subject"]]
    assert subjects == ["mix.jsonl", "mix.validation.jsonl"]
    for module in manifest.report.modules:
        dropped = sum(module.dropped.values())
        assert module.read == module.kept + module.unused + dropped
        assert dropped == module.dropped["held-out"] > 0
    assert manifest.report.modules[0].lines == 2 * (
        60 - manifest.report.modules[0].dropped["held-out"]
    )


def test_a_config_without_a_split_states_nothing_of_one(tmp_path: Path) -> None:
    without = compose(_project(tmp_path, split=SPLIT))
    config = write_config(tmp_path, {"t/a": 2, "t/b": "0.5"})
    made = compose(config)
    assert not made.paths.validation.exists()
    assert b"validation" not in made.paths.manifest.read_bytes()
    assert made.validation is None
    assert without.validation is not None


@pytest.mark.parametrize("engine", [None, inline_engine(range_bytes=500, bucket_bytes=900)])
@pytest.mark.parametrize("shards", [None, 3])
def test_engines_workers_and_shards_give_the_same_files(
    engine: Any, shards: int | None, master: teapot.Composition, tmp_path: Path
) -> None:
    made = compose(
        _project(tmp_path), engine=engine, shards=shards, workers=3, keep_parts=False
    )  # fmt: skip
    assert made.paths.validation.read_bytes() == master.paths.validation.read_bytes()
    assert made.data.sha256 == master.data.sha256
    assert made.ledger.rows_sha256 == master.ledger.rows_sha256
    assert made.validation == master.validation


def test_dropped_duplicates_stay_duplicates(tmp_path: Path) -> None:
    made = compose(_project(tmp_path, duplicates="drop"))
    rows = _rows(made)
    held = [row["content_digest"] for row in rows if row["reason"] == "held-out"]
    twins = [row["content_digest"] for row in rows if row["reason"] == "duplicate"]
    assert len(set(held)) == len(held)
    assert len(twins) == 35
    assert set(held) & set(twins)
    assert _contents(made.paths.validation)


def test_a_line_of_another_id_than_its_row_says_is_found(made: teapot.Composition) -> None:
    def lie(rows: list[Any]) -> None:
        next(row for row in rows if row["reason"] == "held-out")["id"] = "another"

    _restated_ledger(made, lie)
    assert _faults() == {}
    faults = _faults(records=True)
    assert "is another record than its ledger row says" in faults["held-out records"]


def test_a_model_folder_names_the_file_and_trace_finds_its_rows(made: teapot.Composition) -> None:
    model = Path("models/tea")
    finish(model, made)
    card = (model / "README.md").read_text()
    assert f"Not trained on: {made.report.split_told}, in `mix.validation.jsonl`" in card
    record = json.loads(made.paths.validation.read_bytes().splitlines()[0])
    told = "held out for validation, on line 1 of the validation file, and not trained"
    for query in (record["id"], f"{record['messages'][0]['content']}"):
        (found,) = trace(query, [model])
        assert found.answer == Word.NO
        assert found.why.startswith("held out for validation, on line 1")
    (found,) = trace(record["id"], [model])
    assert record["id"].startswith("a-") or found.why == told
    (found,) = trace("nobody said this", [model])
    assert found.why == "no record with this id, digest or text in mix.jsonl"
    made.paths.validation.unlink()
    (found,) = trace(record["id"], [model])
    assert "held out" in found.why
    made.paths.data.unlink()
    (found,) = trace(record["id"], [model])
    assert found.answer == Word.UNKNOWN
    assert "held out" in found.why


def test_verdicts_and_rows_held_out_add_up(tmp_path: Path) -> None:
    rows = chat_rows("a", 60)
    verdicts = [verdict(row, "drop" if place < 10 else "keep") for place, row in enumerate(rows)]
    config = _project(tmp_path, curations={"t/a": "local:v1"})
    write_verdicts(tmp_path / ".curations/t/a.curation.v1.jsonl", *verdicts)
    made = compose(config)
    held = [row for row in _rows(made) if row["module"] == "t/a" and row["reason"] == "held-out"]
    assert held
    for row in held:
        line, decided = row["detail"].split("; ", 1)
        assert line.startswith("validation line ")
        assert decided
    (found,) = teapot.verify(made.paths.manifest, options=VerifyOptions(records=True))
    assert found.is_ok, found


def test_a_large_ledger_is_read_elsewhere_with_the_same_answer(
    made: teapot.Composition, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("teapot.processes.OWN_PROCESS_BYTES", 1)
    assert _faults() == {}
    made.paths.validation.write_bytes(b"")
    assert set(_faults()) == {"validation"}


def test_a_signed_folder_must_cover_the_file(made: teapot.Composition) -> None:
    assert "mix.validation.jsonl" in _listed(Path())


def test_a_run_that_was_killed_puts_the_file_in_place(made: teapot.Composition) -> None:
    paths = made.paths
    data = paths.validation.read_bytes()
    paths.run_folder.mkdir()
    paths.validation.rename(paths.run_folder / paths.validation.name)
    journal = {"rename": [paths.validation.name, paths.data.name], "remove": []}
    (paths.run_folder / "commit.json").write_text(json.dumps(journal))
    assert _faults() == {}
    assert paths.validation.read_bytes() == data


def test_an_audit_shows_the_file(made: teapot.Composition) -> None:
    model = Path("models/tea")
    finish(model, made)
    results = {r.name: r for r in audit(model).verification.results}
    assert results["validation"].status == Status.OK
    assert "not trained on: mix.validation.jsonl" in results["manifest"].compared


def test_explain_says_on_which_line_a_row_is_held(made: teapot.Composition) -> None:
    record = json.loads(made.paths.validation.read_bytes().splitlines()[3])
    for query in (record["id"], record["messages"][0]["content"]):
        (answer,) = teapot.explain(made.paths.manifest, [query])
        told = {(found.reason, found.draw_rank) for found in answer.explanations}
        assert ("held-out", None) in told
        lines = [found.detail for found in answer.explanations]
        assert "validation line 4" in lines


def test_lines_of_a_validation_file_are_its_own(
    made: teapot.Composition, capsys: pytest.CaptureFixture[str]
) -> None:
    held = json.loads(made.paths.validation.read_bytes().splitlines()[0])
    ((found,),) = (a.explanations for a in teapot.explain(made.paths.validation, ["1"]))
    assert (found.id, found.detail) == (held["id"], "validation line 1")
    ((found,),) = (a.explanations for a in teapot.explain(made.paths.data, ["1"]))
    assert found.lines[0] == 1
    told = "mix.validation.jsonl: holds what was held out of the data, expected the data; name"
    for refused in (lambda file: teapot.prove(file, "1"), teapot.verified):
        with pytest.raises(UsageError, match=re.escape(f"{told} mix.jsonl")):
            refused(made.paths.validation)
    assert run(["train", "--check", "mix.validation.jsonl", "--base", "llama", "--quiet"]) == 2
    assert capsys.readouterr().err == f"error: {told} mix.jsonl\n"


def test_a_diff_tells_of_a_split(tmp_path: Path, made: teapot.Composition) -> None:
    other = compose(_project(tmp_path / "other", split={"validation": "30%"}))
    configs = diff("mix.config", str(tmp_path / "other" / "mix.config"))
    mixes = diff("mix.jsonl", str(other.paths.data))
    for found in (configs, mixes):
        told = {setting.path: (setting.a, setting.b) for setting in found.settings}
        assert told["split.validation"] == ("20%", "30%")
    assert mixes.compared == "rows"
    first, second = mixes.modules[0].a, mixes.modules[0].b
    assert first is not None
    assert second is not None
    assert first.dropped["held-out"] < second.dropped["held-out"]


def test_everything_holds(made: teapot.Composition) -> None:
    assert _faults(records=True, rebuild=True) == {}
    (found,) = teapot.verify(made.paths.validation)
    names = {result.name for result in found.results if result.status == Status.OK}
    assert {"validation", "held-out", "held-out contents", "leaks"} <= names
    assert teapot.verified("mix.jsonl").manifest.validation == made.validation


def _swap(path: Path) -> None:
    first, second, *rest = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([second, first, *rest]))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (Path.unlink, "No such file"),
        (_swap, " lines, "),
        (lambda path: path.write_bytes(path.read_bytes().replace(b"An ", b"No ", 1)), " lines, "),
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), "cut"),
    ],
)
def test_an_altered_validation_file_is_a_fault(
    change: Callable[[Path], object], told: str, made: teapot.Composition
) -> None:
    change(made.paths.validation)
    faults = _faults()
    assert set(faults) == {"validation"}
    assert told in faults["validation"]
    with pytest.raises(DataError, match="validation"):
        teapot.verified("mix.jsonl")


def _restated_file(made: teapot.Composition) -> None:
    """State the validation file as it lies there."""
    data = made.paths.validation.read_bytes()

    def change(value: Any) -> None:
        value["subject"][1]["digest"]["sha256"] = sha256_hex(data)
        stated = value["predicate"]["teapot_composition"]["validation"]
        stated |= {"sha256": sha256_hex(data), "bytes": len(data)}

    restate(made, change)


def test_lines_that_are_not_those_of_the_ledger_are_a_fault(made: teapot.Composition) -> None:
    _swap(made.paths.validation)
    _restated_file(made)
    faults = _faults()
    assert "line 1 is not the record that its row claims" in faults["held-out"]


def _restated_ledger(made: teapot.Composition, change: Callable[[list[Any]], object]) -> None:
    """Change rows of the ledger, and state it as it is then."""
    rows = _rows(made)
    change(rows)
    table = arrow.Table.from_pylist(rows, schema=LEDGER)
    parquet.write_table(table, made.paths.ledger)
    digest = LedgerDigest(LEDGER.names)
    for batch in table.to_batches():
        digest.update(batch)

    def state(value: Any) -> None:
        stated = value["predicate"]["teapot_composition"]["ledger"]
        stated["rows_sha256"] = digest.hexdigest()

    restate(made, state)


def test_a_content_in_both_files_is_a_leak(made: teapot.Composition) -> None:
    def leak(rows: list[Any]) -> None:
        held = next(row for row in rows if row["reason"] == "held-out")
        held["content_digest"] = next(row for row in rows if row["lines"])["content_digest"]

    _restated_ledger(made, leak)
    faults = _faults()
    assert faults["leaks"].startswith("1 content in both the content ")
    assert "held-out contents" in faults


@pytest.mark.parametrize("detail", ["validation line 0", "validation line x", None, "line 1"])
def test_a_held_row_that_names_no_line_is_a_fault(
    detail: str | None, made: teapot.Composition
) -> None:
    def change(rows: list[Any]) -> None:
        next(row for row in rows if row["reason"] == "held-out")["detail"] = detail

    _restated_ledger(made, change)
    assert "its detail names no validation line" in _faults()["conservation"]


def test_two_rows_on_one_line_are_a_fault(made: teapot.Composition) -> None:
    def change(rows: list[Any]) -> None:
        one, other = [row for row in rows if row["reason"] == "held-out"][:2]
        one["detail"] = other["detail"]

    _restated_ledger(made, change)
    assert "is not the record that its row claims" in _faults()["held-out"]


def _composition(value: Any) -> Any:
    return value["predicate"]["teapot_composition"]


@pytest.mark.parametrize(
    ("change", "check", "told"),
    [
        (lambda v: _composition(v)["validation"].update(records=3), "sums", "1 do not add up"),
        (lambda v: _composition(v)["validation"].update(contents=3), "held-out contents", ""),
        (lambda v: _composition(v)["validation"].update(name="a.jsonl"), "schema", "is named"),
        (lambda v: v["subject"].pop(), "schema", "as Teapot writes"),
    ],
)
def test_a_manifest_that_says_otherwise_is_a_fault(
    change: Callable[[Any], object], check: str, told: str, made: teapot.Composition
) -> None:
    restate(made, change)
    assert told in _faults()[check]


WORDS = [f"word{number}" for number in range(3000)]


def _families(folder: Path, relatives: str) -> Path:
    """Write a mix of thirty texts in five versions each, of which neighbours are near."""
    chance, rows = random.Random(3), []
    for family in range(30):
        said = chance.choices(WORDS, k=120)
        for version in range(5):
            said[9 * version : 9 * version + 4] = chance.choices(WORDS, k=4)
            rows.append(chat_row(f"f{family}-{version}", " ".join(said), f"Answer {family}."))
    write_module(folder, "t/a", rows[::2])
    write_module(folder, "t/b", rows[1::2])
    split = {"validation": "30%", "relatives": relatives}
    return write_config(folder, {"t/a": 1, "t/b": 1}, split=split)


def _families_of(path: Path) -> set[str]:
    lines = map(json.loads, path.read_bytes().splitlines())
    return {line["id"].partition("-")[0] for line in lines}


def test_what_is_near_is_held_out_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = compose(_families(tmp_path, "near"))
    assert _families_of(made.paths.validation)
    assert not _families_of(made.paths.validation) & _families_of(made.paths.data)
    monkeypatch.chdir(tmp_path)
    assert _faults() == {}
    (found,) = teapot.verify("mix.jsonl", options=VerifyOptions())
    (near,) = [r for r in found.results if r.name == "near-leaks"]
    assert near.status == Status.OK


@pytest.mark.parametrize("match", ["near", "normalized"])
def test_a_near_line_in_both_files_is_a_leak_whatever_the_recipe_did(
    match: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = _families(tmp_path, "exact")
    source = tmp_path / "modules/t/t-a.jsonl"
    rows = [json.loads(line) for line in source.read_bytes().splitlines()]
    loud = [
        chat_row(f"{row['id']}-loud", f"{asked['content']}!!", answer["content"].upper())
        for row in rows
        for asked, answer in [row["conversations"]]
    ]
    source.write_bytes(jsonl([*rows, *loud]))
    made = compose(config)
    assert _families_of(made.paths.validation) & _families_of(made.paths.data)
    stated = {"match": match}
    if match == "near":
        stated |= {
            "threshold": "0.8", "ngram": "5", "permutations": "128", "seed": "1", "bands": "16",
            "rows": "8",
        }  # fmt: skip

    def claim(value: Any) -> None:
        parameters = value["predicate"]["buildDefinition"]["externalParameters"]
        parameters["recipe"]["split"] |= stated
        parameters["recipe_sha256"] = sha256_hex(dumps(parameters["recipe"]))

    restate(made, claim)
    monkeypatch.chdir(tmp_path)
    faults = _faults()
    assert faults.keys() == {"near-leaks"}
    assert "of the data is near to line" in faults["near-leaks"]


def test_near_lines_are_not_looked_for_without_the_library_and_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compose(_families(tmp_path, "near"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "datasketch", None)
    bands_of.cache_clear()
    (found,) = teapot.verify("mix.jsonl", options=VerifyOptions())
    (near,) = [r for r in found.results if r.name == "near-leaks"]
    assert near.status == Status.SKIPPED and "teapot[near]" in (near.found or "")
    (found,) = teapot.verify("mix.jsonl", options=VerifyOptions(rebuild=True))
    assert (found.results[-1].name, found.results[-1].status) == ("rebuild", Status.UNREACHABLE)
    assert "teapot[near]" in (found.results[-1].found or "")


@pytest.mark.parametrize("text", ["0%", "100%", "120%", "0/7", "7/7"])
def test_a_share_that_holds_out_nothing_or_all_is_refused(text: str, tmp_path: Path) -> None:
    config = _project(tmp_path, split={"validation": text})
    with pytest.raises(ConfigError, match="more than 0 and less than 100%"):
        compose(config)


def test_a_split_that_comes_to_nothing_is_an_error_and_plan_shows_it(tmp_path: Path) -> None:
    config = _project(tmp_path, split={"validation": "1/100000"})
    with pytest.raises(DataError, match=r"0 of 135 records held out: 0%, asked 0\.001%; raise it"):
        compose(config)
    assert teapot.plan(config).report.held_out == 0


def test_a_file_that_is_not_ours_is_not_written_over(tmp_path: Path) -> None:
    config = _project(tmp_path)
    held = tmp_path / "mix.validation.jsonl"
    held.write_text("mine\n")
    with pytest.raises(UsageError, match="not Teapot's work"):
        compose(config)
    assert held.read_text() == "mine\n"


def test_a_source_is_not_written_over(tmp_path: Path) -> None:
    config = _project(tmp_path)
    source = tmp_path / "modules" / "t" / "t-a.jsonl"
    shutil.copy(source, tmp_path / "mix.validation.jsonl")
    with pytest.raises(UsageError, match="is the source t-a"):
        compose(config, sources={"t-a": str(tmp_path / "mix.validation.jsonl")})


def test_an_own_file_of_before_is_replaced_and_removed(tmp_path: Path) -> None:
    first = compose(_project(tmp_path))
    again = compose(_project(tmp_path, split={"validation": "1/2"}))
    assert first.validation is not None
    assert again.validation is not None
    assert again.validation.records > first.validation.records
    compose(write_config(tmp_path, {"t/a": 1}))
    assert not again.paths.validation.exists()


def test_a_larger_share_keeps_what_was_held(tmp_path: Path, master: teapot.Composition) -> None:
    more = compose(_project(tmp_path, split={"validation": "2/5"}))
    small, large = (set(_contents(m.paths.validation)) for m in (master, more))
    assert small < large


def test_the_data_that_training_reads_is_not_the_validation_file(made: teapot.Composition) -> None:
    lines = list(teapot.verified("mix.jsonl").lines())
    assert lines == made.paths.data.read_bytes().splitlines()

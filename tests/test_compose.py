"""The composition as a whole: what decides its bytes, what its files hold, what its counts say."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from pyarrow import parquet

import teapot
from teapot import MixOptions, rowscan, scratch
from teapot.canonical import dumps
from teapot.configfile import load_config
from teapot.errors import DataError, ExpectationError, UsageError
from teapot.ledger import read_ledger
from teapot.merkle import MerkleTree
from teapot.schemas import schema_text
from teapot.sources import jsonl
from tests.support.ledgers import rows_sha256
from tests.support.project import chat_row, chat_rows, write_config, write_module

REPOSITORY = Path(__file__).parent.parent
DEMO = REPOSITORY / "configs" / "demo.config"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with three modules, of which one repeats a content under another id."""
    twice = [*chat_rows("b", 29), chat_row("b-again", "Question 3 of b?")]
    write_module(tmp_path, "t/a", chat_rows("a", 40))
    write_module(tmp_path, "t/b", twice)
    write_module(tmp_path, "t/c", chat_rows("c", 11))
    return tmp_path


def composed(config: Path, folder: Path, **options: Any) -> teapot.Composition:
    folder.mkdir(parents=True, exist_ok=True)
    return teapot.compose(config, MixOptions(**options), output=folder / "mix.jsonl")


def hashed_parts(made: teapot.Composition) -> tuple[str, str, str]:
    return made.data.sha256, made.ledger.rows_sha256, made.manifest_sha256


def test_files_are_what_the_manifest_says(project: Path) -> None:
    config = write_config(project, {"t/a": 1, "t/b": 0.3, "t/c": 2.5})
    made = composed(config, project / "out")
    data = made.paths.data.read_bytes()
    lines = data.split(b"\n")[:-1]
    tree = MerkleTree()
    for line in lines:
        tree.add(hashlib.sha256(line).digest())
    manifest = json.loads(made.paths.manifest.read_bytes())
    result = manifest["predicate"]["teapot_composition"]
    assert manifest["subject"][0]["digest"]["sha256"] == hashlib.sha256(data).hexdigest()
    assert result["data"]["records"] == len(lines) == 40 + 9 + 27
    assert result["data"]["bytes"] == len(data)
    assert result["data"]["merkle_root"] == tree.root().hex()
    rows = [row for batch in read_ledger(made.paths.ledger) for row in batch]
    assert result["ledger"]["rows_sha256"] == rows_sha256(rows)
    assert hashlib.sha256(made.paths.manifest.read_bytes()).hexdigest() == made.manifest_sha256


def test_neither_threads_nor_blocks_nor_memory_change_a_byte(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_module(project, "t/d", [{**row, "license": "MIT"} for row in chat_rows("d", 90)])
    config = write_config(project, {"t/a": 1, "t/b": 0.3, "t/c": 2.5, "t/d": "1.7"})
    first = composed(config, project / "first", workers=1)
    for number, (workers, block, rows) in enumerate(
        [(2, 4 << 20, 1 << 22), (3, 700, 1 << 22), (2, 4 << 20, 4), (1, 64, 1), (3, 999, 9)]
    ):
        monkeypatch.setattr(jsonl, "BLOCK_BYTES", block)
        monkeypatch.setattr(scratch, "ROWS_IN_MEMORY", rows)
        again = composed(config, project / str(number), workers=workers)
        assert hashed_parts(again) == hashed_parts(first)
        assert again.paths.manifest.read_bytes() == first.paths.manifest.read_bytes()


def test_without_compiled_code_the_bytes_are_the_same(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = write_config(project, {"t/a": 1, "t/b": 0.3, "t/c": 2.5})
    compiled = composed(config, project / "compiled")
    monkeypatch.setattr(rowscan, "IS_COMPILED", False)
    plain = composed(config, project / "plain")
    assert plain.paths.manifest.read_bytes() == compiled.paths.manifest.read_bytes()


def test_every_file_passes_its_schema(tmp_path: Path) -> None:
    made = composed(DEMO, tmp_path)
    jsonschema.validate(
        json.loads(made.paths.manifest.read_bytes()), json.loads(schema_text("manifest"))
    )
    record = jsonschema.Draft202012Validator(json.loads(schema_text("record")))
    for line in made.paths.data.read_bytes().splitlines():
        record.validate(json.loads(line))
    ledger = jsonschema.Draft202012Validator(json.loads(schema_text("ledger")))
    for row in parquet.read_table(made.paths.ledger).to_pylist():
        ledger.validate(row)


def test_ledger_has_a_row_for_every_row_read_and_its_lines_are_true(project: Path) -> None:
    config = write_config(project, {"t/a": 1, "t/b": 0.5, "t/c": 2.5})
    made = composed(config, project / "out")
    rows = [row for batch in read_ledger(made.paths.ledger) for row in batch]
    lines = made.paths.data.read_bytes().splitlines()
    assert Counter(row["module"] for row in rows) == {"t/a": 40, "t/b": 30, "t/c": 11}
    stated = [line for row in rows for line in row["lines"]]
    assert sorted(stated) == list(range(1, len(lines) + 1))
    for row in rows:
        assert (row["fate"] == "kept") == bool(row["lines"])
        for number in row["lines"]:
            record = json.loads(lines[number - 1])
            content = hashlib.sha256(dumps({"messages": record["messages"]})).hexdigest()
            assert (record["id"], record["module"]) == (row["id"], row["module"])
            assert content == row["content_digest"]


def test_fates_sum_to_rows_read_in_every_module(tmp_path: Path) -> None:
    for module in composed(DEMO, tmp_path).report.modules:
        assert module.read == module.kept + module.unused + sum(module.dropped.values())
        assert module.usable == module.kept + module.unused


def test_module_order_in_the_config_changes_nothing(project: Path) -> None:
    weights = {"t/a": 1, "t/b": 0.3, "t/c": 2.5}
    forward = composed(write_config(project, weights), project / "1")
    turned = dict(reversed(weights.items()))
    assert hashed_parts(composed(write_config(project, turned), project / "2")) == hashed_parts(
        forward
    )


def test_row_order_in_a_source_changes_no_byte_of_the_data(tmp_path: Path) -> None:
    rows = [*chat_rows("a", 29), chat_row("again", "Question 3 of a?")]
    digests = set()
    for name, ordered in (("1", rows), ("2", rows[::-1])):
        write_module(tmp_path / name, "t/a", ordered)
        config = write_config(tmp_path / name, {"t/a": 0.7})
        digests.add(composed(config, tmp_path / name / "out").data.sha256)
    assert len(digests) == 1


def test_folder_home_and_hash_seed_change_nothing(project: Path) -> None:
    write_config(project, {"t/a": 1, "t/b": 0.3, "t/c": 2.5})
    seen = set()
    for number in range(3):
        copy = project.parent / f"elsewhere-{number}" / ("deep" * number)
        shutil.copytree(project, copy)
        environment = {**os.environ, "HOME": str(copy), "PYTHONHASHSEED": str(number)}
        ran = subprocess.run(
            [sys.executable, "-m", "teapot", "compose", "mix.config", "--json"],
            cwd=copy, env=environment, capture_output=True, check=True,
        )  # fmt: skip
        said = json.loads(ran.stdout)
        seen.add(
            (said["data"]["sha256"], said["ledger"]["rows_sha256"], said["manifest"]["sha256"])
        )
    assert len(seen) == 1


def test_manifest_holds_no_path_of_the_machine(project: Path) -> None:
    config = write_config(project, {"t/a": 1})
    moved = project / "moved.jsonl"
    shutil.copy(project / "modules" / "t" / "t-a.jsonl", moved)
    made = composed(config, project / "out", sources={"t-a": str(moved)})
    assert str(project).encode() not in made.paths.manifest.read_bytes()
    assert b"moved" not in made.paths.manifest.read_bytes()


def test_larger_weight_only_adds_lines(project: Path) -> None:
    counts = []
    for name, weight in (("1", 0.3), ("2", 0.4)):
        config = write_config(project, {"t/a": 1, "t/b": weight})
        made = composed(config, project / name)
        counts.append(Counter(made.paths.data.read_bytes().splitlines()))
    assert counts[0] < counts[1]
    assert counts[1].total() - counts[0].total() == 12 - 9


def test_another_module_leaves_the_order_of_the_rest(project: Path) -> None:
    alone = composed(write_config(project, {"t/a": 0.5}), project / "1")
    among = composed(write_config(project, {"t/c": 1, "t/a": 0.5}), project / "2")
    lines = among.paths.data.read_bytes().splitlines()
    assert [line for line in lines if b'"module":"t/a"' in line] == (
        alone.paths.data.read_bytes().splitlines()
    )


def test_seed_changes_choice_and_order(project: Path) -> None:
    config = write_config(project, {"t/a": 0.5})
    one, two = (composed(config, project / str(seed), seed=seed) for seed in (1, 2))
    first, second = (set(made.paths.data.read_bytes().splitlines()) for made in (one, two))
    assert first != second and len(first) == len(second) == 20


def test_weight_zero_reads_nothing_of_a_module(project: Path) -> None:
    made = composed(write_config(project, {"t/a": 1, "t/b": 0}), project / "out")
    assert [module.name for module in made.report.modules] == ["t/a"]


def test_plan_says_what_compose_does_and_writes_nothing(project: Path) -> None:
    config = write_config(project, {"t/a": 1, "t/b": 0.3, "t/c": 2.5})
    before = sorted(project.rglob("*"))
    planned = teapot.plan(config)
    assert sorted(project.rglob("*")) == before
    made = composed(config, project / "out")
    assert planned.report == made.report
    assert planned.recipe.sha256() == made.recipe_sha256


def test_duplicates_are_counted_and_dropped_on_demand(project: Path) -> None:
    kept = composed(write_config(project, {"t/b": 1}), project / "1")
    assert (kept.report.duplicate_groups, kept.report.duplicate_records) == (1, 1)
    assert kept.data.records == 30
    dropped = composed(write_config(project, {"t/b": 1}, duplicates="drop"), project / "2")
    assert dropped.data.records == 29
    assert dropped.report.modules[0].dropped == {"duplicate": 1}
    rows = [row for batch in read_ledger(dropped.paths.ledger) for row in batch]
    (twin,) = [row for row in rows if row["reason"] == "duplicate"]
    assert "t/b t-b row" in twin["detail"] and "stands for it" in twin["detail"]


def test_preferred_module_keeps_its_copy(tmp_path: Path) -> None:
    write_module(tmp_path, "t/a", chat_rows("same", 5))
    write_module(tmp_path, "t/b", chat_rows("same", 5))
    for preferred in ("t/a", "t/b"):
        config = write_config(
            tmp_path, {"t/a": 1, "t/b": 1}, duplicates={"policy": "drop", "prefer": [preferred]}
        )
        made = composed(config, tmp_path / preferred)
        assert {m.name: m.lines for m in made.report.modules}[preferred] == 5
        assert made.data.records == 5


def test_unexpected_count_is_an_error_that_names_source_and_counts(project: Path) -> None:
    sources = [{"id": "t-a", "kind": "jsonl", "path": "t-a.jsonl", "examples": 41}]
    write_module(project, "t/a", chat_rows("a", 40), sources=sources)
    config = write_config(project, {"t/a": 1}, expect={"examples": 41})
    with pytest.raises(ExpectationError) as caught:
        composed(config, project / "out")
    told = str(caught.value)
    assert "found 40 examples, expected 41" in told
    assert "source t-a holds 40 rows where its module declares 41" in told
    assert "revision" in told and "--source" in told
    assert not list((project / "out").iterdir())


def test_strip_think_leaves_no_thought_in_the_data(tmp_path: Path) -> None:
    rows = [chat_row("x", "Why?", "<think>\nBecause.\n</think>\n\nSo.")]
    write_module(tmp_path, "t/a", rows)
    made = composed(
        write_config(tmp_path, {"t/a": 1}, training={"strip_think": True}), tmp_path / "out"
    )
    record = json.loads(made.paths.data.read_bytes())
    assert record["messages"][1]["content"] == "So."


def test_repair_is_recorded_with_the_digest_before_and_after(tmp_path: Path) -> None:
    faulty = chat_row("x", "Why?", "<think>\nBecause.\n</think></think>\n\nSo.")
    write_module(tmp_path, "t/a", [faulty], repair=["double-close"])
    made = composed(write_config(tmp_path, {"t/a": 1}), tmp_path / "out")
    ((row,),) = read_ledger(made.paths.ledger)
    before = hashlib.sha256(dumps({"messages": faulty["conversations"]})).hexdigest()
    assert row["repairs"] == ["double-close"]
    assert row["digest_before"] == before != row["content_digest"]
    assert made.report.modules[0].repaired == {"double-close": 1}


def test_demo_shows_one_of_everything(tmp_path: Path) -> None:
    report = composed(DEMO, tmp_path).report
    modules = {module.name: module for module in report.modules}
    assert report.total.lines == 149 and report.duplicate_groups == 2
    assert modules["demo/reward-evaluator"].lines == 9
    assert modules["demo/reward-evaluator"].unused == 21
    assert modules["demo/czech"].lines == 2 * modules["demo/czech"].usable
    assert modules["demo/field-notes"].repaired == {"double-close": 1}
    assert modules["demo/field-notes"].dropped == {
        "control-token": 1, "empty-answer": 1, "license": 3, "license-missing": 1,
        "license-unknown": 1, "think-look-alike": 1, "think-second-block": 1, "think-unclosed": 1,
    }  # fmt: skip
    assert "CC-BY-NC-4.0" not in report.licenses


def test_shipped_configs_load() -> None:
    folder = REPOSITORY / "configs"
    names = [path for path in folder.iterdir() if path.suffix == ".config"]
    for path in [*names, folder / "defconfig"]:
        assert load_config(path).config.modules


def test_karma_electric_composes_to_its_published_count(tmp_path: Path) -> None:
    stand_ins = {
        "ke-secular-conversational": ("secular", 3196),
        "ke-reward-evaluator": ("reward", 503),
    }
    sources = {}
    for identity, (name, count) in stand_ins.items():
        path = tmp_path / f"{name}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in chat_rows(name, count)))
        sources[identity] = str(path)
    made = composed(REPOSITORY / "configs" / "ke-v12-secular.config", tmp_path, sources=sources)
    lines = {module.name: module.lines for module in made.report.modules}
    assert lines == {"safety/consequence": 3196, "capability/reward-evaluator": 150}
    assert made.data.records == 3346


def test_plan_and_compose_agree_on_which_of_equal_rows_is_drawn(tmp_path: Path) -> None:
    rows = [
        {**chat_row(f"{name}-{n}", f"Question {n}?"), "license": license_text}
        for n in range(12)
        for name, license_text in (("a", "MIT"), ("b", "Apache-2.0"), ("c", "CC-BY-4.0"))
    ]
    write_module(tmp_path, "t/a", rows)
    for number, declared in enumerate(({"duplicates": "drop"}, {})):
        config = write_config(tmp_path, {"t/a": 0.5}, **declared)
        made = composed(config, tmp_path / str(number))
        assert teapot.plan(config).report == made.report


def test_mix_without_a_line_is_an_error(project: Path) -> None:
    with pytest.raises(DataError, match="the mix has no line; raise a weight"):
        composed(write_config(project, {"t/c": 0.01}), project / "out")
    assert teapot.plan(project / "mix.config").report.total.lines == 0


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("mix\u0301e\u0301.jsonl", "is not in Unicode's form NFC"),
        ("mix\x1b[2J.jsonl", "holds characters that cannot be seen"),
        ("C:mix.jsonl", "begins with a drive letter"),
    ],
)
def test_output_name_that_no_manifest_may_state_is_refused(
    name: str, told: str, tmp_path: Path
) -> None:
    write_module(tmp_path, "t/a", chat_rows("a", 3))
    config = write_config(tmp_path, {"t/a": 1})
    before = sorted(tmp_path.iterdir())
    with pytest.raises(UsageError, match=told):
        teapot.compose(config, output=tmp_path / name)
    assert sorted(tmp_path.iterdir()) == before


def test_the_size_of_blocks_leaves_no_trace_in_any_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_module(tmp_path, "t/a", chat_rows("a", 20_000))
    config = write_config(tmp_path, {"t/a": 1})
    found = set()
    for size in (4 << 20, 300_000, 999_999):
        monkeypatch.setattr("teapot.sources.jsonl.BLOCK_BYTES", size)
        made = teapot.compose(config, output=tmp_path / "out.jsonl")
        files = (made.paths.data, made.paths.ledger, made.paths.manifest)
        found.add(tuple(hashlib.sha256(path.read_bytes()).hexdigest() for path in files))
    assert len(found) == 1

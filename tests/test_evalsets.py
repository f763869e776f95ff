"""Decontamination: what a planted leak comes to in data, ledger and manifest, on every engine."""

from __future__ import annotations

import json
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

import teapot
from teapot import MixOptions, VerifyOptions
from teapot.cli.app import run
from teapot.errors import ConfigError, DataError, DigestError, SourceError
from teapot.ledger import read_ledger
from teapot.lock import Lock
from teapot.manifestfile import read_manifest, recipe_faults
from teapot.modulefile import shipped_configs
from teapot.sources import jsonl as jsonl_source
from teapot.usecases import locking
from tests.support.inline import inline_engine
from tests.support.project import Row, chat_row, chat_rows, jsonl, write_config, write_module

EXAM = "evals/exam.jsonl"
QUESTION = (
    "A tea merchant blends three kinds of leaves, příliš costly alone, so that two pounds of the "
    "first and five of the second cost as much as four of the third; what does the third cost?"
)
SHORT = "Which leaf gives the darkest and bitterest brew of all?"
ROWS: list[Row] = [
    {"id": "e1", "subject": "arithmetic", "question": QUESTION, "answer": "Nine pence."},
    {"id": "e2", "subject": "tea", "question": SHORT, "answer": "Assam, of course."},
]
HALF = QUESTION.index("so that")


def _turns(identity: str, *turns: dict[str, Any]) -> Row:
    return {"id": identity, "messages": list(turns)}


def _said(role: str, content: str, **more: Any) -> dict[str, Any]:
    return {"role": role, "content": content, **more}


def _call(identity: str, arguments: str) -> Row:
    call = {"type": "function", "function": {"name": "ask", "arguments": arguments}}
    return _turns(
        identity, _said("user", "Ask."), _said("assistant", "", tool_calls=[call]),
        _said("tool", "Done."), _said("assistant", "It was asked."),
    )  # fmt: skip


DISGUISED = QUESTION.upper().replace(", ", " —\u00a0").replace("T", "\u200bT").replace(" ", "  ")
LEAKS = {
    "verbatim": chat_row("verbatim", QUESTION),
    "disguised": chat_row("disguised", DISGUISED),
    "inside": chat_row("inside", f"Here is one for you. {QUESTION} Show your work, please."),
    "thought": chat_row("thought", "Go on.", f"<think>I recall: {QUESTION}</think>\n\nNine."),
    "call": _call("call", json.dumps({"depth": 2, "q": [QUESTION]}, ensure_ascii=True)),
    "cut": _turns(
        "cut", _said("user", QUESTION[:HALF]), _said("assistant", QUESTION[HALF : HALF + 60]),
        _said("user", "And?"), _said("assistant", "Nine."),
    ),
    "short": chat_row("short", f"Say: {SHORT.lower()}"),
}  # fmt: skip
ALIKE = chat_row(
    "alike", "A tea merchant blends three kinds of leaves, příliš costly alone, so what?"
)
CLEAN = [*chat_rows("a", 8), ALIKE]


def mix(folder: Path, rows: list[Row], asked: Any = (EXAM,), **more: Any) -> Path:
    write_module(folder, "t/a", rows)
    (folder / "evals").mkdir(exist_ok=True)
    (folder / EXAM).write_bytes(jsonl(ROWS))
    return write_config(folder, {"t/a": 1}, decontaminate=list(asked), **more)


def composed(config: Path, name: str = "out", **options: Any) -> teapot.Composition:
    (config.parent / name).mkdir(exist_ok=True)
    given = MixOptions(**{"keep_parts": False, **options})
    return teapot.compose(config, given, output=config.parent / name / "mix.jsonl")


def ledger_of(made: teapot.Composition) -> dict[str, Any]:
    return {row["id"]: row for batch in read_ledger(made.paths.ledger) for row in batch}


def refused(config: Path, **options: Any) -> str:
    with pytest.raises((ConfigError, DataError, SourceError)) as caught:
        composed(config, **options)
    return str(caught.value)


def test_a_leak_planted_in_any_way_is_caught_and_shown(tmp_path: Path) -> None:
    made = composed(mix(tmp_path, [*CLEAN, *LEAKS.values()]))
    rows = ledger_of(made)
    dropped = {name for name, row in rows.items() if row["fate"] == "dropped"}
    assert dropped == set(LEAKS)
    assert {rows[name]["reason"] for name in dropped} == {"contaminated"}
    details = {name: rows[name]["detail"] for name in LEAKS}
    assert details["verbatim"] == f'in row 1 of {EXAM}: "{QUESTION.rstrip("?")}"'
    assert "A TEA MERCHANT BLENDS THREE KINDS OF LEAVES — PŘÍLIŠ" in details["disguised"]
    assert f"{QUESTION[:HALF].rstrip(', ')} / so that two" in details["cut"]
    assert details["short"] == f'in row 2 of {EXAM}: "{SHORT.lower().rstrip("?")}"'
    (module,) = made.report.modules
    assert (module.dropped, module.kept) == ({"contaminated": len(LEAKS)}, len(CLEAN))
    data = made.paths.data.read_text()
    assert data.count("merchant") == 1 and '"alike"' in data, "twelve words in common are none"


@pytest.mark.parametrize("engine", ["one worker", "two workers", "cluster"])
def test_every_engine_makes_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    config = mix(tmp_path, [*CLEAN, *LEAKS.values(), *chat_rows("b", 300)])
    expected = composed(config, "expected", workers=1)
    monkeypatch.setattr(jsonl_source, "BLOCK_BYTES", 4096)
    options: dict[str, Any] = {
        "one worker": {"workers": 1},
        "two workers": {"workers": 2},
        "cluster": {"engine": inline_engine(range_bytes=4096)},
    }[engine]
    made = composed(config, **options)
    assert made.paths.data.read_bytes() == expected.paths.data.read_bytes()
    assert made.paths.manifest.read_bytes() == expected.paths.manifest.read_bytes()
    assert made.ledger.rows_sha256 == expected.ledger.rows_sha256
    assert made.report.modules[0].dropped == {"contaminated": len(LEAKS)}


def test_the_recipe_states_sets_policies_and_what_was_looked_for(tmp_path: Path) -> None:
    asked = [{"set": EXAM, "fields": ["question", "answer"], "overlap": "report", "ngram": 12}]
    made = composed(mix(tmp_path, CLEAN, asked))
    manifest = read_manifest(made.paths.manifest.read_bytes(), "manifest")
    stated = manifest.recipe.decontaminate
    assert stated is not None and len(stated.index_sha256) == 64
    (one,) = stated.sets
    assert (one.name, one.fields, one.ngram, one.short) == (EXAM, ("question", "answer"), 12, 8)
    assert (one.overlap, one.on_row) == ("report", "fail")
    (source,) = one.sources
    assert (source.id, source.rows, source.revision) == (EXAM, 2, None)
    assert source.sha256 == sha256(jsonl(ROWS)).hexdigest()
    row = ledger_of(made)["alike"]
    assert row["fate"] == "kept" and row["detail"].startswith(f"in row 1 of {EXAM}: ")
    told = "t/a: 1 row with words of evaluation sets not dropped, as overlap: report or rows: keep"
    assert [text for text in made.report.warnings if text.startswith(told)]


def test_a_mix_that_asks_for_none_states_none(tmp_path: Path) -> None:
    config = mix(tmp_path, CLEAN)
    config.write_text(json.dumps({
        key: value for key, value in json.loads(config.read_text()).items()
        if key != "decontaminate"
    }))  # fmt: skip
    assert b"decontaminate" not in composed(config).paths.manifest.read_bytes()


WHOLE = chat_row("whole", QUESTION, "Nine pence.")


def test_a_row_of_a_set_in_the_mix_is_an_error_that_names_it(tmp_path: Path) -> None:
    told = refused(mix(tmp_path, [*CLEAN, WHOLE]))
    assert told.startswith(f't/a t-a:10: is row 1 of {EXAM}: "A tea merchant')
    assert "(id whole)" in told
    assert "mix.config:1: decontaminate: 1 record of evaluation sets in the mix; take" in told
    assert refused(tmp_path / "mix.config", engine=inline_engine()) == told


@pytest.mark.parametrize(("policy", "fate"), [("drop", "dropped"), ("keep", "kept")])
def test_a_row_of_a_set_may_be_dropped_or_allowed(tmp_path: Path, policy: str, fate: str) -> None:
    made = composed(mix(tmp_path, [*CLEAN, WHOLE], [{"set": EXAM, "rows": policy}]))
    row = ledger_of(made)["whole"]
    assert (row["fate"], row["reason"]) == (fate, "contaminated" if fate == "dropped" else None)
    assert row["detail"].startswith(f"is row 1 of {EXAM}: ")


def test_an_overlap_may_end_the_run(tmp_path: Path) -> None:
    config = mix(tmp_path, [*CLEAN, *LEAKS.values()], [{"set": EXAM, "overlap": "fail"}])
    told = refused(config)
    assert told.count(f"of {EXAM}:") == len(LEAKS)
    assert f"{len(LEAKS)} records of evaluation sets in the mix" in told


def test_a_module_is_a_set_of_what_its_turns_say(tmp_path: Path) -> None:
    prompt = "You are a merchant of tea and answer every question that you are asked in verse."
    exam = _turns("m1", _said("system", prompt), _said("user", QUESTION), _said("assistant", "9"))
    config = mix(tmp_path, [*CLEAN, LEAKS["inside"], chat_row("same-system", prompt)], ["eval/x"])
    write_module(tmp_path, "eval/x", [exam])
    rows = ledger_of(composed(config))
    assert rows["inside"]["detail"].startswith("in row 1 of eval/x: ")
    assert rows["same-system"]["fate"] == "kept"
    assert rows["same-system"]["detail"] is None


def test_the_sets_of_the_evals_need_not_be_said_again(tmp_path: Path) -> None:
    config = mix(tmp_path, [*CLEAN, LEAKS["verbatim"]], [], eval={"sets": [EXAM]})
    assert ledger_of(composed(config))["verbatim"]["reason"] == "contaminated"
    both = mix(tmp_path, [*CLEAN, WHOLE], [{"set": EXAM, "rows": "keep"}], eval={"sets": [EXAM]})
    assert ledger_of(composed(both))["whole"]["fate"] == "kept", "the config's own word counts"


def test_a_sealed_suite_is_compared_where_it_is_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite = {"env": "SEALED_EXAM", "sha256": sha256(jsonl(ROWS)).hexdigest()}
    rows = [*CLEAN, LEAKS["verbatim"]]
    config = mix(tmp_path, rows, [], eval={"sealed_suites": [suite]})
    away = composed(config)
    assert ledger_of(away)["verbatim"]["fate"] == "kept"
    told = (
        "the sealed suite $SEALED_EXAM is not here, so no record was compared with it; "
        "set the variable to the path of its file"
    )
    assert told in away.report.warnings
    monkeypatch.setenv("SEALED_EXAM", str(tmp_path / EXAM))
    made = composed(config)
    assert ledger_of(made)["verbatim"]["detail"].startswith("in row 1 of $SEALED_EXAM: ")
    assert str(tmp_path).encode() not in made.paths.manifest.read_bytes()
    suite["sha256"] = "0" * 64
    altered = mix(tmp_path, rows, [], eval={"sealed_suites": [suite]})
    with pytest.raises(DigestError, match=r"sealed suite \$SEALED_EXAM: its SHA-256 is"):
        composed(altered)
    monkeypatch.delenv("SEALED_EXAM")
    required = mix(tmp_path, rows, [], eval={"sealed_suites": [suite], "required": True})
    assert told in refused(required)


def test_a_set_lies_where_it_is_said_to_lie(tmp_path: Path) -> None:
    config = mix(tmp_path, [*CLEAN, LEAKS["verbatim"]])
    (tmp_path / EXAM).rename(tmp_path / "elsewhere.jsonl")
    told = refused(config)
    assert f"decontaminate[0]: {EXAM}: no file at" in told
    made = composed(config, sources={EXAM: str(tmp_path / "elsewhere.jsonl")})
    assert ledger_of(made)["verbatim"]["reason"] == "contaminated"
    assert b"elsewhere" not in made.paths.manifest.read_bytes()


def test_a_set_is_never_written_over(tmp_path: Path) -> None:
    config = mix(tmp_path, CLEAN)
    with pytest.raises(teapot.TeapotError, match=r"is the evaluation set evals/exam\.jsonl"):
        teapot.compose(config, output=tmp_path / EXAM)


FAULTY: dict[str, tuple[bytes, Any, str]] = {
    "a row that is no JSON": (b'{"q": "a"}\n{"q"\n', EXAM, f"{EXAM}:2: not strict JSON"),
    "no text": (b'{"n": 1}\n', EXAM, "no row has a text, so nothing could be compared"),
    "no such column": (
        b'{"q": "a"}\n', {"set": EXAM, "fields": ["question"]},
        f"{EXAM}:1: no column 'question'; the row has q",
    ),
    "no such module": (b"", "eval/y", "decontaminate[0]: no such module"),
    "a name without a format": (
        b"", "evals", "decontaminate[0]: evals is no module, and as a file its name tells no format"
    ),
    "an absolute path": (b"", "/x.jsonl", "decontaminate[0]: found /x.jsonl, expected a path"),
    "a database": (b"", "x.db", "decontaminate[0]: a database needs a query"),
    "short over ngram": (b"", {"set": EXAM, "ngram": 7}, "short is 8, expected at most 7"),
    "an unknown policy": (b"", {"set": EXAM, "rows": "maybe"}, "expected one of fail, drop, keep"),
    "fields of a module": (b"", {"set": "t/a", "fields": ["x"]}, "t/a is a module, whose file"),
}  # fmt: skip


@pytest.mark.parametrize(("data", "asked", "told"), FAULTY.values(), ids=FAULTY)
def test_a_fault_is_named_with_its_place(
    tmp_path: Path, data: bytes, asked: Any, told: str
) -> None:
    config = mix(tmp_path, CLEAN, [asked])
    (tmp_path / EXAM).write_bytes(data)
    assert told in refused(config)


def test_a_set_may_be_named_once(tmp_path: Path) -> None:
    assert f"decontaminate[1]: {EXAM} is named twice" in refused(mix(tmp_path, CLEAN, [EXAM, EXAM]))


def test_every_format_of_sources_is_read(tmp_path: Path) -> None:
    config = mix(tmp_path, [*CLEAN, LEAKS["verbatim"]], ["evals/exam.csv"])
    (tmp_path / "evals/exam.csv").write_text(f'question,answer\n"{QUESTION}",Nine pence\n')
    assert ledger_of(composed(config))["verbatim"]["reason"] == "contaminated"


def test_a_diff_of_a_config_and_its_mix_tells_of_no_other_sets(tmp_path: Path) -> None:
    config = mix(tmp_path, CLEAN)
    made = composed(config)
    found = teapot.diff(str(config), str(made.paths.manifest))
    assert not [one for one in found.settings if "decontaminate" in one.path]


def test_a_manifest_that_drops_leaks_and_names_no_set_contradicts_itself(tmp_path: Path) -> None:
    made = composed(mix(tmp_path, [*CLEAN, LEAKS["verbatim"]]))
    manifest = read_manifest(made.paths.manifest.read_bytes(), "manifest")
    assert not list(recipe_faults(manifest))
    bare = replace(manifest, recipe=replace(manifest.recipe, decontaminate=None))
    assert list(recipe_faults(bare)) == [
        "t/a: 1 row dropped as contaminated, which its recipe does not ask for"
    ]


def test_the_shipped_config_keeps_out_what_its_exam_asks(tmp_path: Path) -> None:
    config = shipped_configs() / "demo-clean.config"
    made = teapot.compose(config, output=tmp_path / "demo-clean.jsonl")
    rows = ledger_of(made)
    left = {name: row["detail"] for name, row in rows.items() if row["reason"] == "contaminated"}
    assert sorted(left) == ["demo-notes-004", "demo-reward-018"]
    assert left["demo-reward-018"].startswith("in row 2 of demo/exam: \"I drove to my sister's at")


def _told(made: teapot.Composition, config: Path, **options: Any) -> dict[str, str]:
    given = VerifyOptions(
        config=config, mix=MixOptions(**options), rebuild=True, allow_unsigned=True
    )
    (found,) = teapot.verify(made.paths.manifest, options=given)
    return {check.name: check.status.value for check in found.results}


def test_verify_compares_the_sets_and_looks_for_leaks_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = mix(tmp_path, [*CLEAN, *LEAKS.values()])
    made = composed(config)
    good = _told(made, config)
    assert (good[f"evaluation set {EXAM}"], good["rebuild"]) == ("ok", "ok")
    elsewhere = (tmp_path / EXAM).rename(tmp_path / "elsewhere.jsonl")
    assert _told(made, config)[f"evaluation set {EXAM}"] == "skipped"
    moved = _told(made, config, sources={EXAM: str(elsewhere)})
    assert (moved[f"evaluation set {EXAM}"], moved["rebuild"]) == ("ok", "ok")
    (tmp_path / EXAM).write_bytes(jsonl(ROWS[:1]))
    altered = _told(made, config)
    assert (altered[f"evaluation set {EXAM}"], altered["rebuild"]) == ("fault", "fault")


def test_sets_are_pinned_with_the_sources(tmp_path: Path) -> None:
    config = mix(tmp_path, CLEAN, [EXAM, "eval/x"])
    write_module(tmp_path, "eval/x", [chat_row("x", SHORT)])
    lock = locking.lock(config, MixOptions())
    assert list(lock.eval_sets) == ["eval/x eval-x", EXAM]
    assert Lock.read(lock.path) == lock
    teapot.compose(config, output=tmp_path / "mix.jsonl", lock=lock)
    (tmp_path / EXAM).write_bytes(jsonl(ROWS[:1]))
    with pytest.raises(DataError, match=f"evaluation set {EXAM}: sha256 is .*, locked is "):
        teapot.compose(config, output=tmp_path / "mix.jsonl", lock=lock)


def test_a_lock_tells_of_the_sets_that_it_pins(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config, digest = mix(tmp_path, CLEAN), sha256(jsonl(ROWS)).hexdigest()
    assert run(["lock", str(config), "--quiet"]) == 0
    assert f"\nevaluation set {EXAM}: sha256 {digest}\nwrote " in capsys.readouterr().out
    assert run(["lock", str(config), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["eval_sets"] == {EXAM: digest}

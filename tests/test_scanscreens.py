"""A scan in a mix: each policy from config to ledger and manifest, the same on every engine."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pytest

import teapot
from teapot import MixOptions, scanning
from teapot.cli.app import run
from teapot.errors import ConfigError, MissingExtraError, UsageError
from teapot.ledger import read_ledger
from teapot.manifestfile import read_manifest, recipe_faults
from teapot.model.config import Scan
from teapot.scanscreens import ScanSpec, scan_of
from teapot.sources import jsonl as jsonl_source
from tests.support.inline import inline_engine
from tests.support.planted import PERSONAL, SECRETS
from tests.support.project import Row, chat_row, chat_rows, jsonl, write_config, write_module
from tests.support.verdicts import digest_of, verdict, write_verdicts

TOKEN, ADDRESS = SECRETS["github-pat"], PERSONAL["email"]
VERSIONS = {
    name: version(name) for name in ("kingfisher-secret-scanner", "phonenumbers", "schwifty")
}
CALL = {
    "id": "a-call",
    "conversations": [
        {"role": "user", "content": "Write to her."},
        {"role": "assistant", "content": "", "tool_calls": [{"type": "function", "function": {
            "name": "send", "arguments": json.dumps({"to": [ADDRESS], "n": 1})}}]},
        {"role": "tool", "content": "sent"},
        {"role": "assistant", "content": f"<think>To {ADDRESS}.</think>It is sent."},
    ],
}  # fmt: skip
ROWS: list[Row] = [
    *chat_rows("a", 8),
    chat_row("a-secret", "How do I log in?", f"Use {TOKEN}."),
    chat_row("a-mail", f"I am {ADDRESS}, who are you?"),
    CALL,
    chat_row("a-both", f"{ADDRESS} asks", f"{TOKEN} helps"),
]


def composed(config: Path, name: str = "out", **options: Any) -> teapot.Composition:
    (config.parent / name).mkdir(exist_ok=True)
    given = MixOptions(**{"keep_parts": False, **options})
    return teapot.compose(config, given, output=config.parent / name / "mix.jsonl")


def mixed(folder: Path, scan: dict[str, Any] | None, **declared: Any) -> teapot.Composition:
    write_module(folder, "t/a", ROWS)
    asked = {} if scan is None else {"scan": scan}
    return composed(write_config(folder, {"t/a": 1}, **asked, **declared))


def ledger_of(made: teapot.Composition) -> dict[str, Any]:
    return {row["id"]: row for batch in read_ledger(made.paths.ledger) for row in batch}


def manifest_of(made: teapot.Composition) -> Any:
    return json.loads(made.paths.manifest.read_bytes())


def recipe_of(made: teapot.Composition) -> Any:
    build = manifest_of(made)["predicate"]["buildDefinition"]
    return build["externalParameters"]["recipe"]


def files_of(made: teapot.Composition) -> tuple[bytes, bytes]:
    return made.paths.data.read_bytes(), made.paths.manifest.read_bytes()


def everything_of(made: teapot.Composition) -> str:
    said = json.dumps([ledger_of(made), manifest_of(made)], ensure_ascii=False)
    return said + made.paths.data.read_text()


def is_verified(made: teapot.Composition, **options: Any) -> bool:
    given = teapot.VerifyOptions(allow_unsigned=True, records=True, **options)
    (checked,) = teapot.verify(made.paths.data, options=given)
    return checked.is_ok


def test_dropped_rows_tell_kind_and_place_and_never_the_text(tmp_path: Path) -> None:
    made = mixed(tmp_path, {"secrets": "drop", "personal": "drop"})
    rows = ledger_of(made)
    assert (rows["a-secret"]["fate"], rows["a-secret"]["reason"]) == ("dropped", "secret")
    assert rows["a-secret"]["detail"] == "github-pat at messages[1], characters 4 to 44"
    assert rows["a-mail"]["reason"] == "personal-data"
    assert rows["a-mail"]["detail"] == f"email at messages[0], characters 5 to {5 + len(ADDRESS)}"
    assert "messages[1].tool_calls[0], text 1" in rows["a-call"]["detail"]
    assert rows["a-both"]["reason"] == "secret"
    assert rows["a-secret"]["content_digest"] == digest_of(ROWS[8])
    (module,) = made.report.modules
    assert (module.dropped, module.usable) == ({"personal-data": 2, "secret": 2}, 8)
    assert TOKEN not in everything_of(made) and ADDRESS not in everything_of(made)
    assert is_verified(made)


def test_redacted_rows_are_told_as_repaired_with_the_digest_before(tmp_path: Path) -> None:
    made = mixed(tmp_path, {"secrets": "redact", "personal": "redact"})
    rows = ledger_of(made)
    assert rows["a-secret"]["repairs"] == ["redact-secrets"]
    assert rows["a-secret"]["detail"] == "redacted: github-pat at messages[1], characters 4 to 44"
    assert rows["a-both"]["repairs"] == ["redact-secrets", "redact-personal"]
    for name, row in (("a-secret", ROWS[8]), ("a-call", CALL), ("a-both", ROWS[11])):
        assert rows[name]["digest_before"] == digest_of(row) != rows[name]["content_digest"]
    records = {r["id"]: r for r in map(json.loads, made.paths.data.read_bytes().splitlines())}
    assert records["a-secret"]["messages"][1]["content"] == "Use [REDACTED:github-pat]."
    turns = records["a-call"]["messages"]
    arguments = turns[1]["tool_calls"][0]["function"]["arguments"]
    assert json.loads(arguments) == {"to": ["[REDACTED:email]"], "n": 1}
    assert turns[3]["content"] == "<think>To [REDACTED:email].</think>It is sent."
    (module,) = made.report.modules
    assert module.repaired == {"redact-personal": 3, "redact-secrets": 2} and module.usable == 12
    assert TOKEN not in everything_of(made) and ADDRESS not in everything_of(made)
    assert is_verified(made)


def test_reported_rows_stay_and_are_warned_of_by_module(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = mixed(tmp_path, {"secrets": "report", "personal": "report"})
    rows = ledger_of(made)
    assert (rows["a-secret"]["fate"], rows["a-secret"]["repairs"]) == ("kept", [])
    assert rows["a-secret"]["detail"] == "found: github-pat at messages[1], characters 4 to 44"
    assert rows["a-both"]["detail"].count("found: ") == 2
    told = [line for line in made.report.warnings if "t/a" in line]
    assert told == [
        "t/a: 2 rows with secrets in the mix, as scan reports them only; the ledger says where, "
        "redact or drop takes them out",
        "t/a: 3 rows with personal data in the mix, as scan reports them only; the ledger says "
        "where, redact or drop takes them out",
    ]
    plain = mixed(tmp_path, None)
    assert plain.paths.data.read_bytes() == made.paths.data.read_bytes()
    write_config(tmp_path, {"t/a": 1}, scan={"secrets": "report"})
    assert run(["plan", str(tmp_path / "mix.config")]) == 0
    assert "warning: t/a: 2 rows with secrets in the mix" in capsys.readouterr().err


def test_recipe_and_versions_say_what_was_scanned_and_by_what(tmp_path: Path) -> None:
    made = mixed(tmp_path, {"secrets": "drop"})
    (module,) = recipe_of(made)["modules"]
    kingfisher = {"kingfisher-secret-scanner": VERSIONS["kingfisher-secret-scanner"]}
    assert module["scan"] == {"secrets": "drop", "personal": "off", "detectors": kingfisher}
    builder = manifest_of(made)["predicate"]["runDetails"]["builder"]
    assert builder["version"].items() >= kingfisher.items()
    assert "phonenumbers" not in builder["version"]
    assert is_verified(made)


@pytest.mark.parametrize("scan", [{}, {"secrets": "off"}, {"secrets": False, "personal": "off"}])
def test_a_mix_without_a_scan_is_what_it_always_was(tmp_path: Path, scan: dict[str, Any]) -> None:
    plain = files_of(mixed(tmp_path, None))
    assert files_of(mixed(tmp_path, scan)) == plain
    assert b"scan" not in plain[1] and b"kingfisher" not in plain[1]


def test_a_modules_own_word_goes_before_that_of_the_mix_kind_by_kind(tmp_path: Path) -> None:
    write_module(tmp_path, "t/a", ROWS)
    write_module(tmp_path, "t/b", [*chat_rows("b", 3), chat_row("b-both", f"{ADDRESS} {TOKEN}")])
    config = tmp_path / "mix.config"
    config.write_text(
        "modules:\n  t/a: true\n  t/b: {scan: {personal: off}}\n"
        "license: {allowed: all}\nscan: {secrets: redact, personal: drop}\n"
    )
    made = composed(config)
    rows = ledger_of(made)
    assert rows["a-mail"]["reason"] == "personal-data"
    assert rows["b-both"]["repairs"] == ["redact-secrets"] and rows["b-both"]["fate"] == "kept"
    assert ADDRESS in made.paths.data.read_text()
    assert [module["scan"]["personal"] for module in recipe_of(made)["modules"]] == ["drop", "off"]


def test_a_definition_of_a_tool_is_not_redacted_and_its_row_leaves(tmp_path: Path) -> None:
    tools = [{"type": "function", "function": {"name": "send", "description": f"as {ADDRESS}"}}]
    rows: list[Row] = [*chat_rows("a", 2), {**CALL, "id": "a-tool", "tools": tools}]
    write_module(tmp_path, "t/a", rows, fields={"messages": "conversations", "tools": "tools"})
    made = composed(write_config(tmp_path, {"t/a": 1}, scan={"personal": "redact"}))
    row = ledger_of(made)["a-tool"]
    assert row["reason"] == "personal-data"
    assert row["detail"].endswith("; definitions of tools are not redacted")


def test_verdicts_know_a_redacted_row_by_what_was_read(tmp_path: Path) -> None:
    write_module(tmp_path, "t/a", ROWS)
    curation = tmp_path / "modules/t/a.curation.v1.jsonl"
    write_verdicts(
        curation,
        verdict(ROWS[8], "keep"),
        verdict(ROWS[9], "drop"),
        verdict(CALL, "edit", messages=[
            {"role": "user", "content": f"Edited for {ADDRESS}."},
            {"role": "assistant", "content": "Yes."},
        ]),
    )  # fmt: skip
    scan = {"secrets": "redact", "personal": "redact"}
    config = write_config(tmp_path, {"t/a": 1}, scan=scan, curations={"t/a": "published:v1"})
    made = composed(config)
    (module,) = made.report.modules
    assert module.curation is not None
    assert (module.curation.matched, module.curation.orphans) == (3, 0)
    rows = ledger_of(made)
    assert rows["a-secret"]["detail"].startswith("keep by ada (published:v1); redacted: github-pat")
    assert (rows["a-mail"]["reason"], rows["a-mail"]["content_digest"]) == (
        "curated", digest_of(ROWS[9])
    )  # fmt: skip
    assert rows["a-call"]["repairs"] == ["curated-edit", "redact-personal"]
    assert rows["a-call"]["digest_before"] == digest_of(CALL)
    assert ADDRESS not in made.paths.data.read_text()
    assert is_verified(made)


@pytest.mark.parametrize("policy", ["drop", "redact", "report"])
def test_neither_workers_blocks_nor_engine_change_a_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, policy: str
) -> None:
    write_module(tmp_path, "t/a", ROWS)
    config = write_config(tmp_path, {"t/a": "1.5"}, scan={"secrets": policy, "personal": "redact"})
    first = composed(config, workers=1)
    for number, (workers, block) in enumerate([(2, 4 << 20), (2, 300)]):
        monkeypatch.setattr(jsonl_source, "BLOCK_BYTES", block)
        made = composed(config, str(number), workers=workers)
        assert files_of(made) == files_of(first)
        engine = inline_engine(range_bytes=40 * block, bucket_bytes=500)
        there = composed(config, f"there-{number}", engine=engine)
        assert files_of(there) == files_of(first)
        assert there.report == first.report


def test_rebuilding_gives_the_same_bytes(tmp_path: Path) -> None:
    made = mixed(tmp_path, {"secrets": "drop", "personal": "redact"})
    assert is_verified(made, rebuild=True, config=tmp_path / "mix.config")


def test_missing_extra_is_one_error_before_anything_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing(name: str) -> str:
        raise PackageNotFoundError(name)

    write_module(tmp_path, "t/a", b"no row of JSON\n")
    config = write_config(tmp_path, {"t/a": 1}, scan={"secrets": "drop"})
    monkeypatch.setattr(scanning, "version", missing)
    assert run(["compose", str(config), "-o", str(tmp_path / "mix.jsonl")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "pip install 'teapot[scan]'" in line and "secrets" in line
    with pytest.raises(MissingExtraError):
        scan_of(Scan(personal="report"))
    assert scan_of(Scan(personal="off")) is None


def test_another_version_on_another_machine_is_refused() -> None:
    versions = {**VERSIONS, "phonenumbers": "0.0"}
    spec = ScanSpec("personal", "drop", tuple(versions.items()))
    with pytest.raises(UsageError, match=r"phonenumbers \d\S+ here, expected 0.0"):
        spec.open()


def test_a_policy_that_is_none_is_an_error_with_its_place(tmp_path: Path) -> None:
    write_module(tmp_path, "t/a", ROWS)
    config = write_config(tmp_path, {"t/a": 1}, scan={"secrets": "mask"})
    with pytest.raises(ConfigError, match=r"scan\.secrets: found the text 'mask', expected one of"):
        teapot.plan(config)


def test_a_row_that_fails_its_checks_when_redacted_is_told_by_what_was_read(
    tmp_path: Path,
) -> None:
    numbers = " ".join(["+420777123456"] * 20)  # a mark is longer than such a number
    row = chat_row("a-long", f"{TOKEN} {numbers}")
    length = sum(len(turn["content"]) for turn in row["conversations"])
    rows = [*chat_rows("a", 2), row]
    write_module(tmp_path, "t/a", rows, max_length=length, on_bad_row="drop")
    made = composed(
        write_config(tmp_path, {"t/a": 1}, scan={"secrets": "redact", "personal": "redact"})
    )
    told = ledger_of(made)["a-long"]
    assert (told["reason"], told["content_digest"]) == ("too-long", digest_of(row))
    assert "after redacted: phone at messages[0]" in told["detail"]
    assert is_verified(made)


def test_rows_that_no_recipe_has_redacted_are_a_fault_of_the_manifest(tmp_path: Path) -> None:
    made = mixed(tmp_path, {"secrets": "redact", "personal": "drop"})
    manifest = read_manifest(made.paths.manifest.read_bytes(), "m")
    assert list(recipe_faults(manifest)) == []
    (module,) = manifest.recipe.modules
    for scan in (None, replace(module.scan, secrets="report")):  # type: ignore[type-var]
        recipe = replace(manifest.recipe, modules=(replace(module, scan=scan),))
        told = "t/a: 1 row by redact-secrets, which its scan does not ask for"
        left = "t/a: 3 rows dropped as personal-data, which its recipe does not ask for"
        found = list(recipe_faults(replace(manifest, recipe=recipe)))
        assert found == [told, *([left] if scan is None else [])]


def test_what_a_leak_shows_in_the_ledger_is_redacted_before(tmp_path: Path) -> None:
    words = (
        "the answer of the second question is that whoever has lost a key on the way home writes "
        f"to {ADDRESS} before the next morning"
    )
    (tmp_path / "exam.jsonl").write_bytes(jsonl([chat_row("e", "Whom?", words)]))
    write_module(tmp_path, "t/a", [*chat_rows("a", 3), chat_row("a-leak", "Well?", f"So: {words}")])
    made = composed(
        write_config(
            tmp_path, {"t/a": 1}, scan={"personal": "redact"}, decontaminate=["exam.jsonl"]
        )
    )
    row = ledger_of(made)["a-leak"]
    assert row["reason"] == "contaminated" and ADDRESS not in everything_of(made)
    assert row["content_digest"] == digest_of(chat_row("a-leak", "Well?", f"So: {words}"))
    assert is_verified(made)

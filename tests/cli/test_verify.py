"""`teapot verify` and `teapot prove` as a user sees them: words, JSON and exit codes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import teapot
from teapot.cli.app import run
from tests.support.compositions import compose, make, restate, sign_again
from tests.support.environment import own_key
from tests.support.keys import key
from tests.support.modelfolders import finish
from tests.support.project import chat_row, write_config, write_module

Say = Callable[..., tuple[int, str, str]]


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> teapot.Composition:
    """A signed composition in the working folder, trusted by the file beside it alone."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "nobody"))
    Path("teapot.allowed_signers").write_text(f"alice {own_key().public.ssh}\n")
    return make(Path())


@pytest.fixture
def say(capfdbinary: pytest.CaptureFixture[bytes]) -> Say:
    """What a command ends with: its exit code, stdout and stderr."""

    def said(*arguments: str) -> tuple[int, str, str]:
        code = run(list(arguments))
        out, err = capfdbinary.readouterr()
        return code, out.decode(), err.decode()

    return said


def test_a_good_composition_is_told_line_by_line(made: teapot.Composition, say: Say) -> None:
    code, out, err = say("verify", "mix.jsonl")
    data, ledger, recipe = made.data, made.ledger, made.recipe_sha256
    sources = {source.id: source for source in made.report.sources}
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "mix.manifest.json",
        "  OK          signature: the DSSE signature against the keys of the trust files, over the "
        "payload of mix.manifest.sigstore.json",
        "              expected the signature of a trusted key",
        f"              found    {own_key().public.fingerprint}, which is trusted as alice by "
        "teapot.allowed_signers:1",
        "  OK          payload: the bytes of mix.manifest.json with the payload that was signed",
        f"              both sha256 {made.manifest_sha256}",
        "  OK          schema: the form of mix.manifest.json: strict JSON, its schema, safe names, "
        "one way to say it",
        "              both https://w3id.org/teapot/schemas/manifest/v1",
        "  OK          sums: the manifest's own numbers: fates with rows read, parts with the "
        "whole",
        "              both all add up",
        "  OK          data: SHA-256, size and lines of mix.jsonl",
        f"              both {data.sha256}, {data.bytes:,} bytes, 27 lines",
        "  OK          merkle: RFC 9162 tree hash over the record digests, in line order",
        f"              both {data.merkle_root}",
        "  OK          ledger: rows of mix.ledger.parquet, and SHA-256 of their columns",
        f"              both {ledger.rows_sha256}, 25 rows",
        "  OK          conservation: rows, fates, lines and licences of the ledger with the "
        "manifest's",
        "              both each of 25 rows accounted for once",
        "  OK          contents: RFC 9162 tree hash over pages of the kept rows' content digests, "
        "in order",
        f"              both {data.contents_root}, 17 contents",
        "  OK          lines: digest of each line with the one that its ledger row claims",
        "              both 27 lines, each claimed once",
        "  OK          recipe: SHA-256 of the recipe's canonical JSON, and the recipe with what "
        "was read",
        f"              both {recipe}",
        *(
            line
            for name in ("a", "b", "c")
            for line in (
                f"  OK          source t-{name}: t-{name}.jsonl of t/{name}: SHA-256 and size of "
                "its file",
                f"              both {sources[f't-{name}'].sha256}, "
                f"{sources[f't-{name}'].bytes:,} bytes",
            )
        ),
        "verified: 14 checks hold",
        "",
    ]


def test_an_altered_line_is_told_with_its_record(made: teapot.Composition, say: Say) -> None:
    lines = made.paths.data.read_bytes().splitlines(keepends=True)
    record = json.loads(lines[4])
    lines[4] = lines[4].replace(b"An answer.", b"An ANSWER.")
    made.paths.data.write_bytes(b"".join(lines))
    code, out, err = say("verify", "mix.jsonl")
    assert (code, err) == (1, "")
    told = out.splitlines()
    place = told.index("  FAULT       data: SHA-256, size and lines of mix.jsonl")
    assert told[place + 1].startswith(f"              expected {made.data.sha256}, ")
    assert told[place + 2].startswith("              found    ")
    source = record["source"]
    assert told[place + 3].startswith(
        f"              line 5 was altered: {record['module']} {source}:"
    )
    assert told[place + 3].endswith(f", id {record['id']}")
    assert told[-2:] == ["NOT VERIFIED: fault in data, merkle (exit code 1)", ""]


def test_the_same_as_json(made: teapot.Composition, say: Say) -> None:
    code, out, _ = say("verify", "mix.jsonl", "--json")
    (found,) = json.loads(out)
    assert (code, found["ok"], found["exit_code"]) == (0, True, 0)
    assert found["manifest_sha256"] == made.manifest_sha256
    assert found["target"] == "mix.manifest.json"
    assert found["checks"][0] == {
        "name": "signature", "status": "ok", "details": [],
        "compared": "the DSSE signature against the keys of the trust files, over the payload of "
        "mix.manifest.sigstore.json",
        "expected": "the signature of a trusted key",
        "found": f"{own_key().public.fingerprint}, which is trusted as alice by "
        "teapot.allowed_signers:1",
    }  # fmt: skip
    made.paths.data.unlink()
    code, out, _ = say("verify", ".", "--json")
    (found,) = json.loads(out)
    assert (code, found["ok"], found["exit_code"]) == (1, False, 1)
    assert {check["status"] for check in found["checks"]} == {"ok", "fault"}


def damage(made: teapot.Composition, how: str) -> None:
    if how == "fault":
        made.paths.data.write_bytes(b"{}\n")
    elif how == "unsigned":
        made.paths.bundle.unlink()
    elif how == "untrusted":
        sign_again(made, key(77))


@pytest.mark.parametrize(
    ("how", "arguments", "code", "summary"),
    [
        ("nothing", [], 0, "verified: 14 checks hold"),
        ("nothing", ["--manifest-only"], 0, "verified: 8 checks hold, 1 skipped"),
        ("nothing", ["--rebuild"], 0, "verified: 15 checks hold"),
        ("fault", [], 1, "NOT VERIFIED: fault in data, merkle (exit code 1)"),
        ("nothing", ["--rebuild", "--source", "t-a=none.jsonl"], 3, "NOT VERIFIED: unreachable in "
         "source t-a, rebuild (exit code 3)"),
        ("unsigned", [], 4, "NOT VERIFIED: unsigned in signature (exit code 4)"),
        ("unsigned", ["--allow-unsigned"], 0, "verified: 12 checks hold"),
        ("untrusted", [], 5, "NOT VERIFIED: untrusted in signature (exit code 5)"),
        ("untrusted", ["--allow-unsigned"], 0, "verified: 12 checks hold"),
        ("nothing", ["--threshold", "2"], 5, "NOT VERIFIED: untrusted in threshold (exit code 5)"),
        ("nothing", ["--expect", "0" * 64], 1, "NOT VERIFIED: fault in expect (exit code 1)"),
    ],
)  # fmt: skip
def test_each_outcome_has_its_exit_code_and_summary(
    how: str, arguments: list[str], code: int, summary: str, made: teapot.Composition, say: Say
) -> None:
    damage(made, how)
    found, out, err = say("verify", "mix.manifest.json", *arguments)
    assert (found, out.splitlines()[-2], err) == (code, summary, "")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["none.jsonl"], "error: none.jsonl: no such file or folder\n"),
        (["mix.config"], "error: mix.config: is no part of a composition, expected a data file"),
        (["modules"], "error: modules: holds no *.manifest.json, so nothing to verify\n"),
        (["--expect", "abc"], "error: --expect: 'abc' is no SHA-256 of 64 hex digits\n"),
        (["--expect", "AB" * 32], f"error: --expect: '{'AB' * 32}' is no SHA-256 of 64 hex"),
        (["--expect", "0" * 63 + "\n"], "error: --expect: "),
        (["--record", "mix.config"], "error: --record goes with a proof (NAME.proof.json) as"),
        (["--trust", "none"], "error: none: no such trust file\n"),
        (["--threshold", "0"], "Usage: "),
        (["x.proof.json"], "error: x.proof.json: cannot be read: No such file or directory\n"),
    ],
)
def test_wrong_usage_is_told_and_exits_with_two(
    arguments: list[str], told: str, made: teapot.Composition, say: Say
) -> None:
    code, out, err = say("verify", *arguments)
    assert (code, out) == (2, "")
    assert err.startswith(told)


def test_of_several_targets_the_gravest_code_wins(made: teapot.Composition, say: Say) -> None:
    Path("unsigned").mkdir()
    teapot.compose("mix.config", output="unsigned/u.jsonl")
    Path("fault").mkdir()
    for path in (made.paths.data, made.paths.ledger, made.paths.manifest, made.paths.bundle):
        shutil.copy(path, "fault")
    Path("fault/mix.jsonl").write_bytes(b"")
    code, out, _ = say("verify", "mix.jsonl", "unsigned/u.jsonl")
    assert code == 4
    assert out.count("verified: ") == 1 and out.count("NOT VERIFIED: ") == 1
    assert say("verify", "mix.jsonl", "unsigned", "fault")[0] == 1
    code, out, _ = say("verify", "--json")
    assert code == 1
    assert [found["exit_code"] for found in json.loads(out)] == [0, 1, 4]


def test_an_empty_project_is_not_verified(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, say: Say
) -> None:
    monkeypatch.chdir(tmp_path)
    for arguments in ([], ["."]):
        code, out, err = say("verify", *arguments)
        assert (code, out) == (2, "")
        assert "*.manifest.json" in err


# Proofs.


def test_a_proof_is_written_told_and_verified(made: teapot.Composition, say: Say) -> None:
    line = made.paths.data.read_bytes().splitlines()[2]
    code, out, err = say("prove", "mix.manifest.json", "3")
    digest = say("prove", "mix.jsonl", "3", "-o", "other.proof.json", "--json")[1]
    value: dict[str, Any] = json.loads(digest)
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        f"line 3 of mix.jsonl is the record with sha256 {value['digest']}",
        "proof     mix.line-3.proof.json",
    ]
    assert value == {
        "path": "other.proof.json", "kind": "inclusion", "digest": value["digest"]
    }  # fmt: skip
    assert Path("other.proof.json").read_bytes() == Path("mix.line-3.proof.json").read_bytes()
    Path("record.json").write_bytes(line)
    code, out, _ = say("verify", "other.proof.json", "--record", "record.json")
    told = f"line 3 of mix.jsonl is the record {value['digest']}"
    assert code == 0
    assert out.splitlines()[-6:] == [
        "  OK          path: the RFC 9162 path from the record to the root that the manifest "
        "states",
        f"              both {told}",
        "  OK          record: the record digest of record.json with the proof's",
        f"              both {value['digest']}",
        "verified: 5 checks hold",
        "",
    ]


def test_a_proof_of_absence_is_written_and_verified(made: teapot.Composition, say: Say) -> None:
    code, out, _ = say("prove", "mix.manifest.json", "0" * 64, "--absent")
    assert code == 0
    assert out.splitlines()[0] == f"no record of mix.jsonl has the content with sha256 {'0' * 64}"
    code, out, _ = say("verify", "mix.absent-0000000000000000.proof.json")
    assert code == 0
    assert f"both no record of mix.jsonl has the content {'0' * 64}\n" in out
    assert out.splitlines()[-2] == "verified: 4 checks hold, 1 skipped"


def test_a_proof_goes_to_stdout_where_that_is_asked_for(made: teapot.Composition, say: Say) -> None:
    before = sorted(Path().iterdir())
    code, out, err = say("prove", "mix.manifest.json", "3", "-o", "-")
    assert (code, err, sorted(Path().iterdir())) == (0, "", before)
    say("prove", "mix.manifest.json", "3")
    assert out.encode() == Path("mix.line-3.proof.json").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (
            ["3", "-o", "x.json"],
            2,
            "error: x.json: is no name for a proof, expected one in *.proof",
        ),
        (["none"], 2, "error: none: is no line (1 to 27), no id or digest in the data file, and"),
        (["x" * 400], 2, f"error: {'x' * 400}: is no line (1 to 27), no id or digest"),
        (["none", "--absent"], 2, "error: none: is no file that holds a chat record, and no"),
        (["3", "-o", "none/x.proof.json"], 6, "error: "),
        (["3", "--trust", "none"], 2, "error: none: no such trust file\n"),
    ],
)
def test_what_cannot_be_proven_is_told(
    arguments: list[str], code: int, told: str, made: teapot.Composition, say: Say
) -> None:
    before = sorted(Path().iterdir())
    found, out, err = say("prove", "mix.manifest.json", *arguments)
    assert (found, out, sorted(Path().iterdir())) == (code, "", before)
    assert err.startswith(told)


@pytest.mark.parametrize(("how", "code"), [("fault", 1), ("unsigned", 4), ("untrusted", 5)])
def test_a_proof_from_what_is_not_believed_has_its_exit_code(
    how: str, code: int, made: teapot.Composition, say: Say
) -> None:
    damage(made, how)
    found, out, err = say("prove", "mix.manifest.json", "3")
    assert (found, out) == (code, "")
    assert err.startswith("error: ")
    assert not list(Path().glob("*.proof.json"))


def test_proofs_and_compositions_are_verified_together(made: teapot.Composition, say: Say) -> None:
    say("prove", "mix.manifest.json", "3")
    code, out, _ = say("verify", "mix.jsonl", "mix.line-3.proof.json", "--json")
    assert code == 0
    assert [found["target"] for found in json.loads(out)] == [
        "mix.line-3.proof.json", "mix.manifest.json"
    ]  # fmt: skip
    Path("mix.line-3.proof.json").write_text("{}")
    assert say("verify", "mix.jsonl", "mix.line-3.proof.json")[0] == 1


# Model folders.


def test_a_model_folder_is_verified_as_a_whole(made: teapot.Composition, say: Say) -> None:
    finish(Path("model"), made)
    code, out, err = say("verify", "model")
    assert (code, err) == (0, "")
    assert out.splitlines()[0] == "model"
    assert out.splitlines()[-2] == "verified: 19 checks hold"
    Path("model/README.md").unlink()
    code, out, _ = say("verify", "model", "mix.jsonl")
    assert code == 1
    assert "NOT VERIFIED: fault in folder files, card (exit code 1)" in out
    assert "verified: 14 checks hold" in out


def test_options_of_a_composition_are_refused_for_a_model_folder(
    made: teapot.Composition, say: Say
) -> None:
    finish(Path("model"), made)
    code, out, err = say("verify", "model", "--rebuild")
    assert (code, out) == (2, "")
    assert err == "error: --rebuild would do nothing for a model folder; leave it out\n"
    assert say("verify", "model", "--expect", made.manifest_sha256)[0] == 0
    assert say("verify", "model", "--expect", "0" * 64)[0] == 1


# Nothing that a file says reaches the terminal as it is.


def test_control_characters_in_names_are_shown_harmlessly(
    made: teapot.Composition, say: Say
) -> None:
    for path in (made.paths.data, made.paths.ledger, made.paths.manifest, made.paths.bundle):
        path.rename(path.name.replace("mix", "m\x1b[2Jx\u202e"))
    code, out, err = say("verify", ".")
    assert code == 1
    code, proof, problem = say("prove", "m\x1b[2Jx\u202e.manifest.json", "3")
    for text in (out, err, proof, problem):
        assert "\x1b" not in text and "\u202e" not in text
    assert "m\\x1b[2Jx\\x202e.manifest.json" in out


def test_control_characters_in_a_manifest_are_shown_harmlessly(
    made: teapot.Composition, say: Say
) -> None:
    def rename(value: Any) -> None:
        build = value["predicate"]["buildDefinition"]
        build["resolvedDependencies"][0]["name"] = "t/a \x1b[2J\u202e"
        build["resolvedDependencies"][1]["uri"] = "\x1b[2J\u202e\x9b"

    restate(made, rename)
    code, out, err = say("verify", "mix.jsonl")
    assert code == 1
    for sign in ("\x1b", "\u202e", "\x9b"):
        assert sign not in out + err
    assert "\\x1b[2J\\x202e" in out


def test_control_characters_in_a_ledger_are_shown_harmlessly(tmp_path: Path, say: Say) -> None:
    write_module(tmp_path, "t/a", [chat_row("evil\x1b[2J", "Why?"), chat_row("x", "How?")])
    made = compose(write_config(tmp_path, {"t/a": 1}))
    made.paths.data.write_bytes(b"")
    code, out, _ = say("verify", str(made.paths.data))
    assert code == 1
    assert "\x1b" not in out and "id evil\\x1b[2J" in out

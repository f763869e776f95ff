"""The command line: the same twice over, JSON on every command, quiet when asked."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from teapot.cli.app import harmless, run
from teapot.version import __version__
from tests.support.planted import PERSONAL, SECRETS
from tests.support.project import chat_row, chat_rows, jsonl, write_config, write_module

DEMO = str(Path(__file__).parents[2] / "configs" / "demo.config")


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = run(list(arguments))
    out, err = capsys.readouterr()
    return code, out, err


def test_teapot_and_python_m_teapot_are_the_same() -> None:
    script = Path(sys.executable).parent / "teapot"
    outputs = [
        subprocess.run([*command, "--help"], capture_output=True, text=True, check=True).stdout
        for command in ([str(script)], [sys.executable, "-m", "teapot"])
    ]
    assert outputs[0] == outputs[1] and "compose" in outputs[0]


def test_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "--version")[1] == f"teapot {__version__}\n"


@pytest.mark.parametrize(
    "command",
    [
        ["plan", DEMO],
        ["compose", DEMO, "-o", "demo.jsonl"],
        ["explain", DEMO, "demo-notes-023"],
        ["check", "good.jsonl"],
        ["lock", "mix.config"],
        ["modules", "list"],
        ["modules", "show", "demo/czech"],
        ["modules", "check"],
        ["sources", DEMO],
        ["bases", "list"],
        ["bases", "show", "apertus"],
        ["render", "--base", "apertus", "good.jsonl"],
        ["schema"],
        ["completion", "bash"],
        ["init", "starter"],
    ],
    ids=lambda command: " ".join(part for part in command[:2] if "/" not in part),
)
def test_every_command_speaks_json(
    command: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    write_module(tmp_path, "t/a", chat_rows("a", 2))
    write_config(tmp_path, {"t/a": 1})
    (tmp_path / "good.jsonl").write_text(json.dumps(chat_row("x", "Why?")) + "\n")
    code, out, err = said(capsys, *command, "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)


def test_error_as_json_names_place_and_exit_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "mix.config"
    config.write_text("modules: {t/a: true}\nlicense: {allowed: []}\n")
    code, out, _ = said(capsys, "plan", str(config), "--json")
    value = json.loads(out)
    assert code == value["exit_code"] == 2
    assert value["error"][0]["path"] == "license.allowed"
    assert value["error"][0]["where"] == f"{config}:2"


def test_warnings_go_to_stderr_and_quiet_silences_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_module(tmp_path, "t/a", chat_rows("a", 2), min_examples=10, depends=["t/b"])
    config = str(write_config(tmp_path, {"t/a": 1}))
    _, out, err = said(capsys, "plan", config)
    assert "warning" not in out
    assert err.splitlines() == [
        "warning: t/a depends on t/b, which is not in the mix",
        "warning: t/a: 2 lines, its module asks for 10 at least",
    ]
    assert said(capsys, "plan", config, "--quiet")[2] == ""


def test_plan_counts_tokens_where_a_tokenizer_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = {"[UNK]": 0}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    write_module(tmp_path, "t/a", [chat_row("x", "one two three", "four five")])
    config = write_config(tmp_path, {"t/a": 2}, tokenizer="tokenizer.json")
    value = json.loads(said(capsys, "plan", str(config), "--json")[1])
    assert value["total"]["tokens"] == value["licenses"]["MIT"]["tokens"] == 10


@pytest.mark.parametrize("width", [120, 40])
def test_no_number_of_a_table_is_cut(
    width: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("teapot.cli.show._WIDTH_IN_A_PIPE", width)
    names = ["t/icelandic", "t/norwegian"]
    for name in names:
        write_module(tmp_path, name, chat_rows(name, 1234))
    groups = {"northern-languages": {"modules": names, "temperature": "2.5", "rows": 200_000}}
    config = write_config(tmp_path, {}, modules=dict.fromkeys(names, True), groups=groups)
    out = said(capsys, "plan", str(config), "--quiet")[1]
    rows = [line.split() for line in out.splitlines() if "100,000" in line]
    numbers = ["1,234", "0", "1,234", "100,000", "50.0", "50.0", "0"]
    assert [row[0].startswith("t/") and row[-7:] == numbers for row in rows[:2]] == [True, True]


def test_control_characters_from_data_never_reach_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    row = chat_row("evil\x1b[2J", "Why?", "")
    (tmp_path / "evil.jsonl").write_text(json.dumps(row) + "\n")
    code, out, _ = said(capsys, "check", str(tmp_path / "evil.jsonl"))
    assert code == 1
    assert "\x1b" not in out and "evil\\x1b[2J" in out
    assert harmless("a\tb\u202ec") == "a\\x09b\\x202ec"


def test_sources_say_what_is_missing_and_how_to_set_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sources = [{"id": "gone", "kind": "jsonl", "path": "gone.jsonl"}]
    write_module(tmp_path, "t/a", [], sources=sources)
    code, out, _ = said(capsys, "sources", str(write_config(tmp_path, {"t/a": 1})))
    assert code == 3
    assert "--source gone=PATH, TEAPOT_SOURCE_GONE=PATH" in out


def test_modules_check_names_what_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sources: list[dict[str, Any]] = [
        {"id": "a", "kind": "jsonl", "path": "none.jsonl"},
        {"id": "b", "kind": "josnl", "path": "t-a.jsonl"},
    ]
    write_module(tmp_path, "t/a", chat_rows("a", 1), sources=sources)
    code, out, err = said(capsys, "modules", "check", "t/a", "--modules", str(tmp_path / "modules"))
    assert (code, out) == (2, "0 sound, 2 problems\n")
    assert "no such file beside the module" in err
    assert "no source plug-in named 'josnl'; did you mean jsonl?" in err


def test_starter_project_composes_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert said(capsys, "init", str(tmp_path / "tea"))[0] == 0
    monkeypatch.chdir(tmp_path / "tea")
    for config in ("my-mix.config", "demo.config", "demo-clean.config", "demo-epochs.config"):
        code, _, err = said(capsys, "compose", config)
        assert (code, err) == (0, "")
    assert said(capsys, "check", "my-mix.jsonl")[0] == 0


def test_check_tells_kind_and_place_only_where_a_scan_is_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    secret, address = SECRETS["github-pat"], PERSONAL["email"]
    rows = [chat_row("a", "Hi?", f"Use {secret}"), chat_row("b", f"I am {address}")]
    file = tmp_path / "a.jsonl"
    file.write_bytes(jsonl(rows))
    assert said(capsys, "check", str(file))[0] == 0
    code, out, err = said(capsys, "check", "--scan", str(file))
    assert code == 1
    assert out.splitlines() == [
        f"{file}:1: github-pat at messages[1], characters 4 to 44 (id a)",
        f"{file}:2: email at messages[0], characters 5 to {5 + len(address)} (id b)",
        "2 rows, 2 faulty: 1 personal-data, 1 secret",
    ]
    assert secret not in out + err and address not in out + err

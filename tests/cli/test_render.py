"""`teapot render` and `teapot bases`: where rows and prompts come from, and what is missing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from teapot.cli.app import run

ROW = '{"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Yes."}]}\n'


def render(*arguments: str, rows: str = ROW) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "teapot", "render", *arguments], input=rows, encoding="utf-8",
        capture_output=True, check=False,
    )  # fmt: skip


def test_rows_come_from_standard_input_in_any_shape() -> None:
    ran = render("--base", "chatml", rows=ROW + ROW.strip())
    assert (ran.returncode, ran.stderr) == (0, "")
    made = [json.loads(line) for line in ran.stdout.splitlines()]
    assert [row["supervised"] for row in made] == [["Yes.<|im_end|>"], ["Yes.<|im_end|>"]]


def test_rows_before_a_bad_one_are_printed_and_the_bad_one_is_named() -> None:
    ran = render("--base", "chatml", rows=ROW + '{"messages": [], "messages": []}\n')
    assert len(ran.stdout.splitlines()) == ran.returncode == 1
    assert ran.stderr.startswith("error: <stdin>:2: not strict JSON: the key")


def test_nothing_at_all_is_an_error() -> None:
    ran = render("--base", "chatml", rows="")
    assert (ran.returncode, ran.stderr) == (
        1, "error: <stdin>: it is empty, expected at least one row\n"
    )  # fmt: skip


def test_a_row_is_answered_before_the_next_one_comes() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "teapot", "render", "--base", "llama"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8",
    ) as process:  # fmt: skip
        assert process.stdin is not None and process.stdout is not None
        for _ in range(2):
            process.stdin.write(ROW)
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["supervised"] == ["Yes.<|eot_id|>"]
        process.stdin.close()


def test_system_prompt_is_text_or_a_file(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    prompt, rows = tmp_path / "prompt.txt", tmp_path / "rows.jsonl"
    prompt.write_text("Be kind.\n🙂\n", "utf-8")
    rows.write_text(ROW)
    for given, shown in [("Be brief.", "Be brief."), (f"@{prompt}", "Be kind.\n🙂"), ("", "")]:
        assert run(["render", "--base", "chatml", "--system-prompt", given, str(rows)]) == 0
        text = json.loads(capfd.readouterr().out)["text"]
        assert text.startswith(f"<|im_start|>system\n{shown}<|im_end|>\n")


def test_system_prompt_file_that_is_missing_is_named(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["render", "--base", "chatml", "--system-prompt", "@nowhere", "x.jsonl"]) == 2
    told = "error: nowhere: cannot be read: No such file or directory\n"
    assert capfd.readouterr().err == told


def test_tools_are_rendered_in_canonical_order(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    rows = tmp_path / "rows.jsonl"
    row = {**json.loads(ROW), "tools": [{"type": "function", "function": {"name": "f", "a": 1.50}}]}
    rows.write_text(json.dumps(row))
    assert run(["render", "--base", "chatml", str(rows)]) == 0
    text = json.loads(capfd.readouterr().out)["text"]
    assert '<tools>\n{"function": {"a": 1.5, "name": "f"}, "type": "function"}\n</tools>' in text


@pytest.mark.parametrize("missing", ["transformers", "jinja2"])
def test_missing_extra_is_named(missing: str, tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text(ROW)
    script = (
        f"import sys; sys.modules[{missing!r}] = None\n"
        "from teapot.cli.app import run\n"
        f"sys.exit(run(['render', '--base', 'llama', {str(rows)!r}]))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    told = "rendering with a base needs an optional package: pip install 'teapot[train]'"
    assert (ran.returncode, ran.stderr) == (2, f"error: {told}\n")


@pytest.mark.parametrize("command", ["list", "show llama"])
def test_bases_need_nothing_that_renders(command: str) -> None:
    script = (
        "import sys\nfrom teapot.cli.app import run\n"
        f"code = run(['bases', *{command.split()!r}])\n"
        "print([name for name in ('transformers', 'jinja2') if name in sys.modules], code)"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout.endswith("[] 0\n")
    assert "meta-llama/Llama-3.1-8B-Instruct" in ran.stdout


def test_unknown_base_is_a_usage_error_with_a_hint(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["bases", "show", "lama"]) == 2
    assert capfd.readouterr().err == (
        "error: no trainer plug-in named 'lama'; did you mean llama?\n"
    )

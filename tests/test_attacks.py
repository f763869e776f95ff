"""Every folder under `attacks/` is an attack that must fail; `docs/security.md` lists them all.

Its `attack.py` runs in a copy of `vectors/composition/`, then the `command` (by default
`verify tea.jsonl`); exit code and output must be those in the folder, to the letter.
`python -m tests.test_attacks NAME…` writes what attacks get now into their folders.
"""

from __future__ import annotations

import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from teapot.cli.app import run
from tests.support.environment import environment

HERE = Path(__file__).parent
ATTACKS, COMPOSITION = HERE / "attacks", HERE / "vectors" / "composition"
SECURITY = HERE.parent / "docs" / "security.md"
_DEFAULT = "verify tea.jsonl"


def _names() -> list[str]:
    return sorted(path.parent.name for path in ATTACKS.glob("*/attack.py"))


def _command(attack: Path) -> list[str]:
    given = attack / "command"
    return shlex.split(given.read_text(encoding="utf-8") if given.exists() else _DEFAULT)


def _lay_out(work: Path) -> None:
    shutil.copytree(COMPOSITION, work)


@pytest.mark.parametrize("name", _names())
def test_attack_is_noticed_with_its_message_and_exit_code(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    attack, work = ATTACKS / name, tmp_path / "work"
    _lay_out(work)
    monkeypatch.chdir(work)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "nobody"))
    runpy.run_path(str(attack / "attack.py"))
    code = run(_command(attack))
    out, err = capfd.readouterr()
    assert out == (attack / "stdout").read_text(encoding="utf-8")
    assert err == (attack / "stderr").read_text(encoding="utf-8")
    assert code == int((attack / "exit").read_text()) != 0


def test_without_an_attack_the_composition_is_verified(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    _lay_out(tmp_path / "work")
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "nobody"))
    assert run(shlex.split(_DEFAULT)) == 0
    assert "alice@example.com by teapot.allowed_signers:1" in capfd.readouterr().out


def test_the_page_on_security_lists_every_attack_and_no_other_with_its_exit_code() -> None:
    row = r"^\|.*\| ([0-9]), .*\| `([a-z0-9-]+)` \|$"
    listed = re.findall(row, SECURITY.read_text("utf-8"), re.MULTILINE)
    codes = [(int((ATTACKS / name / "exit").read_text()), name) for name in _names()]
    assert sorted((int(code), name) for code, name in listed) == sorted(codes)


def _record(name: str) -> None:
    attack = ATTACKS / name
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder) / "work"
        _lay_out(work)
        variables = {**os.environ, **environment(Path(folder))}
        variables |= {
            "XDG_CONFIG_HOME": str(Path(folder) / "nobody"),
            "PYTHONPATH": str(HERE.parent),
        }
        subprocess.run(
            [sys.executable, str(attack / "attack.py")], cwd=work, env=variables, check=True
        )
        ran = subprocess.run(
            [sys.executable, "-m", "teapot", *_command(attack)],
            cwd=work, env=variables, capture_output=True, text=True, encoding="utf-8", check=False,
        )  # fmt: skip
    for file, text in (("stdout", ran.stdout), ("stderr", ran.stderr)):
        (attack / file).write_text(text, encoding="utf-8")
    (attack / "exit").write_text(f"{ran.returncode}\n", encoding="utf-8")


if __name__ == "__main__":
    for named in sys.argv[1:] or _names():
        _record(named)

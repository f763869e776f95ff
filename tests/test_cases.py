"""Every folder under `cases/` is one test; `cases/README.md` says what its files mean.

`python -m tests.test_cases GROUP/CASE` writes what a case gets now into its folder.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from teapot.cli.app import run
from tests.support.environment import environment

CASES = Path(__file__).parent / "cases"
_OF_THE_CASE = frozenset(("command", "exit", "stderr", "stdout", "generate.py"))


def _cases() -> list[str]:
    return sorted(str(path.parent.relative_to(CASES)) for path in CASES.glob("*/*/command"))


@pytest.mark.parametrize("name", _cases())
def test_case_gets_its_exact_message_and_exit_code(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    case, work = CASES / name, tmp_path / "work"
    shutil.copytree(case, work, ignore=shutil.ignore_patterns(*_OF_THE_CASE))
    monkeypatch.chdir(work)
    if (case / "generate.py").exists():
        subprocess.run([sys.executable, str(case / "generate.py")], check=True)
    before = _files(work)
    code = run(shlex.split((case / "command").read_text(encoding="utf-8")))
    out, err = capfd.readouterr()
    assert err == (case / "stderr").read_text(encoding="utf-8")
    assert code == int((case / "exit").read_text())
    if (case / "stdout").exists():
        assert out == (case / "stdout").read_text(encoding="utf-8")
    if code:
        assert _files(work) == before, "a run that failed left files behind"


def _files(folder: Path) -> set[Path]:
    return {path.relative_to(folder) for path in folder.rglob("*")}


def _record(name: str) -> None:
    """Write what a case gets now into its folder, to be read in the diff."""
    case = CASES / name
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder) / "work"
        shutil.copytree(case, work, ignore=shutil.ignore_patterns(*_OF_THE_CASE))
        if (case / "generate.py").exists():
            subprocess.run([sys.executable, str(case / "generate.py")], cwd=work, check=True)
        arguments = shlex.split((case / "command").read_text(encoding="utf-8"))
        ran = subprocess.run(
            [sys.executable, "-m", "teapot", *arguments],
            cwd=work, capture_output=True, text=True, encoding="utf-8", check=False,
            env={**os.environ, **environment(Path(folder))},
        )  # fmt: skip
    (case / "stderr").write_text(ran.stderr, encoding="utf-8")
    (case / "exit").write_text(f"{ran.returncode}\n", encoding="utf-8")
    if (case / "stdout").exists():
        (case / "stdout").write_text(ran.stdout, encoding="utf-8")


if __name__ == "__main__":
    for named in sys.argv[1:]:
        _record(named)

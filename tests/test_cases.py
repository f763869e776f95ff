"""Every folder under `cases/` is one test; `cases/README.md` says what its files mean."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CASES = Path(__file__).parent / "cases"
_OF_THE_CASE = frozenset(("command", "exit", "stderr", "stdout", "generate.py"))


def _cases() -> list[str]:
    return sorted(str(path.parent.relative_to(CASES)) for path in CASES.glob("*/*/command"))


@pytest.mark.parametrize("name", _cases())
def test_case_gets_its_exact_message_and_exit_code(name: str, tmp_path: Path) -> None:
    case, work = CASES / name, tmp_path / "work"
    shutil.copytree(case, work, ignore=shutil.ignore_patterns(*_OF_THE_CASE))
    if (case / "generate.py").exists():
        subprocess.run([sys.executable, str(case / "generate.py")], cwd=work, check=True)
    before = _files(work)
    arguments = shlex.split((case / "command").read_text(encoding="utf-8"))
    ran = subprocess.run(
        [sys.executable, "-m", "teapot", *arguments],
        cwd=work, capture_output=True, text=True, encoding="utf-8", timeout=120, check=False,
    )  # fmt: skip
    assert ran.stderr == (case / "stderr").read_text(encoding="utf-8")
    assert ran.returncode == int((case / "exit").read_text())
    if (case / "stdout").exists():
        assert ran.stdout == (case / "stdout").read_text(encoding="utf-8")
    if ran.returncode:
        assert _files(work) == before, "a run that failed left files behind"


def _files(folder: Path) -> set[Path]:
    return {path.relative_to(folder) for path in folder.rglob("*")}

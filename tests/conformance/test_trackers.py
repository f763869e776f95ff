"""Weights & Biases, as it is installed now, is asked for a login before anything is trained.

It is installed, with Trackio, below `$TEAPOT_CONFORMANCE_VENVS` or `build/conformance`, beside the
packages of the environment that the tests run in.
"""

from __future__ import annotations

import json
import os
import site
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.fitjobs import ready_folder
from tests.support.tinymodels import write_tiny_model

pytestmark = pytest.mark.conformance

REPOSITORY = Path(__file__).parents[2]
_VENVS = Path(os.environ.get("TEAPOT_CONFORMANCE_VENVS") or REPOSITORY / "build" / "conformance")
_MAX_SECONDS = 600


@pytest.fixture(scope="module")
def trackers() -> Path:
    """The Python of an environment with both, and with all of this one."""
    folder = _VENVS / f"trackers-python{sys.version_info.major}.{sys.version_info.minor}"
    python = folder / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    lines = [f"import site; site.addsitedir({path!r})" for path in site.getsitepackages()]
    (packages / "zz_tests.pth").write_text("\n".join(lines) + "\n")
    install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([str(python), *install, "wandb", "trackio"], check=True, timeout=_MAX_SECONDS)
    return python


def said(python: Path, *arguments: str, **environment: str) -> str:
    given = {
        **os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1",
        **environment,
    }  # fmt: skip
    ran = subprocess.run(
        [str(python), *arguments], env=given, capture_output=True, encoding="utf-8", check=False,
        timeout=_MAX_SECONDS,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_wandb_without_a_login_is_told_before_training(trackers: Path, tmp_path: Path) -> None:
    model = write_tiny_model(tmp_path / "tiny", "apertus")
    plan = ready_folder(tmp_path / "my-mix", model, report_to=("wandb",))
    out = said(trackers, "-m", "tests.support.runs", str(plan), WANDB_MODE="online",
               HOME=str(tmp_path), NETRC=str(tmp_path / "none"))  # fmt: skip
    assert "--report-to wandb: " in json.loads(out)["error"]
    assert not plan.with_name("metrics.jsonl").exists()

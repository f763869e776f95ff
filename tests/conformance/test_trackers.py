"""Weights & Biases and Trackio, as they are installed now, take a run; their own readers show it.

Both are installed below `$TEAPOT_CONFORMANCE_VENVS` or `build/conformance`, beside the packages of
the environment that the tests run in. wandb has no reader in Python since 0.30; a release that
has one is installed beside it, for reading alone.
"""

from __future__ import annotations

import json
import os
import site
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.fitjobs import STEPS, ready_folder
from tests.support.tinymodels import write_tiny_model

pytestmark = pytest.mark.conformance

REPOSITORY = Path(__file__).parents[2]
_VENVS = Path(os.environ.get("TEAPOT_CONFORMANCE_VENVS") or REPOSITORY / "build" / "conformance")
_MAX_SECONDS = 600
_WANDB_THAT_READS = "wandb==0.28.2"
READ_WANDB = """
import json, sys
from wandb.proto import wandb_internal_pb2 as protocol
from wandb.sdk.internal.datastore import DataStore
for path in sys.argv[1:]:
    store = DataStore()
    store.open_for_scan(path)
    while (data := store.scan_data()) is not None:
        record = protocol.Record()
        record.ParseFromString(data)
        if record.HasField("run") and record.run.run_id:
            print(json.dumps({"id": record.run.run_id, "name": record.run.display_name,
                              "project": record.run.project, "host": record.run.host}))
        if record.HasField("history"):
            line = {item.key or ".".join(item.nested_key): json.loads(item.value_json)
                    for item in record.history.item}
            print(json.dumps({"step": record.history.step.num, "loss": line["train/loss"]}))
"""
READ_TRACKIO = """
import json
import trackio
(run,) = trackio.Api().runs("teapot")
print(json.dumps({"name": run.name, "project": "teapot"}))
from trackio.sqlite_storage import SQLiteStorage
for line in SQLiteStorage.get_logs("teapot", run.name):
    print(json.dumps({"step": line["step"], "loss": line["train/loss"]}))
"""


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


@pytest.fixture(scope="module")
def wandb_reader() -> Path:
    """A folder of packages with a wandb that reads in Python what any wandb writes."""
    folder = _VENVS / _WANDB_THAT_READS.replace("==", "-")
    if not folder.exists():
        install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target"]
        command = [sys.executable, *install, str(folder), _WANDB_THAT_READS]
        subprocess.run(command, check=True, timeout=_MAX_SECONDS)
    return folder


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


def test_both_show_each_step_and_nothing_of_the_machine(
    trackers: Path, wandb_reader: Path, tmp_path: Path
) -> None:
    model = write_tiny_model(tmp_path / "tiny", "apertus")
    plan = ready_folder(tmp_path / "my-mix", model, report_to=("wandb", "trackio"))
    logs = tmp_path / "my-mix.logs"
    out = said(trackers, "-m", "tests.support.runs", str(plan), f"again:{plan}",
               WANDB_MODE="offline")  # fmt: skip
    # transformers prints this where it is imported in that mode; there is no other noise.
    told = [line for line in out.splitlines() if line != "[INFO] Running in WANDB offline mode"]
    assert [json.loads(line)["error"] for line in told] == ["", ""]
    metrics = [
        json.loads(line) for line in plan.with_name("metrics.jsonl").read_text().splitlines()
    ]
    expected = {line["step"]: line["loss"] for line in metrics}
    assert len(expected) == STEPS

    files = sorted(str(path) for path in logs.rglob("*.wandb"))
    assert len(files) == 2
    read = said(Path(sys.executable), "-c", READ_WANDB, *files, PYTHONPATH=str(wandb_reader))
    first, *lines = map(json.loads, read.splitlines())
    assert (first["name"], first["project"], first["host"]) == ("my-mix", "teapot", "-")
    assert [line["id"] for line in lines if "id" in line] == [first["id"]]  # goes on with it
    assert {line["step"]: line["loss"] for line in lines if "step" in line} == expected
    for path in files:
        data = Path(path).read_bytes().replace(first["id"].encode(), b"")  # random letters
        assert str(tmp_path).encode() not in data and socket.gethostname().encode() not in data

    out = said(trackers, "-c", READ_TRACKIO, TRACKIO_DIR=str(logs / "trackio"))
    first, *lines = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
    assert first["name"] == "my-mix"
    assert {line["step"]: line["loss"] for line in lines} == expected
    left = {path.name for path in plan.parent.iterdir() if path.is_dir()}
    assert left == {".work"}


def test_wandb_without_a_login_is_told_before_training(trackers: Path, tmp_path: Path) -> None:
    model = write_tiny_model(tmp_path / "tiny", "apertus")
    plan = ready_folder(tmp_path / "my-mix", model, report_to=("wandb",))
    out = said(trackers, "-m", "tests.support.runs", str(plan), WANDB_MODE="online",
               HOME=str(tmp_path), NETRC=str(tmp_path / "none"))  # fmt: skip
    assert "--report-to wandb: " in json.loads(out)["error"]
    assert not plan.with_name("metrics.jsonl").exists()

"""`python -m teapot_trainers.run` under torchrun: two processes on the CPU share each step."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from teapot.canonical import dumps_readable
from teapot.model.fitjob import JOB, OUTCOME, WORK
from teapot.model.trainoutcome import TrainOutcome
from teapot.model.validationloss import ValidationLosses
from teapot_trainers.run import main
from tests.support.compositions import compose
from tests.support.environment import own_key
from tests.support.machine import said
from tests.support.project import chat_row, chat_rows, write_config, write_module
from tests.support.tinymodels import write_tiny_model

TRAINING = {
    "epochs": 2, "lora_r": 4, "batch_size": 2, "gradient_accumulation": 2, "max_length": 512,
    "gradient_checkpointing": False,
}  # fmt: skip
ASKED = ("train", "mix.config", "--base", "apertus", "--model", "tiny", "--device", "cpu", "-o")
FSDP = {"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2"}
Capture = pytest.CaptureFixture[str]
ADAPTER = "adapter_model.safetensors"
RUN = ("-m", "teapot_trainers.run")
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node")


class Stream(io.StringIO):
    """Keeps each piece of text that is written to it."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[str] = []

    def write(self, text: str) -> int:
        self.written.append(text)
        return len(text)


@pytest.fixture
def mix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("teapot.allowed_signers").write_text(f"alice {own_key().public.ssh}\n")
    write_module(Path(), "t/one", chat_rows("a", 10))
    compose(write_config(Path(), {"t/one": 1}, output="mix.jsonl", training=TRAINING))
    write_tiny_model(Path("tiny"), "apertus")
    return tmp_path


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, encoding="utf-8", env=environment,
        check=False, timeout=300,
    )  # fmt: skip


def losses(folder: str) -> list[float]:
    lines = Path(folder, "metrics.jsonl").read_text().splitlines()
    return [json.loads(line)["loss"] for line in lines]


@pytest.mark.parametrize("config", [{}, {"epochs": {"orders": True}}], ids=["drawn", "orders"])
def test_two_processes_make_the_steps_of_one(
    config: dict[str, Any], mix: Path, capsys: Capture
) -> None:
    compose(write_config(mix, {"t/one": 1}, output="mix.jsonl", training=TRAINING, **config))
    for folder, launcher in (
        ("one", RUN), ("two", (*TORCHRUN, "2", *RUN)),
    ):  # fmt: skip
        code, out, err = said(capsys, *ASKED, folder, "--prepare")
        assert code == 0 and "ready for a launcher" in out, err
        ran = python(*launcher, f"{folder}/plan.json")
        assert ran.returncode == 0, ran.stderr
    one, two = losses("one"), losses("two")
    assert len(one) == len(two) == 6  # 10 rows are 4, 4 and 2
    assert two == pytest.approx(one, rel=0.01)
    told = [json.loads(Path(name, OUTCOME).read_bytes()) for name in ("one", "two")]
    assert told[0]["tokens"] == told[1]["tokens"]
    code, _, err = said(capsys, *ASKED, "two", "--finish")
    assert code == 0, err
    assert Path("two", ADAPTER).exists() and not Path("two", WORK).exists()


@pytest.mark.parametrize("fsdp", [{}, FSDP], ids=["ddp", "fsdp"])
def test_two_processes_measure_the_validation_loss_of_one(
    fsdp: dict[str, str], mix: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, split = chat_rows("a", 16), {"validation": "30%", "relatives": "exact"}
    long = [chat_row(f"long-{count}", "Why?", f"{count}: so. " * 9 * count) for count in (1, 2, 3)]
    write_module(Path(), "t/one", [*rows, *long])
    training = {**TRAINING, "micro_batch_tokens": 64}
    compose(write_config(mix, {"t/one": 1}, output="mix.jsonl", training=training, split=split))
    found, adapters = [], []
    for folder, launcher, more in (
        ("one", RUN, ()), ("two", (*TORCHRUN, "2", *RUN), ()),
        ("plain", (*TORCHRUN, "2", *RUN), ("--no-eval",)),
    ):  # fmt: skip
        code, _, err = said(capsys, *ASKED, folder, "--prepare", *more)
        assert code == 0, err
        with monkeypatch.context() as patch:
            for name, value in fsdp.items() if folder != "one" else ():
                patch.setenv(name, value)
            ran = python(*launcher, f"{folder}/plan.json")
        assert ran.returncode == 0, ran.stderr
        told = TrainOutcome.from_dict(json.loads(Path(folder, OUTCOME).read_bytes()))
        found.append(told.validation)
        adapters.append(Path(folder, ADAPTER).read_bytes())
    one, two, plain = found
    assert one is not None and two is not None and plain is None
    assert (two.rows, two.supervised, two.encoded_sha256) == (
        one.rows, one.supervised, one.encoded_sha256
    )  # fmt: skip
    assert [part.step for part in two.losses] == [part.step for part in one.losses]
    for a, b in zip(one.losses, two.losses, strict=True):
        assert float(b.loss) == pytest.approx(float(a.loss), rel=0.01)
    assert adapters[1] == adapters[2]
    code, _, err = said(capsys, *ASKED, "two", "--finish")
    assert code == 0, err


def test_an_outcome_of_other_held_out_rows_is_refused(mix: Path, capsys: Capture) -> None:
    split = {"validation": "30%", "relatives": "exact"}
    compose(write_config(mix, {"t/one": 1}, output="mix.jsonl", training=TRAINING, split=split))
    assert said(capsys, *ASKED, "six", "--prepare")[0] == 0
    job = json.loads(Path("six", WORK, JOB).read_bytes())
    outcome = TrainOutcome(
        steps=6, final_loss="1", tokens=1, supervised=1, seconds=1, device="cpu",
        data_sha256="0" * 64, encoded_sha256=job["rows_sha256"], weights=(ADAPTER,),
        base_weights={}, versions={},
        validation=ValidationLosses(encoded_sha256="0" * 64, rows=3, supervised=1, losses=()),
    )  # fmt: skip
    Path("six", OUTCOME).write_bytes(dumps_readable(outcome.to_dict()))
    code, _, err = said(capsys, *ASKED, "six", "--finish")
    assert code == 1 and "tells of other held-out rows than the verified validation file" in err


def test_what_is_not_ready_is_told(mix: Path, capsys: Capture) -> None:
    assert said(capsys, *ASKED, "three", "--prepare")[0] == 0
    code, _, err = said(capsys, *ASKED, "three", "--finish")
    assert code == 2 and "the run has not come to its end" in err
    plan = Path("three/plan.json")
    kept = plan.read_bytes()
    plan.write_bytes(kept.replace(b'"seed": 42', b'"seed": 43'))
    ran = python(*RUN, str(plan))
    assert ran.returncode == 2 and "was prepared for another plan" in ran.stderr
    plan.write_bytes(kept)
    Path("three", WORK, JOB).unlink()
    assert main([str(plan)]) == 2
    assert "run `teapot train --prepare` first" in capsys.readouterr().err


def test_a_line_is_written_in_one_go(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # Under torchrun, what print() writes after a line could follow that of another process.
    stream = Stream()
    monkeypatch.setattr(sys, "stderr", stream)
    assert main([str(tmp_path / "plan.json")]) == 2
    (line,) = stream.written
    assert line.startswith("error: ") and line.count("\n") == 1 and line.endswith("\n")


def test_an_outcome_of_other_rows_is_refused(mix: Path, capsys: Capture) -> None:
    assert said(capsys, *ASKED, "four", "--prepare")[0] == 0
    path = Path("four", OUTCOME)
    outcome = TrainOutcome(
        steps=4, final_loss="1.0", tokens=1, supervised=1, seconds=1, device="cpu", data_sha256="",
        encoded_sha256="0" * 64, weights=(ADAPTER,), base_weights={}, versions={},
    )  # fmt: skip
    path.write_bytes(dumps_readable(outcome.to_dict()))
    code, _, err = said(capsys, *ASKED, "four", "--finish")
    assert code == 1 and "tells of other rows than the verified data gives" in err
    path.write_text('{"steps": 4}')
    code, _, err = said(capsys, *ASKED, "four", "--finish")
    assert code == 1 and "is no outcome of a run" in err
    Path("four", WORK, JOB).write_text("[")
    assert main(["four/plan.json"]) == 2
    assert "is not strict JSON" in capsys.readouterr().err

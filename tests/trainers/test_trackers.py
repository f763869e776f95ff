"""`--report-to`: what TensorBoard is given, read back from its files, and who is refused."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from teapot.errors import UsageError
from teapot_trainers.run import run
from teapot_trainers.trackers import logs_folder, require_trackers, told_of
from tests.support.fitjobs import STEPS, ready_folder, ready_job
from tests.support.launching import run_in_two
from tests.support.tinymodels import write_tiny_model

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*is_gradient_checkpointing:FutureWarning", "ignore::DeprecationWarning"
)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_tiny_model(tmp_path / "tiny", "apertus")


def shown(folder: Path) -> EventAccumulator:
    return EventAccumulator(str(logs_folder(folder) / "tensorboard")).Reload()


def losses(folder: Path) -> list[tuple[int, float]]:
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [(line["step"], line["loss"]) for line in map(json.loads, lines)]


def test_tensorboard_gets_every_step_once_from_two_processes(model: Path, tmp_path: Path) -> None:
    plan = ready_folder(tmp_path / "one", model, report_to=("tensorboard",))
    told = run_in_two(str(plan), f"again:{plan}")
    assert not any(line["error"] for line in told), told
    events = shown(plan.parent)
    for key in ("loss", "learning_rate", "grad_norm", "tokens", "supervised", "epoch"):
        steps = [event.step for event in events.Scalars(f"train/{key}")]
        assert steps == list(range(1, STEPS + 1)), key
    found = [(event.step, event.value) for event in events.Scalars("train/loss")]
    assert [step for step, _ in found] == [step for step, _ in losses(plan.parent)]
    assert [loss for _, loss in found] == pytest.approx([loss for _, loss in losses(plan.parent)])
    kept = sorted(path.name for path in plan.parent.iterdir())
    assert not any("tensorboard" in name or "events" in name for name in kept)
    first, again = sorted((logs_folder(plan.parent) / "tensorboard").iterdir())
    assert first.name.startswith("events.") and again.name.startswith("events.")


def test_a_tracker_learns_numbers_and_digests_alone(model: Path, tmp_path: Path) -> None:
    job = ready_job(tmp_path / "one", model)
    told = told_of(replace(job, plan=replace(job.plan, system_prompt="You are the kettle.")))
    assert told["data_sha256"] == "b" * 64 and told["lora_r"] == 4
    text = json.dumps(told)
    assert "kettle" not in text and str(tmp_path) not in text
    hub = replace(job.plan, model="some/model", revision="c" * 40)
    assert told_of(replace(job, plan=hub))["model"] == "some/model"


def test_a_tracker_that_is_not_there_is_told_before_training(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = ready_folder(tmp_path / "one", model, report_to=("wandb",))
    search: list[Any] = [path for path in sys.path if not Path(path, "wandb").is_dir()]
    monkeypatch.setattr(sys, "path", search)
    with pytest.raises(UsageError, match="--report-to wandb needs its package: pip install wandb"):
        run(plan)
    assert not list(plan.parent.glob("metrics.jsonl"))
    with pytest.raises(UsageError, match="found 'mlflow', expected one of tensorboard, wandb, tr"):
        require_trackers(("mlflow",))

"""What is told of a run while it is made: a line of metrics a step, progress, trackers."""

from __future__ import annotations

import json
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback

from teapot.errors import DataError
from teapot.files import write_atomically
from teapot.interfaces import Progress, silent
from teapot.model.fitjob import FitJob
from teapot.model.trainplan import epoch_at
from teapot_trainers.processes import is_first_process
from teapot_trainers.trackers import Tracker

METRICS, VALIDATION_LOSS = "metrics.jsonl", "validation_loss"


@dataclass(slots=True)
class Count:
    """Tokens that went through the model, and those of them that were trained."""

    tokens: int = 0
    supervised: int = 0


class Watch(TrainerCallback):  # type: ignore[misc]  # its types are not read
    """Writes a line of metrics a step, reports progress, and stops where it is asked to."""

    def __init__(self, job: FitJob, progress: Progress, trackers: tuple[Tracker, ...] = ()) -> None:
        self._job, self._progress, self._trackers = job, progress, trackers
        self._lines: list[dict[str, Any]] = []
        self._began, self._tokens_before = time.monotonic(), 0
        self.count = Count()
        self.validation_loss: float | None = None
        self.is_asked_to_stop = self.is_stopped = False

    @property
    def progress(self) -> Progress:
        """Return what the first process reports to, the others to nobody."""
        return self._progress if is_first_process() else silent

    @property
    def losses(self) -> list[tuple[int, float]]:
        """Return the loss of each step so far."""
        return [(line["step"], line["loss"]) for line in self._lines]

    @property
    def validation_losses(self) -> list[tuple[int, float]]:
        """Return the validation loss of each step so far that has one."""
        key = VALIDATION_LOSS
        return [(line["step"], line[key]) for line in self._lines if key in line]

    def resume(self, checkpoint: Path | None) -> None:
        """Take the metrics of the steps before a checkpoint, and forget those after it."""
        path = self._job.folder / METRICS
        if checkpoint is None or not path.exists():
            return
        last = int(checkpoint.name.rpartition("-")[2])
        *whole, _ = path.read_text(encoding="utf-8").split("\n")  # a kill may have cut the last
        lines = [json.loads(line) for line in whole]
        self._lines = [line for line in lines if line["step"] <= last]
        if is_first_process():
            self._write()
        if self._lines:
            self.count = Count(self._lines[-1]["tokens"], self._lines[-1]["supervised"])

    def add(self, tokens: int, supervised: int) -> None:
        """Count the tokens of a step."""
        self.count = Count(self.count.tokens + tokens, self.count.supervised + supervised)

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Measure speed from here, by what this process trains."""
        self._began, self._tokens_before = time.monotonic(), self.count.tokens

    def on_log(
        self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any
    ) -> None:
        """Keep what a step reports."""
        if not state.is_world_process_zero or not logs or "loss" not in logs:
            return
        if not math.isfinite(logs.get("grad_norm") or 0.0):
            told = f"the gradient of step {state.global_step} is {logs['grad_norm']}"
            raise DataError(f"{told}: training diverged; lower training.learning_rate")
        line = {
            "step": state.global_step, "epoch": self._epoch(state), "loss": logs["loss"],
            "learning_rate": logs["learning_rate"], "grad_norm": logs.get("grad_norm"),
            "tokens": self.count.tokens, "supervised": self.count.supervised,
        }  # fmt: skip
        if self.validation_loss is not None:
            line[VALIDATION_LOSS], self.validation_loss = self.validation_loss, None
        self._lines.append(line)
        if len(self._lines) == 1:
            self._write()
        else:
            with (self._job.folder / METRICS).open("a", encoding="utf-8") as file:
                file.write(_text(line))
        for tracker in self._trackers:
            tracker.log(line)
        told = f"loss {logs['loss']:.3f}, rate {logs['learning_rate']:.1e}, {self._speed()}"
        self._progress(f"train ({told})", state.global_step, state.max_steps)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> Any:
        """Stop after this step, with a checkpoint, where all processes have agreed to."""
        if self.is_stopped:
            control.should_save = control.should_training_stop = True
        return control

    def _epoch(self, state: Any) -> float:
        """Return how many epochs have been made; those with orders are one to Trainer."""
        plan = self._job.plan
        made = state.epoch or 0
        if plan.orders:
            batch = plan.hyperparameters.effective_batch
            made = epoch_at(state.global_step, plan.orders, batch)
        return round(made, 4)

    def _write(self) -> None:
        """Write the lines so far in place of what lies there."""
        text = "".join(map(_text, self._lines))
        write_atomically(self._job.folder / METRICS, text.encode())

    def _speed(self) -> str:
        seconds = max(time.monotonic() - self._began, 1e-9)
        told = f"{(self.count.tokens - self._tokens_before) / seconds:,.0f} tokens/s"
        if torch.cuda.is_available():
            told += f", {torch.cuda.max_memory_allocated() / 1e9:.1f} GB"
        return told


def _text(line: dict[str, Any]) -> str:
    return json.dumps(line, allow_nan=False) + "\n"

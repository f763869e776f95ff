"""The loss on rows that were held out, after each epoch and at the end of a run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from transformers import TrainerCallback

from teapot.encodedfile import read_encoded
from teapot.errors import DataError
from teapot.model.encoded import Encoded
from teapot.model.fitjob import FitJob
from teapot.model.trainplan import epoch_ends
from teapot.model.validationloss import EpochLoss, ValidationLosses
from teapot_trainers.batching import trained_tokens
from teapot_trainers.loop import StepTrainer
from teapot_trainers.watching import Watch


def read_validation(job: FitJob) -> list[Encoded]:
    """Return the rows that a job has held out, none where it is to measure no loss on them.

    Raises:
        DigestError: they are not those that were made.
        DataError: they have no supervised token.
    """
    if job.validation_sha256 is None:
        return []
    found = [row.encoded for row in read_encoded(job.validation, job.validation_sha256)]
    if not trained_tokens(found):
        raise DataError(f"{job.validation}: has no supervised token to measure a loss on")
    return found


class Validation(TrainerCallback):  # type: ignore[misc]  # its types are not read
    """Measures the loss on held-out rows where an epoch ends, and gives it to the watch.

    It is measured before the step is told of and saved, so that a checkpoint has it behind it.
    """

    def __init__(
        self, job: FitJob, rows: Sequence[Encoded], *, trainer: StepTrainer, watch: Watch
    ) -> None:
        self._ends, self._rows = epoch_ends(job.plan), rows
        self._trainer, self._watch = trainer, watch

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Measure, where this step ends an epoch."""
        if state.global_step not in self._ends:
            return
        loss = self._trainer.mean_loss(self._rows, self._watch.progress)
        if not math.isfinite(loss):
            told = f"the validation loss after step {state.global_step} is {loss}"
            raise DataError(f"{told}: training diverged; lower training.learning_rate")
        self._watch.validation_loss = loss


def validation_losses(
    job: FitJob, rows: Sequence[Encoded], found: Sequence[tuple[int, float]]
) -> ValidationLosses | None:
    """Return the losses that were found, a step and a loss each; None where none was."""
    if job.validation_sha256 is None:
        return None
    ends = epoch_ends(job.plan)
    losses = [
        EpochLoss(epoch=ends[step], step=step, loss=f"{loss:.4f}")
        for step, loss in found
        if step in ends
    ]
    if not losses:
        return None
    return ValidationLosses(
        encoded_sha256=job.validation_sha256, rows=len(rows), supervised=trained_tokens(rows),
        losses=tuple(losses),
    )  # fmt: skip

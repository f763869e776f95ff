"""What a trainer is asked to do: a plan, the rows it is for, and where the result goes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from teapot.model.trainplan import TrainPlan

Device = Literal["auto", "cpu", "cuda"]


@dataclass(frozen=True, kw_only=True, slots=True)
class FitJob:
    """A fine-tune to run.

    `rows` is an encoded file with the digest `rows_sha256`, made in this run from data that was
    verified in it. `folder` is the model folder, which holds the plan already; `tokenizer` the
    folder with the model's own small files. With `resume` it goes on after the last checkpoint in
    `work`, and begins where there is none. A checkpoint is saved every `save_steps` steps.
    """

    plan: TrainPlan
    rows: Path
    rows_sha256: str
    folder: Path
    work: Path
    tokenizer: Path
    device: Device = "auto"
    resume: bool = False
    save_steps: int = 100
    report_to: tuple[str, ...] = ()

"""What an exporter is asked to do with a trained model, and what it reports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from teapot.model.fitjob import Device
from teapot.model.trainplan import TrainPlan


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportJob:
    """A trained model to write in another form.

    `folder` is a model folder that was verified, `adapter` has the SHA-256 of its weight files by
    name. `base` is the folder with the weights of the model that was trained. The result goes into
    `output`, an empty folder; `origin` is what the header of each weight file must say.
    """

    plan: TrainPlan
    folder: Path
    adapter: Mapping[str, str]
    base: Path
    output: Path
    origin: Mapping[str, str]
    device: Device = "auto"


@dataclass(frozen=True, kw_only=True, slots=True)
class LogitCheck:
    """How near the written weights come to the trained ones, on tokens that were drawn.

    `error` is the root mean square of the difference of both logits, `effect` that of what the
    adapter changes of the base's, `size` that of the logits themselves; as decimal text.
    """

    tokens: int
    error: str
    effect: str
    size: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportOutcome:
    """What was written: `weights` are the names of the weight files."""

    format: str
    dtype: str
    weights: tuple[str, ...]
    check: LogitCheck
    device: str
    versions: Mapping[str, str]

"""TensorBoard, Weights & Biases and Trackio: the numbers of each step, for whoever watches a run.

A tracker is given the line that goes into metrics.jsonl, and once the plan's numbers and digests:
never a row, a prompt, a path or anything of the machine. Its files lie in `MODEL_DIR.logs`, beside
the model folder, whose every file is signed.
"""

from __future__ import annotations

import json
import os
import secrets
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, redirect_stdout
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from teapot.digest import sha256_file
from teapot.errors import UsageError
from teapot.model.fitjob import FitJob

Told = Mapping[str, Any]
_PROJECT = "teapot"


class Tracker(Protocol):
    """Shows a run to whoever watches it."""

    def log(self, line: Told) -> None:
        """Show what a step made; `step` is its number."""

    def close(self) -> None:
        """End; what was shown is whole then."""


def require_trackers(names: tuple[str, ...]) -> None:
    """Refuse a tracker that is unknown or not installed, before anything is computed.

    Raises:
        UsageError: one is.
    """
    for name in names:
        if name not in _TRACKERS:
            told = f"found {name!r}, expected one of {', '.join(_TRACKERS)}"
            raise UsageError(f"--report-to: {told}")
        if find_spec(name) is None:
            raise UsageError(f"--report-to {name} needs its package: pip install {name}")


@contextmanager
def opened_trackers(job: FitJob, after_step: int) -> Iterator[tuple[Tracker, ...]]:
    """Give the trackers of a job; a run that goes on after a step goes on in them too.

    Raises:
        UsageError: one does not take the run, for want of a login for example.
    """
    with ExitStack() as stack:
        made = []
        for name in job.report_to:
            tracker = _TRACKERS[name](job, after_step)
            stack.callback(tracker.close)
            made.append(tracker)
        yield tuple(made)


def logs_folder(folder: Path) -> Path:
    """Return where trackers keep their files: beside a model folder."""
    whole = folder.resolve()
    return whole.with_name(f"{whole.name}.logs")


def told_of(job: FitJob) -> dict[str, Any]:
    """Return what a tracker is told of a plan: numbers and digests; a folder's name never."""
    plan = job.plan
    return {
        **asdict(plan.hyperparameters), "base": plan.base, "rows": plan.rows,
        "optimizer_steps": plan.optimizer_steps, "warmup_steps": plan.warmup_steps,
        **({"model": plan.model, "revision": plan.revision} if plan.revision else {}),
        "model_config_sha256": plan.model_config_sha256, "data_sha256": plan.data_sha256,
        "manifest_sha256": plan.manifest_sha256, "tokenizer_sha256": plan.tokenizer_sha256,
        "plan_sha256": sha256_file(job.folder / "plan.json"),
    }  # fmt: skip


def _numbers(line: Told) -> dict[str, float]:
    return {f"train/{key}": value for key, value in line.items()
            if key != "step" and value is not None}  # fmt: skip


def _name(job: FitJob) -> str:
    return job.folder.resolve().name


class _TensorBoard:
    """Writes event files; steps that are made again after a checkpoint take the others' place."""

    def __init__(self, job: FitJob, after_step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        purged = after_step + 1 if after_step else None
        self._writer = SummaryWriter(
            str(logs_folder(job.folder) / "tensorboard"), purge_step=purged
        )
        if not after_step:
            told = json.dumps(told_of(job), indent=2)
            self._writer.add_text("plan", "\n".join(f"    {row}" for row in told.splitlines()))

    def log(self, line: Told) -> None:
        """Write a scalar for each number."""
        for key, value in _numbers(line).items():
            self._writer.add_scalar(key, value, line["step"])
        self._writer.flush()

    def close(self) -> None:
        """End the file."""
        self._writer.close()


class _WeightsAndBiases:
    """Logs to the user's account, or to files where WANDB_MODE is offline."""

    def __init__(self, job: FitJob, after_step: int) -> None:
        with redirect_stdout(sys.stderr):  # it keeps the one that it finds
            import wandb

        place = logs_folder(job.folder) / "wandb"
        place.mkdir(parents=True, exist_ok=True)
        kept = place / "teapot-run-id"
        if not after_step or not kept.exists():
            kept.write_text(secrets.token_hex(4), encoding="utf-8")
        settings = wandb.Settings(
            console="off", silent=True, host="-", disable_git=True, disable_code=True,
            save_code=False, x_disable_meta=True, x_disable_machine_info=True,
            x_disable_stats=True, x_save_requirements=False,
        )  # fmt: skip
        try:
            with redirect_stdout(sys.stderr):
                self._run = wandb.init(
                    project=os.environ.get("WANDB_PROJECT", _PROJECT), name=_name(job),
                    id=kept.read_text(encoding="utf-8"), resume="allow", dir=str(place),
                    config=told_of(job), settings=settings,
                )  # fmt: skip
        except wandb.Error as error:
            raise UsageError(f"--report-to wandb: {' '.join(str(error).split())}") from error

    def log(self, line: Told) -> None:
        """Log the numbers of a step."""
        self._run.log(_numbers(line), step=line["step"])

    def close(self) -> None:
        """Send what is left."""
        self._run.finish()


class _Trackio:
    """Logs to a database of its own, or to the Space that TRACKIO_SPACE_ID names."""

    def __init__(self, job: FitJob, after_step: int) -> None:
        os.environ.setdefault("TRACKIO_DIR", str(logs_folder(job.folder) / "trackio"))
        with redirect_stdout(sys.stderr):
            import trackio

            self._run = trackio.init(
                os.environ.get("TRACKIO_PROJECT", _PROJECT), name=_name(job), config=told_of(job),
                resume="allow" if after_step else "never", embed=False, auto_log_gpu=False,
                auto_log_cpu=False,
            )  # fmt: skip

    def log(self, line: Told) -> None:
        """Log the numbers of a step."""
        self._run.log(_numbers(line), step=line["step"])

    def close(self) -> None:
        """Write what is left."""
        import trackio

        with redirect_stdout(sys.stderr):
            trackio.finish()


_TRACKERS: dict[str, Callable[[FitJob, int], Tracker]] = {
    "tensorboard": _TensorBoard, "wandb": _WeightsAndBiases, "trackio": _Trackio,
}  # fmt: skip

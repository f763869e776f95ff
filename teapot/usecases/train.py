"""The use case `train`: from a verified composition to a model folder that leads back to it.

Nothing is trained before every check of preflight holds. The rows are encoded anew from verified
data, into a working folder inside the model folder; what somebody else encoded is never taken.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path

from teapot.errors import OutputError, Problem, TeapotError, UsageError
from teapot.interfaces import Trainer
from teapot.model.fitjob import Device, FitJob
from teapot.model.trainoutcome import TrainOutcome
from teapot.model.trainplan import TrainPlan
from teapot.usecases.encode import EncodeOptions, write_rows
from teapot.usecases.preflight import Preflight, check_prepared
from teapot.usecases.trainplan import PLAN, Prepared, TrainOptions, prepare_training, write_plan

WORK = ".work"


@dataclass(frozen=True, kw_only=True, slots=True)
class RunOptions:
    """How a fine-tune is run; `output` is the model folder, by default `<composition>-<base>`."""

    output: Path | None = None
    device: Device = "auto"
    resume: bool = False
    save_steps: int = 100
    report_to: tuple[str, ...] = ()
    train: TrainOptions = field(default_factory=TrainOptions)


@dataclass(frozen=True, kw_only=True, slots=True)
class Trained:
    """A fine-tune that came to its end: what it was made of, its plan and its model folder."""

    prepared: Prepared
    plan: TrainPlan
    folder: Path
    outcome: TrainOutcome


def train(
    target: Path | None, trainer: Trainer, options: RunOptions
) -> tuple[Preflight, Trained | None]:
    """Check, then train; where a check fails, nothing is trained and nothing written.

    Raises:
        UsageError: the target names no composition, there is no GPU, or `resume` has nothing.
        DataError, UnsignedError, UntrustedError: the composition does not verify.
        OutputError: the model folder holds something else, or cannot be written.
        KeyboardInterrupt: the run was interrupted; with `resume` it goes on.
    """
    prepared = prepare_training(target, trainer, options.train)
    found = check_prepared(prepared, trainer, options.train)
    if found.exit_code or found.plan is None:
        return found, None
    stem = prepared.composition.paths.stem
    folder = options.output or Path(f"{stem}-{trainer.base.name}")
    _refuse_other_contents(folder, resume=options.resume)
    write_plan(found.plan, folder)
    try:
        outcome = _fitted(prepared, trainer, found.plan, folder, options)
    except TeapotError:
        if not any((folder / WORK).glob("checkpoint-*")):  # there is nothing to go on with
            shutil.rmtree(folder / WORK, ignore_errors=True)
        raise
    shutil.rmtree(folder / WORK)
    return found, Trained(prepared=prepared, plan=found.plan, folder=folder, outcome=outcome)


def _fitted(
    prepared: Prepared, trainer: Trainer, plan: TrainPlan, folder: Path, options: RunOptions
) -> TrainOutcome:
    work = folder / WORK
    work.mkdir(exist_ok=True)
    encoder = trainer.encoder(prepared.model.folder, prepared.system_prompt)
    asked = EncodeOptions(
        tokenizer=prepared.model.folder, max_length=plan.hyperparameters.max_length,
        on_bad_row="drop" if options.train.drops_bad_rows else "fail",
        progress=options.train.progress,
    )  # fmt: skip
    rows = work / "rows.arrow"
    report = write_rows(prepared.composition, encoder, asked, rows)
    job = FitJob(
        plan=plan, rows=rows, rows_sha256=report.rows_sha256, folder=folder, work=work,
        tokenizer=prepared.model.folder, device=options.device, resume=options.resume,
        save_steps=options.save_steps, report_to=options.report_to,
    )  # fmt: skip
    return trainer.fit(job, options.train.progress)


def _refuse_other_contents(folder: Path, *, resume: bool) -> None:
    """Refuse a folder that holds anything, but for a run that is to go on.

    Raises:
        OutputError, UsageError: it does, or there is nothing to go on with.
    """
    held = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    if resume:
        if PLAN not in held or not (folder / WORK).is_dir():
            told = "holds no run that was interrupted; leave out --resume"
            raise UsageError(Problem(str(folder), told))
    elif (folder / WORK).is_dir():
        told = "holds a run that was interrupted; say --resume, or remove it"
        raise OutputError(Problem(str(folder), told))
    elif set(held) - {PLAN, "system-prompt.txt"}:
        told = f"is not empty ({held[0]}); choose another folder with --output"
        raise OutputError(Problem(str(folder), told))

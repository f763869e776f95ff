"""The use case `train`: from a verified composition to a model folder that leads back to it.

Nothing is trained before every check of preflight holds. The rows are encoded anew from verified
data, into a working folder inside the model folder; what somebody else encoded is never taken.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from teapot.canonical import dumps_readable, loads
from teapot.digest import sha256_file
from teapot.errors import DataError, OutputError, Problem, TeapotError, UsageError
from teapot.files import write_atomically
from teapot.interfaces import Trainer
from teapot.model.fitjob import (
    JOB,
    OUTCOME,
    ROWS,
    TOKENIZER,
    TOKENIZER_FILES,
    VALIDATION,
    WORK,
    Device,
    FitJob,
)
from teapot.model.trainoutcome import TrainOutcome
from teapot.model.trainplan import TrainPlan
from teapot.usecases.encode import EncodeOptions, write_rows
from teapot.usecases.modelfolder import METRICS, FinishedModel, finish_model_folder
from teapot.usecases.preflight import Preflight, check_prepared
from teapot.usecases.signing import KeySigner
from teapot.usecases.trainorders import write_orders
from teapot.usecases.trainplan import (
    PLAN,
    Prepared,
    TrainOptions,
    evaluates,
    prepare_training,
    write_plan,
)
from teapot.workfolder import only_run

Stage = Literal["all", "prepare", "finish"]
BEGINS_ANEW = "stopped before the first checkpoint; the same command begins anew"
_RESUMES = "stopped; the same command with --resume goes on after the last checkpoint"
_FINISHES = "stopped after the last step; the same command with --finish ends the run"


class Interrupted(KeyboardInterrupt):
    """A run was interrupted in its model folder; the text says how to go on."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunOptions:
    """How a fine-tune is run; `output` is the model folder, by default `<composition>-<base>`.

    `stage` is all of it here, or what comes before and after a run under a launcher. Without a
    `signer` nobody vouches for the model, and its card says so.
    """

    stage: Stage = "all"
    output: Path | None = None
    device: Device = "auto"
    resume: bool = False
    save_steps: int = 100
    report_to: tuple[str, ...] = ()
    signer: KeySigner | None = None
    train: TrainOptions = field(default_factory=TrainOptions)


@dataclass(frozen=True, kw_only=True, slots=True)
class Trained:
    """A fine-tune that came to its end, and its model folder."""

    outcome: TrainOutcome
    finished: FinishedModel


def train(
    target: Path | None, trainer: Trainer, options: RunOptions
) -> tuple[Preflight, Trained | None]:
    """Check, then do what the stage says; where a check fails, nothing is done and nothing written.

    Raises:
        UsageError: the target names no composition, there is no GPU, or no run to go on with.
        DataError, UnsignedError, UntrustedError: the composition does not verify.
        OutputError: the model folder holds something else or another run, or cannot be written.
        KeyboardInterrupt: it was interrupted before it had a model folder.
        Interrupted: it was interrupted later.
    """
    prepared = prepare_training(target, trainer, options.train)
    found = check_prepared(prepared, trainer, options.train)
    if found.exit_code or found.plan is None:
        return found, None
    folder = options.output or Path(f"{prepared.composition.paths.stem}-{trainer.base.name}")
    _refuse_other_contents(folder, options)
    run = _Run(prepared=prepared, trainer=trainer, plan=found.plan, folder=folder, options=options)
    if not (folder / WORK).is_dir():  # a folder with another plan stays as it is
        write_plan(found.plan, folder)
    with only_run(folder / WORK), _left_to_go_on(folder, options):
        write_plan(found.plan, folder)
        if options.stage == "prepare":
            run.prepare()
            return found, None
        outcome = run.outcome() if options.stage == "finish" else run.fit()
        return found, Trained(outcome=outcome, finished=run.finish(outcome))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Run:
    """One fine-tune in its model folder."""

    prepared: Prepared
    trainer: Trainer
    plan: TrainPlan
    folder: Path
    options: RunOptions

    def fit(self) -> TrainOutcome:
        """Encode and train."""
        return self.trainer.fit(self._ready_job(), self.options.train.progress)

    def prepare(self) -> None:
        """Encode, and write what a launcher's processes read, on whichever machine they are."""
        kept = self.folder / WORK / TOKENIZER
        kept.mkdir(exist_ok=True)
        for name in TOKENIZER_FILES:
            if (self.prepared.model.folder / name).exists():
                shutil.copyfile(self.prepared.model.folder / name, kept / name)
        job = self._ready_job().to_dict(sha256_file(self.folder / PLAN))
        write_atomically(self.folder / WORK / JOB, dumps_readable(job))

    def outcome(self) -> TrainOutcome:
        """Return what a launcher's processes reported, of the very rows that the data gives.

        Raises:
            UsageError: they have not ended.
            DataError: other rows were trained.
        """
        path = self.folder / OUTCOME
        if not path.exists():
            told = "was not written; the run has not come to its end"
            raise UsageError(Problem(str(path), told))
        try:
            outcome = TrainOutcome.from_dict(loads(path.read_bytes()))
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(Problem(str(path), f"is no outcome of a run: {error}")) from error
        work, held = self.folder / WORK, outcome.validation
        if outcome.encoded_sha256 != self._encode(work / ROWS):
            told = "tells of other rows than the verified data gives"
            raise DataError(Problem(str(path), told))
        if held is not None and held.encoded_sha256 != self._validation(work / VALIDATION):
            told = "tells of other held-out rows than the verified validation file gives"
            raise DataError(Problem(str(path), told))
        return outcome

    def finish(self, outcome: TrainOutcome) -> FinishedModel:
        """Write statement, card and signatures.

        Every file in the model folder is signed, so what is left of the run goes first; what the
        run reported stays in it, so that `--finish` can be said again where this fails.
        """
        write_atomically(self.folder / OUTCOME, dumps_readable(outcome.to_dict()))
        shutil.rmtree(self.folder / WORK, ignore_errors=True)
        return finish_model_folder(
            self.folder, self.prepared.composition, self.plan, outcome, self.options.signer
        )

    def _ready_job(self) -> FitJob:
        """Return the job, with all that it reads in its working folder."""
        job = self._job()
        write_orders(self.prepared.composition, job)
        return job

    def _job(self) -> FitJob:
        work = self.folder / WORK
        options = self.options
        return FitJob(
            plan=self.plan, rows=work / ROWS, rows_sha256=self._encode(work / ROWS),
            folder=self.folder, work=work, tokenizer=self.prepared.model.folder,
            weights=self._weights(), offline=options.train.offline,
            device=options.device, resume=options.resume, save_steps=options.save_steps,
            report_to=options.report_to,
            validation_sha256=self._validation(work / VALIDATION)
            if evaluates(self.prepared, options.train) else None,
        )  # fmt: skip

    def _validation(self, rows: Path) -> str | None:
        """Write the encoded rows of the verified validation file, and return their digest."""
        if self.prepared.composition.manifest.validation is None:
            return None
        return self._encode(rows, held_out=True)

    def _weights(self) -> str:
        """Return the model's folder, whole, or its name on the Hub."""
        model = self.prepared.model
        return model.name if model.revision is not None else str(Path(model.name).resolve())

    def _encode(self, rows: Path, *, held_out: bool = False) -> str:
        """Write the encoded rows of the verified data, and return their digest."""
        prepared, options = self.prepared, self.options.train
        encoder = self.trainer.encoder(prepared.model.folder, prepared.system_prompt)
        asked = EncodeOptions(
            tokenizer=prepared.model.folder, max_length=self.plan.hyperparameters.max_length,
            on_bad_row="drop" if options.drops_bad_rows else "fail", progress=options.progress,
        )  # fmt: skip
        made = write_rows(prepared.composition, encoder, asked, rows, held_out=held_out)
        return made.rows_sha256


@contextmanager
def _left_to_go_on(folder: Path, options: RunOptions) -> Iterator[None]:
    """Leave nothing of a run that ends before its first checkpoint, so that it can begin anew.

    Raises:
        Interrupted: it was interrupted.
    """
    try:
        yield
    except (TeapotError, KeyboardInterrupt) as error:
        has_ended = (folder / OUTCOME).exists()
        has_begun = any((folder / WORK).glob("checkpoint-*"))
        if options.stage != "finish" and not (options.resume or has_ended or has_begun):
            shutil.rmtree(folder / WORK, ignore_errors=True)
            (folder / METRICS).unlink(missing_ok=True)
        if isinstance(error, KeyboardInterrupt):
            told = _FINISHES if has_ended else _RESUMES if has_begun else BEGINS_ANEW
            raise Interrupted(told) from error
        raise


def _refuse_other_contents(folder: Path, options: RunOptions) -> None:
    """Refuse a folder that holds anything, but for a run that is to go on.

    Raises:
        OutputError, UsageError: it does, or there is nothing to go on with.
    """
    held = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    needed = {WORK, OUTCOME} if options.stage == "finish" else {WORK}
    if options.resume or options.stage == "finish":  # a run that has ended is never resumed
        if PLAN not in held or not needed & set(held):
            told = "holds no run that was prepared or interrupted"
            raise UsageError(Problem(str(folder), told))
    elif (folder / WORK).is_dir():
        told = "holds a run that has not ended; say --resume or --finish, or remove it"
        raise OutputError(Problem(str(folder), told))
    elif set(held) - {PLAN, "system-prompt.txt"}:
        told = f"is not empty ({held[0]}); choose another folder with --output"
        raise OutputError(Problem(str(folder), told))

"""The one loop of all bases: from encoded rows and a plan to weights in the model folder."""

from __future__ import annotations

import json
import math
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import DistributedType
from transformers import PrinterCallback, TrainerCallback, TrainingArguments

from teapot.encodedfile import read_encoded
from teapot.errors import ConfigError, DataError, Problem
from teapot.files import write_atomically
from teapot.interfaces import Progress
from teapot.model.encoded import Encoded
from teapot.model.fitjob import FitJob
from teapot.model.trainoutcome import TrainOutcome
from teapot.modelweights import weight_digests
from teapot_trainers.checkpoints import RANDOM
from teapot_trainers.exporting import save_adapter, save_full, save_tokenizer
from teapot_trainers.isolation import require_isolation
from teapot_trainers.loading import load_model, require_device, weights_of
from teapot_trainers.loop import StepTrainer
from teapot_trainers.losscurve import png_of, svg_of
from teapot_trainers.quiet import quiet_libraries

METRICS = "metrics.jsonl"
_CURVES = {"loss.svg": svg_of, "loss.png": png_of}
_PACKAGES = ("torch", "transformers", "peft", "accelerate", "bitsandbytes", "safetensors")


class Stopped(KeyboardInterrupt):
    """The run was interrupted; what it did is saved in a checkpoint."""


def fit(job: FitJob, progress: Progress) -> TrainOutcome:
    """Train, and write weights, tokenizer, metrics and loss curve into the model folder.

    Raises:
        DigestError: the encoded rows are not those that were made.
        UsageError: there is no GPU, and the CPU was not asked for.
        ConfigError, PluginError: the model cannot be loaded, adapted or trained exactly.
        Stopped: it was interrupted, after a checkpoint was saved.
    """
    with quiet_libraries():
        return _fit(job, progress)


def _fit(job: FitJob, progress: Progress) -> TrainOutcome:
    began = time.monotonic()
    require_device(job.device)
    arguments = _arguments(job)
    device = arguments.device  # each process of a launcher has its own
    arguments._n_gpu = 1  # other GPUs are for other processes, never for more rows a step
    rows = [row.encoded for row in read_encoded(job.rows, job.rows_sha256)]
    if len(rows) != job.plan.rows:
        told = f"has {len(rows):,} rows, the plan is for {job.plan.rows:,}"
        raise DataError(Problem(str(job.rows), told))
    checkpoint = last_checkpoint(job.work, _processes())
    if checkpoint is not None and not job.resume:
        told = f"holds {checkpoint.name} of a run that has not ended; go on with --resume"
        raise ConfigError(Problem(str(job.work), told))
    model = load_model(job, device)
    base_weights = weight_digests(weights_of(job)) if is_first_process() else {}
    require_isolation(model, rows, device)
    watch = _Watch(job, progress)
    trainer = _trainer(job, model, rows, watch, arguments)
    watch.resume(checkpoint)
    with _saving_on_interrupt(watch):
        trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
    if watch.is_stopped:
        raise Stopped
    outcome = _outcome(job, trainer, watch, device)
    seconds = int(time.monotonic() - began)
    return replace(outcome, base_weights=base_weights, seconds=seconds)


def last_checkpoint(work: Path, processes: int = 1) -> Path | None:
    """Return the newest checkpoint that was written to its end; its state is written last.

    Raises:
        ConfigError: it was saved by another number of processes, which could not go on exactly.
    """
    found = {
        int(path.parent.name.rpartition("-")[2]): path.parent
        for path in work.glob("checkpoint-*/trainer_state.json")
        if _is_whole(path)
    }
    if not found:
        return None
    newest = found[max(found)]
    saved = len(list(newest.glob(f"process-*/{RANDOM}")))
    if saved != processes:
        told = f"was saved by {saved} processes, found {processes}; go on with as many"
        raise ConfigError(Problem(str(newest), told))
    return newest


def _is_whole(state: Path) -> bool:
    try:
        json.loads(state.read_text(encoding="utf-8"))
    except ValueError:
        return False
    return True


@dataclass(slots=True)
class _Count:
    tokens: int = 0
    supervised: int = 0


class _Watch(TrainerCallback):  # type: ignore[misc]  # transformers is not followed for types
    """Writes a line of metrics a step, reports progress, and stops where it is asked to."""

    def __init__(self, job: FitJob, progress: Progress) -> None:
        self._job, self._progress = job, progress
        self._lines: list[dict[str, Any]] = []
        self._began = time.monotonic()
        self.count = _Count()
        self.is_stopped = False

    @property
    def losses(self) -> list[tuple[int, float]]:
        """Return the loss of each step so far."""
        return [(line["step"], line["loss"]) for line in self._lines]

    def resume(self, checkpoint: Path | None) -> None:
        """Take the metrics of the steps before a checkpoint, and forget those after it."""
        path = self._job.folder / METRICS
        if checkpoint is None or not path.exists():
            return
        last = int(checkpoint.name.rpartition("-")[2])
        *whole, _ = path.read_text(encoding="utf-8").split("\n")  # a kill may have cut the last
        lines = [json.loads(line) for line in whole]
        self._lines = [line for line in lines if line["step"] <= last]
        self._write()
        if self._lines:
            self.count = _Count(self._lines[-1]["tokens"], self._lines[-1]["supervised"])

    def add(self, tokens: int, supervised: int) -> None:
        """Count the tokens of a step."""
        self.count = _Count(self.count.tokens + tokens, self.count.supervised + supervised)

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
            "step": state.global_step, "epoch": round(state.epoch or 0, 4), "loss": logs["loss"],
            "learning_rate": logs["learning_rate"], "grad_norm": logs.get("grad_norm"),
            "tokens": self.count.tokens, "supervised": self.count.supervised,
        }  # fmt: skip
        self._lines.append(line)
        if len(self._lines) == 1:
            self._write()
        else:
            with (self._job.folder / METRICS).open("a", encoding="utf-8") as file:
                file.write(_text(line))
        told = f"loss {logs['loss']:.3f}, rate {logs['learning_rate']:.1e}, {self._speed()}"
        self._progress(f"train ({told})", state.global_step, state.max_steps)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> Any:
        """Stop after this step, with a checkpoint, where the run was interrupted."""
        if self.is_stopped:
            control.should_save = control.should_training_stop = True
        return control

    def _write(self) -> None:
        """Write the lines so far in place of what lies there."""
        text = "".join(map(_text, self._lines))
        write_atomically(self._job.folder / METRICS, text.encode())

    def _speed(self) -> str:
        seconds = max(time.monotonic() - self._began, 1e-9)
        told = f"{self.count.tokens / seconds:,.0f} tokens/s"
        if torch.cuda.is_available():
            told += f", {torch.cuda.max_memory_allocated() / 1e9:.1f} GB"
        return told


def _text(line: dict[str, Any]) -> str:
    return json.dumps(line, allow_nan=False) + "\n"


def _trainer(
    job: FitJob, model: Any, rows: list[Encoded], watch: _Watch, arguments: TrainingArguments
) -> StepTrainer:
    numbers = job.plan.hyperparameters
    trainer = StepTrainer(
        model, arguments, train_dataset=rows, callbacks=[watch], watch=watch,
        max_tokens=numbers.micro_batch_tokens or numbers.max_length,
        examples=numbers.effective_batch,
    )  # fmt: skip
    found = trainer.accelerator.distributed_type
    if found not in (DistributedType.NO, DistributedType.MULTI_CPU, DistributedType.MULTI_GPU):
        told = f"{found.value} is not supported; start plain processes (no FSDP, no DeepSpeed)"
        raise ConfigError(told)
    trainer.remove_callback(PrinterCallback)
    return trainer


def _arguments(job: FitJob) -> TrainingArguments:
    numbers, plan = job.plan.hyperparameters, job.plan
    processes = _processes()
    if numbers.effective_batch % processes:
        told = (
            f"{numbers.effective_batch} examples a step cannot be shared by {processes} processes"
        )
        raise ConfigError(f"{told}; start one for each of a divisor of it")
    return TrainingArguments(
        output_dir=str(job.work), logging_nan_inf_filter=False,
        per_device_train_batch_size=numbers.effective_batch // processes,
        num_train_epochs=float(numbers.epochs), max_steps=plan.optimizer_steps,
        learning_rate=float(numbers.learning_rate), lr_scheduler_type=numbers.scheduler,
        warmup_steps=plan.warmup_steps, optim="adamw_torch",
        weight_decay=float(numbers.weight_decay), max_grad_norm=float(numbers.max_grad_norm),
        seed=numbers.seed, data_seed=numbers.seed,
        bf16=numbers.compute_dtype == "bfloat16", use_cpu=job.device == "cpu",
        logging_steps=1, logging_first_step=True, save_steps=job.save_steps, save_total_limit=2,
        report_to=list(job.report_to) or "none", remove_unused_columns=False, disable_tqdm=True,
        dataloader_num_workers=0, dataloader_pin_memory=False, ddp_find_unused_parameters=False,
    )  # fmt: skip


def _processes() -> int:
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_first_process() -> bool:
    """Tell whether this process is the one that writes; launchers number them in RANK."""
    return os.environ.get("RANK", "0") == "0"


@contextmanager
def _saving_on_interrupt(watch: _Watch) -> Iterator[None]:
    """Let an interrupt end the run after its step; a second one ends it at once."""

    def stop(number: int, frame: Any) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        watch.is_stopped = True

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _outcome(
    job: FitJob, trainer: StepTrainer, watch: _Watch, device: torch.device
) -> TrainOutcome:
    if trainer.state.global_step != job.plan.optimizer_steps:
        told = f"{trainer.state.global_step:,} steps were made, the plan has"
        raise DataError(f"{told} {job.plan.optimizer_steps:,}")
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
    model = trainer.accelerator.unwrap_model(trainer.model)
    weights = _save(model, job, watch) if is_first_process() else ()
    trainer.accelerator.wait_for_everyone()
    losses = watch.losses or [(0, 0.0)]  # only the first process keeps them
    return TrainOutcome(
        steps=trainer.state.global_step, final_loss=f"{losses[-1][1]:.4f}",
        tokens=watch.count.tokens, supervised=watch.count.supervised, seconds=0, device=name,
        data_sha256=job.plan.data_sha256, encoded_sha256=job.rows_sha256, weights=weights,
        base_weights={}, versions={package: version(package) for package in _PACKAGES},
    )  # fmt: skip


def _save(model: Any, job: FitJob, watch: _Watch) -> tuple[str, ...]:
    save = save_full if job.plan.hyperparameters.method == "full" else save_adapter
    weights = save(model, job)
    save_tokenizer(job)
    for name, draw in _CURVES.items():
        write_atomically(job.folder / name, draw(watch.losses))
    return weights

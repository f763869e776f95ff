"""The one loop of all bases: from encoded rows and a plan to weights in the model folder."""

from __future__ import annotations

import os
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import DistributedType
from torch import distributed
from transformers import PrinterCallback, TrainingArguments

from teapot.digest import sha256_file
from teapot.encodedfile import read_encoded
from teapot.errors import ConfigError, DataError, Problem
from teapot.files import write_atomically
from teapot.interfaces import Progress
from teapot.model.encoded import Encoded
from teapot.model.fitjob import FitJob
from teapot.model.trainoutcome import TrainOutcome
from teapot.modelweights import weight_digests
from teapot_trainers.checkpoints import last_checkpoint
from teapot_trainers.exporting import save_adapter, save_full, save_tokenizer
from teapot_trainers.interrupting import Stopped, saving_on_interrupt
from teapot_trainers.isolation import require_isolation
from teapot_trainers.loading import load_model, require_device, weights_of
from teapot_trainers.loop import StepTrainer
from teapot_trainers.losscurve import png_of, svg_of
from teapot_trainers.ordering import DrawnSteps, OrderedSteps, Places, read_orders
from teapot_trainers.outofmemory import memory_explained
from teapot_trainers.processes import (
    digest_of,
    is_first_process,
    join_processes,
    process_count,
    together,
)
from teapot_trainers.quiet import quiet_libraries
from teapot_trainers.sharding import gather, is_sharded, is_sharding_asked, shard, sharding_is_ours
from teapot_trainers.trackers import opened_trackers, require_trackers
from teapot_trainers.validating import Validation, read_validation, validation_losses
from teapot_trainers.watching import Watch

_CURVES = {"loss.svg": svg_of, "loss.png": png_of}
_PACKAGES = ("torch", "transformers", "peft", "accelerate", "bitsandbytes", "safetensors")


@dataclass(frozen=True, slots=True)
class _Start:
    """What a run begins with."""

    rows: list[Encoded]
    held_out: list[Encoded]
    orders: tuple[Places, ...]
    checkpoint: Path | None

    @property
    def step(self) -> int:
        """Return how many steps have been made."""
        return 0 if self.checkpoint is None else int(self.checkpoint.name.rpartition("-")[2])


def fit(job: FitJob, progress: Progress) -> TrainOutcome:
    """Train, and write weights, tokenizer, metrics and loss curve into the model folder.

    Raises:
        DigestError: the encoded rows are not those that were made.
        UsageError: there is no GPU, and the CPU was not asked for; or a tracker is not installed.
        ConfigError, PluginError: the model cannot be loaded, adapted or trained exactly.
        Stopped: it was interrupted, after a checkpoint was saved.
    """
    with quiet_libraries():
        require_trackers(job.report_to)
        join_processes()
        is_spread = together(
            is_sharding_asked, lambda asked: {"wish for FSDP": digest_of(str(asked))}
        )
        with sharding_is_ours():
            return _fit(job, progress, is_spread=is_spread and distributed.is_initialized())


def _fit(job: FitJob, progress: Progress, *, is_spread: bool) -> TrainOutcome:
    began = time.monotonic()
    arguments = together(lambda: _arguments(job), lambda _: {})
    device = arguments.device  # each process of a launcher has its own
    arguments._n_gpu = 1  # other GPUs are for other processes, never for more rows a step
    start = together(lambda: _start(job), lambda made: {"checkpoint": digest_of(str(made.step))})
    longest = max(len(row.ids) for row in start.rows)
    reporting = replace(job, report_to=job.report_to if is_first_process() else ())
    with ExitStack() as stack:
        opened = opened_trackers(reporting, start.step)
        watch = Watch(job, progress, together(lambda: stack.enter_context(opened), lambda _: {}))
        stack.enter_context(memory_explained(job.plan.hyperparameters, device, longest=longest))
        model = _model(job, device, is_spread=is_spread)
        base_weights = together(
            lambda: weight_digests(weights_of(job)),
            lambda found: {"base model": digest_of(repr(sorted(found.items())))},
        )
        require_isolation(model, start.rows, device)
        trainer = _trainer(job, model, start, watch, arguments)
        watch.resume(start.checkpoint)
        stack.enter_context(saving_on_interrupt(watch))
        trainer.train(resume_from_checkpoint=start.checkpoint and str(start.checkpoint))
    if watch.is_stopped:
        raise Stopped
    outcome = _outcome(job, trainer, watch, device)
    held = validation_losses(job, start.held_out, watch.validation_losses)
    seconds = int(time.monotonic() - began)
    return replace(outcome, base_weights=base_weights, seconds=seconds, validation=held)


def _start(job: FitJob) -> _Start:
    found = list(read_encoded(job.rows, job.rows_sha256))
    rows = [row.encoded for row in found]
    if len(rows) != job.plan.rows:
        told = f"has {len(rows):,} rows, the plan is for {job.plan.rows:,}"
        raise DataError(Problem(str(job.rows), told))
    orders = read_orders(job, [row.line for row in found])
    tokenizer = job.tokenizer / "tokenizer.json"
    if is_first_process() and not (
        tokenizer.is_file() and sha256_file(tokenizer) == job.plan.tokenizer_sha256
    ):
        told = "is not the tokenizer.json that the rows were encoded with"
        raise DataError(Problem(str(job.tokenizer), told))
    checkpoint = last_checkpoint(job.work, process_count())
    if checkpoint is not None and not job.resume:
        told = f"holds {checkpoint.name} of a run that has not ended; go on with --resume"
        raise ConfigError(Problem(str(job.work), told))
    return _Start(rows, read_validation(job), orders, checkpoint)


def _model(job: FitJob, device: torch.device, *, is_spread: bool) -> Any:
    """Return the model on its device, or with FSDP a part of it.

    A whole model that is to be spread may be too large for one GPU, unless it is in four bits.
    """
    waits = is_spread and job.plan.hyperparameters.method != "qlora"
    first = torch.device("cpu") if waits else device
    model = together(lambda: load_model(job, first, is_spread=is_spread), lambda _: {})
    if is_spread:
        shard(model, device)
    return model


def _trainer(
    job: FitJob, model: Any, start: _Start, watch: Watch, arguments: TrainingArguments
) -> StepTrainer:
    numbers = job.plan.hyperparameters
    examples = numbers.effective_batch
    trainer = StepTrainer(
        model, arguments, train_dataset=start.rows, callbacks=[watch], watch=watch,
        max_tokens=numbers.micro_batch_tokens or numbers.max_length,
        steps=OrderedSteps(start.orders, examples=examples) if start.orders
        else DrawnSteps(len(start.rows), examples=examples, seed=numbers.seed),
    )  # fmt: skip
    found = trainer.accelerator.distributed_type
    if found not in (DistributedType.NO, DistributedType.MULTI_CPU, DistributedType.MULTI_GPU):
        raise ConfigError(f"{found.value} is not supported; start plain processes, or FSDP 2")
    trainer.remove_callback(PrinterCallback)
    if start.held_out:
        trainer.add_callback(Validation(job, start.held_out, trainer=trainer, watch=watch))
    return trainer


def _arguments(job: FitJob) -> TrainingArguments:
    numbers, plan = job.plan.hyperparameters, job.plan
    processes = process_count()
    require_device(job.device)
    if os.environ.get("ACCELERATE_USE_DEEPSPEED", "false").lower() == "true":
        told = "DeepSpeed is not supported: its checkpoints are pickles (see docs/adr/0018)"
        raise ConfigError(f"{told}; FSDP shares weights too: --use_fsdp --fsdp_version 2")
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
        report_to="none", remove_unused_columns=False, disable_tqdm=True,
        dataloader_num_workers=0, dataloader_pin_memory=False, ddp_find_unused_parameters=False,
    )  # fmt: skip


def _outcome(job: FitJob, trainer: StepTrainer, watch: Watch, device: torch.device) -> TrainOutcome:
    if trainer.state.global_step != job.plan.optimizer_steps:
        told = f"{trainer.state.global_step:,} steps were made, the plan has"
        raise DataError(f"{told} {job.plan.optimizer_steps:,}")
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
    model = trainer.accelerator.unwrap_model(trainer.model)
    if is_sharded(model):
        gather(model, keeps=is_first_process())
    weights = _save(model, job, watch) if is_first_process() else ()
    trainer.accelerator.wait_for_everyone()
    losses = watch.losses or [(0, 0.0)]  # only the first process keeps them
    return TrainOutcome(
        steps=trainer.state.global_step, final_loss=f"{losses[-1][1]:.4f}",
        tokens=watch.count.tokens, supervised=watch.count.supervised, seconds=0, device=name,
        data_sha256=job.plan.data_sha256, encoded_sha256=job.rows_sha256, weights=weights,
        base_weights={}, versions={package: version(package) for package in _PACKAGES},
    )  # fmt: skip


def _save(model: Any, job: FitJob, watch: Watch) -> tuple[str, ...]:
    save = save_full if job.plan.hyperparameters.method == "full" else save_adapter
    weights = save(model, job)
    save_tokenizer(job)
    for name, draw in _CURVES.items():
        write_atomically(job.folder / name, draw(watch.losses))
    return weights

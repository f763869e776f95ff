"""Model folders that are ready to be run: a tiny model, rows of random ids, a plan and a job."""

from __future__ import annotations

import json
import random
import shutil
from array import array
from pathlib import Path
from typing import Any

from teapot.canonical import dumps_readable
from teapot.digest import sha256_file
from teapot.encodedfile import EncodedWriter
from teapot.model.encoded import IGNORED, Encoded, EncodedRow
from teapot.model.fitjob import JOB, TOKENIZER, TOKENIZER_FILES, WORK, FitJob
from teapot.model.trainplan import Estimate, Hyperparameters, TrainPlan
from teapot.plugins import load_trainer

NUMBERS = Hyperparameters(
    epochs="2", effective_batch=4, max_length=64, lora_r=4, lora_alpha=8, learning_rate="0.01",
    gradient_checkpointing=False,
)  # fmt: skip
ROWS, STEPS = 10, 6  # 10 rows are 3 steps of 4, twice
NO_ESTIMATE = Estimate(
    weights_gb=0, optimizer_gb=0, activations_gb=0, logits_gb=0, runtime_gb=0,
    gradient_checkpointing=False, hours=0,
)  # fmt: skip


def plan_for(name: str, model: Path, numbers: Hyperparameters = NUMBERS) -> TrainPlan:
    return TrainPlan(
        base=name, model=str(model), revision=None,
        model_config_sha256=sha256_file(model / "config.json"),
        lora_targets=load_trainer(name)[0].base.lora_targets, hyperparameters=numbers,
        manifest_sha256="a" * 64, data_sha256="b" * 64, rows=ROWS, optimizer_steps=STEPS,
        warmup_steps=1,
        tokenizer_sha256=sha256_file(model / "tokenizer.json"),
        own_template_sha256=sha256_file(model / "chat_template.jinja"),
        training_template_sha256="",
        system_prompt=None, pad_token="<pad>", estimate=NO_ESTIMATE, versions={},
    )  # fmt: skip


def write_rows(path: Path, *, seed: int = 3, rows: int = ROWS) -> str:
    """Write rows of random ids with a pattern in them, and return their digest."""
    drawn = random.Random(seed)
    writer = EncodedWriter(path)
    for line in range(1, rows + 1):
        ids = array("i", [1, *(drawn.randrange(100, 110) for _ in range(drawn.randrange(8, 30)))])
        labels = array("i", [IGNORED] * 4) + ids[4:]
        encoded = Encoded(ids, labels)
        writer.add(EncodedRow(line=line, record_digest=bytes(32), encoded=encoded))
    return writer.close()


def ready_job(
    folder: Path, model: Path, numbers: Hyperparameters = NUMBERS, **given: Any
) -> FitJob:
    """Make a model folder with a plan and rows, and return the job of training them."""
    work = folder / WORK
    work.mkdir(parents=True)
    plan = plan_for("apertus", model, numbers)
    (folder / "plan.json").write_text(json.dumps(plan.to_dict()))
    return FitJob(
        plan=plan, rows=work / "rows.arrow", rows_sha256=write_rows(work / "rows.arrow"),
        folder=folder, work=work, tokenizer=model, device="cpu", weights=str(model), save_steps=2,
        **given,
    )  # fmt: skip


def ready_folder(
    folder: Path, model: Path, numbers: Hyperparameters = NUMBERS, **given: Any
) -> Path:
    """Make a folder as `teapot train --prepare` leaves one, and return its plan."""
    job = ready_job(folder, model, numbers, **given)
    path = folder / "plan.json"
    (job.work / TOKENIZER).mkdir()
    for name in TOKENIZER_FILES:
        if (model / name).exists():
            shutil.copyfile(model / name, job.work / TOKENIZER / name)
    (job.work / JOB).write_bytes(dumps_readable(job.to_dict(sha256_file(path))))
    return path

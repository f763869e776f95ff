"""Small model folders as a fine-tune leaves them, over a composition that is real and signed."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy
from safetensors.numpy import save

import teapot
from teapot.model.trainplan import TrainPlan
from teapot.model.trainstatement import plan_sha256
from teapot.modelchecks import header_metadata
from teapot.safetensorsheader import header_with
from teapot.signing import PrivateKey
from teapot.usecases.modelfolder import FinishedModel, finish_model_folder
from teapot.usecases.signing import KeySigner
from teapot.usecases.trainplan import write_plan
from tests.support.environment import own_key
from tests.support.finetunes import WEIGHTS, outcome_for, plan_for, verified


def write_training_files(folder: Path, plan: TrainPlan) -> None:
    """Write what a fine-tune writes: weights with their header, plan, tokenizer, metrics."""
    write_plan(plan, folder)
    metadata = header_metadata(plan.manifest_sha256, plan.data_sha256, plan_sha256(plan))
    tensors = {"base_model.model.q_proj.lora_A.weight": numpy.ones((2, 4), dtype=numpy.float32)}
    saved = io.BytesIO(save(tensors))
    start = header_with(saved, {"format": "pt", **metadata})
    (folder / WEIGHTS).write_bytes(start + saved.read())
    steps = [{"step": 1, "loss": 2.25, "tokens": 700}, {"step": 6, "loss": 0.8125, "tokens": 650}]
    (folder / "metrics.jsonl").write_text("".join(f"{json.dumps(step)}\n" for step in steps))
    (folder / "loss.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (folder / "loss.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg"/>\n')
    for name in ("adapter_config.json", "tokenizer.json", "tokenizer_config.json"):
        (folder / name).write_text("{}\n")
    (folder / "chat_template.jinja").write_text("{{ messages }}\n")


def signer(key: PrivateKey | None = None) -> KeySigner:
    """Return what signs with a key, by default the one that is trusted in tests."""
    return KeySigner(key or own_key(), lambda text: None)


def finish(
    folder: Path, made: teapot.Composition, *, signed: bool = True, **options: Any
) -> FinishedModel:
    """Write a model folder over a composition, as training would leave it."""
    composition = verified(made, **options)
    plan = plan_for(composition)
    write_training_files(folder, plan)
    by = signer() if signed else None
    return finish_model_folder(folder, composition, plan, outcome_for(plan), by)

"""What a fine-tune leaves: weights in safetensors that name their origin, and the tokenizer."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from transformers import AutoTokenizer

from teapot.digest import sha256_file, sha256_hex
from teapot.errors import DataError, Problem
from teapot.files import write_atomically
from teapot.model.fitjob import FitJob
from teapot.modelchecks import header_metadata
from teapot.safetensorsheader import header_with

ADAPTER, ADAPTER_CONFIG, FULL = (
    "adapter_model.safetensors",
    "adapter_config.json",
    "model.safetensors",
)
TEMPLATE = "chat_template.jinja"
_TOKENIZER_FILES = (
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", TEMPLATE,
)  # fmt: skip


def save_adapter(model: Any, job: FitJob) -> tuple[str, ...]:
    """Write LoRA's weights and configuration as PEFT reads them, and return the weights' names."""
    from peft import get_peft_model_state_dict

    config = model.peft_config["default"]
    config.base_model_name_or_path, config.revision = job.plan.model, job.plan.revision
    config.inference_mode = True
    config.target_modules = list(job.plan.lora_targets)  # as a set they have no order
    config.save_pretrained(str(job.folder))
    state = {name: tensor.cpu().contiguous() for name, tensor in
             get_peft_model_state_dict(model, save_embedding_layers=False).items()}  # fmt: skip
    _save(state, job.folder / ADAPTER, job)
    return (ADAPTER,)


def save_full(model: Any, job: FitJob) -> tuple[str, ...]:
    """Write all weights of a model and its configuration, and return the weights' names."""
    model.config.use_cache = True  # it was off for training; whoever generates wants it
    model.config.save_pretrained(str(job.folder))
    generation = job.tokenizer / "generation_config.json"
    if generation.exists():
        shutil.copyfile(generation, job.folder / generation.name)
    shared = set(getattr(model, "_tied_weights_keys", None) or ())
    state = {
        name: tensor.cpu().contiguous()
        for name, tensor in model.state_dict().items()
        if not (model.config.tie_word_embeddings and name in shared)
    }
    _save(state, job.folder / FULL, job)
    return (FULL,)


def save_tokenizer(job: FitJob) -> None:
    """Copy the tokenizer as it was read, with its own chat template and never the marked one.

    The template becomes a file of its own, where older tokenizers have it among their settings.

    Raises:
        DataError: tokenizer or template are not those that the rows were encoded with.
    """
    for name in _TOKENIZER_FILES:
        if (job.tokenizer / name).exists():
            shutil.copyfile(job.tokenizer / name, job.folder / name)
    made = job.folder / "tokenizer.json"
    if not made.exists() or sha256_file(made) != job.plan.tokenizer_sha256:
        told = "is not the tokenizer.json that the rows were encoded with"
        raise DataError(Problem(str(job.tokenizer), told))
    read = AutoTokenizer.from_pretrained(str(job.folder), local_files_only=True)
    template = read.chat_template
    if (
        not isinstance(template, str)
        or sha256_hex(template.encode()) != job.plan.own_template_sha256
    ):
        told = "has not the chat template that the rows were compared with"
        raise DataError(Problem(str(job.tokenizer), told))
    write_atomically(job.folder / TEMPLATE, template.encode())


def _save(state: dict[str, Any], path: Path, job: FitJob) -> None:
    """Write weights whose header names their origin; equal weights give equal bytes."""
    plan = job.plan
    origin = header_metadata(
        plan.manifest_sha256, plan.data_sha256, sha256_file(job.folder / "plan.json")
    )
    draft = job.work / path.name
    save_file(state, draft)
    name_origin(draft, path, origin)


def name_origin(draft: Path, path: Path, origin: Mapping[str, str]) -> None:
    """Move a safetensors file to its place, with its origin in its header."""
    made = draft.with_name(f"{draft.name}.whole")
    with draft.open("rb") as old, made.open("wb") as new:
        new.write(header_with(old, {"format": "pt", **origin}))
        shutil.copyfileobj(old, new)
    draft.unlink()
    made.replace(path)

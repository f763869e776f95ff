"""What a fine-tune leaves: weights in safetensors that name their origin, and the tokenizer."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from safetensors.torch import save_file

from teapot.digest import sha256_file
from teapot.model.fitjob import FitJob

ADAPTER, ADAPTER_CONFIG, FULL = (
    "adapter_model.safetensors",
    "adapter_config.json",
    "model.safetensors",
)
_TOKENIZER_FILES = (
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja",
)  # fmt: skip


def save_adapter(model: Any, job: FitJob) -> tuple[str, ...]:
    """Write LoRA's weights and configuration as PEFT reads them, and return the weights' names."""
    from peft import get_peft_model_state_dict

    config = model.peft_config["default"]
    config.base_model_name_or_path, config.revision = job.plan.model, job.plan.revision
    config.inference_mode = True
    config.save_pretrained(str(job.folder))
    state = {name: tensor.cpu().contiguous() for name, tensor in
             get_peft_model_state_dict(model).items()}  # fmt: skip
    _save(state, job.folder / ADAPTER, job)
    return (ADAPTER,)


def save_full(model: Any, job: FitJob) -> tuple[str, ...]:
    """Write all weights of a model and its configuration, and return the weights' names."""
    model.config.save_pretrained(str(job.folder))
    shared = set(getattr(model, "_tied_weights_keys", None) or ())
    state = {
        name: tensor.cpu().contiguous()
        for name, tensor in model.state_dict().items()
        if not (model.config.tie_word_embeddings and name in shared)
    }
    _save(state, job.folder / FULL, job)
    return (FULL,)


def save_tokenizer(source: Path, folder: Path) -> None:
    """Copy the tokenizer as it was read, with its own chat template and never the marked one."""
    for name in _TOKENIZER_FILES:
        if (source / name).exists():
            shutil.copyfile(source / name, folder / name)


def _save(state: dict[str, Any], path: Path, job: FitJob) -> None:
    save_file(state, path, metadata=_origin(job))
    _sort_metadata(path)
    path.chmod(0o644)  # safetensors leaves it to its owner alone


def _sort_metadata(path: Path) -> None:
    """Put the metadata of a safetensors file in order; the library writes it in any order.

    The header is 8 bytes with its length, little-endian, and JSON that may end in spaces
    (safetensors, "Format").
    """
    with path.open("r+b") as file:
        size = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(size))
        header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
        text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
        if len(text) > size:
            raise ValueError(f"{path}: its header would grow from {size} to {len(text)} bytes")
        file.seek(8)
        file.write(text.ljust(size))


def _origin(job: FitJob) -> dict[str, str]:
    """Return the header's metadata, which ties weights to what they were trained on."""
    return {
        "format": "pt",
        "teapot.manifest_sha256": job.plan.manifest_sha256,
        "teapot.data_sha256": job.plan.data_sha256,
        "teapot.plan_sha256": sha256_file(job.folder / "plan.json"),
    }

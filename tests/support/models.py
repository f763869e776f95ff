"""Small model folders as the Hub gives them: configuration, real tokenizer, template, weights.

The weights are there by name only, one number each; the tokenizer has the base's control tokens at
the base's own ids. The chat templates are this project's, written from what the vectors show.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy
from safetensors.numpy import save

from teapot.model.base import Base
from teapot.plugins import load_trainer
from tests.support.tokenizers import tokenizer_json

TEMPLATES = Path(__file__).parent / "own_templates"
LAYERS = 2
_ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")


def model_files(name: str) -> dict[str, bytes]:
    """Return the files of a model of the base of this name."""
    return files_for(load_trainer(name)[0].base, (TEMPLATES / f"{name}.jinja").read_text("utf-8"))


def files_for(base: Base, template: str) -> dict[str, bytes]:
    """Return the files of a model of a base, with a chat template of its own."""
    return {
        "config.json": json.dumps(config_of(base)).encode(),
        "tokenizer.json": tokenizer_json(base).encode(),
        "tokenizer_config.json": json.dumps(_tokenizer_config(base)).encode(),
        "chat_template.jinja": template.encode(),
        "model.safetensors": weights_of(base.lora_targets),
    }


def write_model(folder: Path, name: str, **changed: bytes | None) -> Path:
    """Write a model folder; files are named with _ for their dots, and left out where None."""
    folder.mkdir(parents=True, exist_ok=True)
    files: dict[str, bytes | None] = {**model_files(name)}
    for key, data in changed.items():
        (file,) = [file for file in files if file.replace(".", "_") == key]
        files[file] = data
    for file, data in files.items():
        if data is not None:
            (folder / file).write_bytes(data)
    return folder


def config_of(base: Base, **changed: Any) -> dict[str, Any]:
    """Return the `config.json` of a tiny model of a base."""
    known = [identity for identity in base.control_tokens.values() if identity is not None]
    return {
        "architectures": [base.architecture], "model_type": base.model_type,
        "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": LAYERS,
        "num_attention_heads": 4, "num_key_value_heads": 2,
        "vocab_size": max([1024, *(identity + 1 for identity in known)]),
        "max_position_embeddings": 65536, "tie_word_embeddings": False, **changed,
    }  # fmt: skip


def weights_of(targets: tuple[str, ...], layers: int = LAYERS) -> bytes:
    """Return a safetensors file with the modules of these names in each layer."""
    number = numpy.zeros(1, dtype=numpy.float32)
    names = ["model.embed_tokens", "lm_head", "model.norm"]
    for layer in range(layers):
        for target in targets:
            part = "self_attn" if target in _ATTENTION else "mlp"
            names.append(f"model.layers.{layer}.{part}.{target}")
        names.append(f"model.layers.{layer}.attention_layernorm")
    data: bytes = save({f"{name}.weight": number for name in names})
    return data


def _tokenizer_config(base: Base) -> dict[str, Any]:
    return {
        "tokenizer_class": "PreTrainedTokenizerFast", "bos_token": base.bos,
        "eos_token": base.eos, "pad_token": base.pad_token, "model_max_length": 131072,
    }  # fmt: skip

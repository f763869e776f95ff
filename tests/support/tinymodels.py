"""Tiny models with random weights, real in everything but size; dimensions are multiples of 64."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM

from teapot.plugins import load_trainer
from tests.support.models import config_of, files_for, write_model


def write_tiny_model(
    folder: Path, name: str, *, template: str = "", seed: int = 7, **changed: Any
) -> Path:
    """Write a model folder of the base of this name, with random bf16 weights.

    A base that is not shipped needs a `template`, the chat template of its tokenizer. What is
    `changed` in the configuration may make the model smaller than its tokenizer.
    """
    if template:
        folder.mkdir(parents=True, exist_ok=True)
        for file, data in files_for(load_trainer(name)[0].base, template).items():
            (folder / file).write_bytes(data)
        (folder / "model.safetensors").unlink()
    else:
        write_model(folder, name, model_safetensors=None)
    shape = {"hidden_size": 128, "intermediate_size": 256, "head_dim": 32, **changed}
    config = config_of(load_trainer(name)[0].base, **shape)
    (folder / "config.json").write_text(json.dumps(config))
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder))
    model.to(torch.bfloat16).save_pretrained(folder)
    (folder / "config.json").write_text(json.dumps({**config, "dtype": "bfloat16"}))
    return folder

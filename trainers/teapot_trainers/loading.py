"""Loads a model as a plan asks and attaches LoRA to it, on a GPU or for tiny models on the CPU."""

from __future__ import annotations

from inspect import signature
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, BitsAndBytesConfig, set_seed

from teapot.digest import sha256_file
from teapot.errors import ConfigError, PluginError, Problem, UsageError
from teapot.model.fitjob import Device, FitJob
from teapot.model.trainplan import TrainPlan
from teapot.modelfiles import ModelName
from teapot.modelweights import weights_folder
from teapot_trainers.xielu import use_lean_xielu

ADAPTER = "default"


def require_device(asked: Device) -> None:
    """Refuse a machine without a GPU, unless the CPU was asked for.

    Raises:
        UsageError: it has none.
    """
    if asked != "cpu" and not torch.cuda.is_available():
        told = "no GPU is found (torch.cuda.is_available() is false); train on a machine with one"
        raise UsageError(f"{told}, or say --device cpu for a tiny model")


def load_model(job: FitJob, device: torch.device, *, is_spread: bool = False) -> Any:
    """Return the model of a plan, ready to train: quantised, adapted, on its device.

    The seed is set before LoRA makes its weights, so they are the same in every run. One that
    `is_spread` over processes with FSDP next keeps its four bits as floating point.

    Raises:
        ConfigError: it cannot be loaded.
        PluginError: LoRA hits other modules than the plan's targets.
    """
    plan = job.plan
    model = _base_model(job, device, is_spread=is_spread)
    model.config.use_cache = plan.hyperparameters.use_cache
    model.generation_config = None
    if plan.hyperparameters.gradient_checkpointing is not False:
        _checkpoint_activations(model)
    else:
        use_lean_xielu(model)  # what it would keep of the activations is a third of all memory
    set_seed(plan.hyperparameters.seed)
    if plan.hyperparameters.method == "full":
        return model
    return attach_lora(model, plan)


def _checkpoint_activations(model: Any) -> None:
    """Have activations computed again in the backward pass; newer versions have another name."""
    enable = getattr(model, "activation_checkpointing_enable", None)
    if enable is None:
        enable = model.gradient_checkpointing_enable
    parameter = next(iter(signature(enable).parameters))
    enable(**{parameter: {"use_reentrant": False}})


def attach_lora(model: Any, plan: TrainPlan) -> Any:
    """Return a model with LoRA on the plan's targets in fp32, and nothing else trained.

    Raises:
        PluginError: a target is not hit once in every layer.
    """
    from peft import LoraConfig, get_peft_model

    numbers = plan.hyperparameters
    layers = model.config.num_hidden_layers
    adapted = get_peft_model(
        model,
        LoraConfig(
            r=numbers.lora_r, lora_alpha=numbers.lora_alpha,
            lora_dropout=float(numbers.lora_dropout), target_modules=list(plan.lora_targets),
            bias="none", task_type="CAUSAL_LM", revision=plan.revision,
        ),
    )  # fmt: skip
    hits = dict.fromkeys(plan.lora_targets, 0)
    for name, module in adapted.named_modules():
        if hasattr(module, "lora_A"):
            hits[name.rpartition(".")[2]] += 1
    missed = [f"{name} {count}" for name, count in hits.items() if count != layers]
    if missed:
        told = f"LoRA hits {', '.join(missed)} modules, expected {layers} each"
        raise PluginError(f"{told}; the base's lora_targets are not this model's")
    for name, parameter in adapted.named_parameters():
        if parameter.requires_grad and parameter.dtype != torch.float32:
            raise PluginError(f"{name} is trained in {parameter.dtype}, expected torch.float32")
    return adapted


def _base_model(job: FitJob, device: torch.device, *, is_spread: bool) -> Any:
    plan, numbers = job.plan, job.plan.hyperparameters
    if plan.revision is None:
        _require_planned_config(job)
    quantization = None
    if numbers.method == "qlora":
        quantization = BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type=numbers.quantization,
            bnb_4bit_use_double_quant=numbers.double_quantization,
            bnb_4bit_compute_dtype=getattr(torch, numbers.compute_dtype),
            # The same bytes under another name: FSDP spreads floating point alone.
            bnb_4bit_quant_storage=(
                getattr(torch, numbers.compute_dtype) if is_spread else torch.uint8
            ),
        )  # fmt: skip
    is_full = numbers.method == "full"
    try:
        model = AutoModelForCausalLM.from_pretrained(
            weights_of(job), use_safetensors=True, local_files_only=True,
            dtype=torch.float32 if is_full else getattr(torch, numbers.compute_dtype),
            quantization_config=quantization, device_map={"": device},
            attn_implementation="sdpa", trust_remote_code=False,
        )  # fmt: skip
    except (OSError, ValueError, RuntimeError, ImportError) as error:
        told = " ".join(str(error).split())[:400]
        raise ConfigError(Problem(job.weights, f"cannot be loaded: {told}")) from error
    _keep_weights_in_place(model)
    return model


def weights_of(job: FitJob) -> Path:
    """Return the folder of the base's weights; those of the Hub are fetched into its cache.

    Raises:
        SourceError: the Hub does not give them.
        DataError: their index names no plain files.
    """
    return weights_folder(ModelName(job.weights, job.plan.revision), offline=job.offline)


def _require_planned_config(job: FitJob) -> None:
    """Refuse a model folder that is gone or another one; its name must never be asked of the Hub.

    Raises:
        ConfigError: it is.
    """
    path = Path(job.weights, "config.json")
    if not path.is_file() or sha256_file(path) != job.plan.model_config_sha256:
        told = "is not the config.json that was planned with; cannot be loaded"
        raise ConfigError(Problem(str(path), told))


def _keep_weights_in_place(model: Any) -> None:
    """Keep bitsandbytes from repacking weights on a CPU with AVX512-BF16.

    It would do so at the first forward without gradients, and break every training step after it.
    """
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False

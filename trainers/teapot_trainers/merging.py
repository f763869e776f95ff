"""Merges a trained adapter into its base in bf16, and compares what was written with the adapter.

The base is loaded in bf16, never in the four bits that it was trained in: what quantisation took
away would go into the merged weights. The files are loaded again before they are believed.
"""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load
from transformers import AutoModelForCausalLM

from teapot.digest import sha256_hex
from teapot.errors import ConfigError, DataError, Problem
from teapot.interfaces import Progress
from teapot.model.exportjob import ExportJob, ExportOutcome, LogitCheck
from teapot.modelweights import weight_names
from teapot_trainers.exporting import name_origin
from teapot_trainers.loading import attach_lora
from teapot_trainers.quiet import quiet_libraries

FORMAT, DTYPE = "merged", "bfloat16"
_ROWS, _LENGTH = 2, 64
_SHARD = "5GB"
_PACKAGES = ("torch", "transformers", "peft", "safetensors")
_STAGES = 4


def merge(job: ExportJob, progress: Progress) -> ExportOutcome:
    """Write the merged model: weights in bf16 whose headers name their origin, and configuration.

    Raises:
        ConfigError: the base cannot be loaded.
        DataError: the adapter is not that of the plan, or is lost in the merged weights.
    """
    with quiet_libraries(), torch.no_grad():
        return _merge(job, progress)


def _merge(job: ExportJob, progress: Progress) -> ExportOutcome:
    device = _device(job)
    progress("merge (load the base)", 0, _STAGES)
    model = _load(job.base, device)
    ids = _drawn_ids(model.config.vocab_size, seed=job.plan.hyperparameters.seed).to(device)
    before = _logits(model, ids)
    progress("merge (attach the adapter)", 1, _STAGES)
    model = attach_lora(model, job.plan)
    _load_adapter(model, job)
    adapted = _logits(model, ids)
    progress("merge (write)", 2, _STAGES)
    weights = _write(model.merge_and_unload(safe_merge=True), job)
    del model
    progress("merge (compare)", 3, _STAGES)
    written = _logits(_load(job.output, device), ids)
    check = _checked(before, adapted, written)
    progress("merge", _STAGES, _STAGES)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
    return ExportOutcome(
        format=FORMAT, dtype=DTYPE, weights=weights, check=check, device=name,
        versions={package: version(package) for package in _PACKAGES},
    )  # fmt: skip


def _device(job: ExportJob) -> torch.device:
    is_gpu = job.device == "cuda" or (job.device == "auto" and torch.cuda.is_available())
    return torch.device("cuda:0" if is_gpu else "cpu")


def _load(folder: Path, device: torch.device) -> Any:
    try:
        model = AutoModelForCausalLM.from_pretrained(
            folder, dtype=getattr(torch, DTYPE), use_safetensors=True, local_files_only=True,
            device_map={"": device}, attn_implementation="sdpa", trust_remote_code=False,
        )  # fmt: skip
    except (OSError, ValueError, RuntimeError, ImportError) as error:
        told = " ".join(str(error).split())[:400]
        raise ConfigError(Problem(str(folder), f"cannot be loaded: {told}")) from error
    return model.eval()


def _load_adapter(model: Any, job: ExportJob) -> None:
    """Give LoRA's modules the trained weights; the bytes that are hashed are those that are used.

    Raises:
        DataError: they are other bytes than those verified, or of other modules.
    """
    from peft import get_peft_model_state_dict, set_peft_model_state_dict

    state: dict[str, torch.Tensor] = {}
    for name, digest in job.adapter.items():
        data = (job.folder / name).read_bytes()
        if sha256_hex(data) != digest:
            told = "was changed after it was verified"
            raise DataError(Problem(str(job.folder / name), told))
        state |= load(data)
    expected = set(get_peft_model_state_dict(model, save_embedding_layers=False))
    if state.keys() != expected:
        other = sorted(state.keys() ^ expected)[0]
        told = f"has other tensors than the plan's adapter, one is {other}"
        raise DataError(Problem(str(job.folder), told))
    set_peft_model_state_dict(model, state)
    model.eval()


def _drawn_ids(vocabulary: int, *, seed: int) -> torch.Tensor:
    """Return token ids, (rows, tokens) int64, the same for each seed."""
    drawn = torch.Generator().manual_seed(seed)
    return torch.randint(0, vocabulary, (_ROWS, _LENGTH), generator=drawn)


def _logits(model: Any, ids: torch.Tensor) -> torch.Tensor:
    """Return the logits in fp32, (rows, tokens, vocabulary), on the CPU."""
    found: torch.Tensor = model(input_ids=ids, use_cache=False).logits.float().cpu()
    return found


def _write(model: Any, job: ExportJob) -> tuple[str, ...]:
    model.config.use_cache = True
    model.save_pretrained(job.output, max_shard_size=_SHARD)
    names = weight_names(job.output)
    for name in names:
        draft = job.output / f"{name}.draft"
        (job.output / name).replace(draft)
        name_origin(draft, job.output / name, job.origin)
    return names


def _checked(before: torch.Tensor, adapted: torch.Tensor, written: torch.Tensor) -> LogitCheck:
    """Return how far the written model is from the adapted one.

    Raises:
        DataError: it is not clearly nearer to that than to the base.
    """
    error, effect, size = map(_rms, (written - adapted, adapted - before, adapted))
    if not error <= effect / 2:
        told = (
            f"the merged model's logits differ by {error:.3g} (root mean square) from the "
            f"adapter's, which differ by {effect:.3g} from the base's, expected half of it at most"
        )
        raise DataError(f"{told}: bf16 does not hold what was trained; use the adapter itself")
    return LogitCheck(
        tokens=_ROWS * _LENGTH, error=f"{error:.6f}", effect=f"{effect:.6f}", size=f"{size:.6f}"
    )


def _rms(values: torch.Tensor) -> float:
    return float(values.double().square().mean().sqrt())

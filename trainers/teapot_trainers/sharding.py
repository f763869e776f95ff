"""FSDP: each process keeps a part of every weight, and lends it to the others where it is needed.

Asked for as `accelerate launch --use_fsdp --fsdp_version 2` asks, in the environment. The sharding
itself is torch's `fully_shard`, the same on GPUs (NCCL) and on the CPU (gloo), layer by layer.
Nothing is cast, so that a step is what it is without sharding. What is saved is gathered whole,
one tensor at a time: checkpoints and exports are no others than those of one process.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import distributed

from teapot.errors import ConfigError

_SWITCH = "ACCELERATE_USE_FSDP"
_TRUE = ("1", "true")


def is_sharding_asked() -> bool:
    """Tell whether the launcher asks for FSDP.

    Raises:
        ConfigError: it asks for FSDP of a kind that is not supported here.
    """
    if not _says(_SWITCH):
        return False
    if os.environ.get("FSDP_VERSION", "1") != "2":
        raise ConfigError("only FSDP 2 is supported; say --fsdp_version 2 (FSDP_VERSION=2)")
    for name, option in (
        ("FSDP_OFFLOAD_PARAMS", "--fsdp_offload_params"),
        ("FSDP_ACTIVATION_CHECKPOINTING", "--fsdp_activation_checkpointing"),
    ):
        if _says(name):
            told = f"{option} is not supported; leave it out"
            raise ConfigError(f"{told} (training.gradient_checkpointing is the config's)")
    return True


@contextmanager
def sharding_is_ours() -> Iterator[None]:
    """Hide the wish for FSDP from libraries, which would shard in ways of their own."""
    asked = os.environ.pop(_SWITCH, None)
    try:
        yield
    finally:
        if asked is not None:
            os.environ[_SWITCH] = asked


def shard(model: Any, device: torch.device) -> None:
    """Spread the weights of a model over all processes, in place, its layers one by one.

    Each process has the same whole model before.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    given: dict[str, Any] = {
        "mesh": init_device_mesh(device.type, (distributed.get_world_size(),)),
        "reshard_after_forward": _says("FSDP_RESHARD_AFTER_FORWARD", otherwise="true"),
    }
    for layer in _layers(model):
        fully_shard(layer, **given)
    fully_shard(model, **given)


def is_sharded(model: Any) -> bool:
    """Tell whether a model's weights are spread."""
    from torch.distributed.fsdp import FSDPModule

    return isinstance(model, FSDPModule)


def whole(tensor: torch.Tensor) -> torch.Tensor:
    """Return a tensor in one piece, on the CPU; all processes must ask for it alike."""
    from torch.distributed.tensor import DTensor

    plain = tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
    return plain.detach().cpu().contiguous()


def spread_like(tensor: torch.Tensor, parameter: torch.Tensor) -> torch.Tensor:
    """Return a whole tensor as a parameter of the same shape lies; all processes ask alike."""
    from torch.distributed.tensor import DTensor, distribute_tensor

    if not isinstance(parameter, DTensor) or tensor.shape != parameter.shape:
        return tensor
    placed = tensor.to(parameter.device)
    return distribute_tensor(placed, parameter.device_mesh, parameter.placements)


def gather(model: Any, *, keeps: bool) -> None:
    """Put whole weights in place of spread ones, for export, where a process `keeps` them.

    Of a model with LoRA only what was trained is gathered. All processes must call it, once, after
    the last step.
    """
    trains_all = all(parameter.requires_grad for parameter in model.parameters())
    for module in model.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            if not (trains_all or parameter.requires_grad):
                continue
            made = whole(parameter)
            if keeps:
                setattr(module, name, torch.nn.Parameter(made, requires_grad=False))


class ShardedModel(torch.nn.Module):  # type: ignore[misc]  # its types are not read
    """A spread model as the loop calls it: under autocast, and not wrapped once more."""

    def __init__(self, model: Any, autocast: Any) -> None:
        super().__init__()
        self.model, self._autocast = model, autocast

    def forward(self, **inputs: Any) -> Any:
        """Return what the model makes of inputs."""
        with self._autocast():
            return self.model(**inputs)


def _layers(model: Any) -> list[Any]:
    """Return the decoder layers of a model, with or without LoRA around it."""
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    kinds = set(getattr(inner, "_no_split_modules", None) or ())
    return [module for module in inner.modules() if type(module).__name__ in kinds]


def _says(name: str, *, otherwise: str = "false") -> bool:
    return os.environ.get(name, otherwise).lower() in _TRUE

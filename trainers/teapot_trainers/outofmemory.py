"""What is said where a GPU's memory does not suffice: how much there is, and what needs less."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from teapot.errors import ConfigError
from teapot.model.trainplan import Hyperparameters


@contextmanager
def memory_explained(
    numbers: Hyperparameters, device: torch.device, *, longest: int
) -> Iterator[None]:
    """Say what to do where memory runs out; the longest row has `longest` tokens.

    Raises:
        ConfigError: it did.
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise ConfigError(_advice(numbers, device, longest)) from error


def _advice(numbers: Hyperparameters, device: torch.device, longest: int) -> str:
    tokens = numbers.micro_batch_tokens or numbers.max_length
    told = f"the memory of {device} is used up"
    if device.type == "cuda":
        held, whole = torch.cuda.max_memory_allocated(device), torch.cuda.mem_get_info(device)[1]
        told += f": {held / 1e9:.1f} of {whole / 1e9:.1f} GB"
    told += f" in micro-batches of at most {tokens:,} tokens; the longest row has {longest:,}"
    ways = []
    if numbers.gradient_checkpointing is False:
        ways.append("training.gradient_checkpointing true")
    ways.append("a smaller training.max_length")
    return f"{told}; try {', then '.join(ways)}, or --use_fsdp on several GPUs"

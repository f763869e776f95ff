"""The processes of one run: who writes, and that all of them train the same or none does."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import TypeVar

import torch
from torch import distributed

from teapot.digest import sha256_hex
from teapot.errors import ConfigError, TeapotError

Made = TypeVar("Made")
_PATIENCE = timedelta(hours=2)
"""How long processes wait for one that saves, or that loads a model."""


def process_count() -> int:
    """Return how many processes a launcher has started; it says so in WORLD_SIZE."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_first_process() -> bool:
    """Tell whether this process is the one that writes; launchers number them in RANK."""
    return os.environ.get("RANK", "0") == "0"


def join_processes() -> None:
    """Let the processes of a run find each other, where the launcher has not seen to it.

    Raises:
        ConfigError: the launcher does not say how.
    """
    if process_count() == 1 or distributed.is_initialized():
        return
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    try:
        distributed.init_process_group(backend, timeout=_PATIENCE)
    except ValueError as error:
        told = "start the run with torchrun, accelerate or Ray Train"
        raise ConfigError(f"WORLD_SIZE is {process_count()}, but {error}; {told}") from error


def leave_processes() -> None:
    """End what `join_processes` began."""
    if distributed.is_initialized():
        distributed.destroy_process_group()


def together(do: Callable[[], Made], same: Callable[[Made], Mapping[str, str]]) -> Made:
    """Do something in every process, and go on only where all could and found the same.

    `same` returns digests, 64 hex digits each, by what they are of. An error in one process ends
    all of them, so that none waits for it; no process takes another's word for anything else.

    Raises:
        TeapotError: it failed in this process, as `do` says.
        ConfigError: it failed in another process, or what that found is not what the first did.
    """
    if not distributed.is_initialized():
        return do()
    try:
        made = do()
    except TeapotError:
        _exchange({}, is_done=False)
        raise
    found = same(made)
    told = _exchange(found, is_done=True)
    failed = [number for number, row in enumerate(told) if not row[0]]
    if failed:
        raise ConfigError(f"process {failed[0]} failed, and says why; every machine must see the "
                          "model folder and the model")  # fmt: skip
    for number, row in enumerate(told):
        for place, name in enumerate(sorted(found)):
            if row[1 + place * 32 : 33 + place * 32] != told[0][1 + place * 32 : 33 + place * 32]:
                raise ConfigError(f"process {number} sees another {name} than process 0; every "
                                  "machine must have the same")  # fmt: skip
    return made


def digest_of(text: str) -> str:
    """Return the SHA-256 of a text."""
    return sha256_hex(text.encode())


def _exchange(found: Mapping[str, str], *, is_done: bool) -> list[bytes]:
    """Return a row of bytes from each process: whether it is done, then its digests by name."""
    digests = b"".join(bytes.fromhex(found[name]) for name in sorted(found))
    row = bytes([is_done]) + digests.ljust(_MOST * 32, b"\0")
    sent = torch.tensor(list(row), dtype=torch.uint8, device=_device())
    rows = [torch.empty_like(sent) for _ in range(distributed.get_world_size())]
    distributed.all_gather(rows, sent)
    return [bytes(row.tolist()) for row in rows]


_MOST = 4
"""How many digests are compared at a time, at most."""


def _device() -> torch.device:
    """Return where the processes' tensors can meet: a launcher may have brought NCCL alone."""
    if "gloo" in distributed.get_backend_config():
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))

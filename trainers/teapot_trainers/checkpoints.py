"""Checkpoints without pickle: what is trained, the optimizer and the random state as safetensors.

A run that goes on after one makes the same bytes as a run that was never stopped. Tensors that are
spread over processes are gathered: every process calls these functions, and the first one writes.
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy
import torch
from safetensors.torch import load_file, save_file

from teapot.errors import ConfigError, Problem
from teapot_trainers.processes import is_first_process, process_count
from teapot_trainers.sharding import spread_like, whole

WEIGHTS, OPTIMIZER, RANDOM = "trained.safetensors", "optimizer.safetensors", "random.safetensors"
STATE = "state.json"


def last_checkpoint(work: Path, processes: int = 1) -> Path | None:
    """Return the newest checkpoint that every process has written to its end.

    Raises:
        ConfigError: it was saved by another number of processes, which could not go on exactly.
    """
    found = {
        int(path.parent.name.rpartition("-")[2]): path.parent
        for path in work.glob("checkpoint-*/trainer_state.json")
        if _is_whole(path.parent)
    }
    if not found:
        return None
    newest = found[max(found)]
    saved = _saved_by(newest)
    if saved != processes:
        told = f"was saved by {saved} processes, found {processes}; go on with as many"
        raise ConfigError(Problem(str(newest), told))
    return newest


def _is_whole(checkpoint: Path) -> bool:
    """Tell whether a checkpoint is complete; Trainer writes its state last in the first process."""
    try:
        json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))
        saved = _saved_by(checkpoint)
    except (OSError, ValueError):
        return False
    return saved == len(list(checkpoint.glob(f"process-*/{RANDOM}")))


def _saved_by(checkpoint: Path) -> int:
    return int(json.loads((checkpoint / STATE).read_text(encoding="utf-8"))["processes"])


def save_weights(model: Any, folder: Path) -> None:
    """Write the trained parameters of a model."""
    trained = {
        name: whole(parameter)
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
    }
    if is_first_process():
        folder.mkdir(parents=True, exist_ok=True)
        save_file(trained, folder / WEIGHTS)


def load_weights(model: Any, folder: Path) -> None:
    """Put trained parameters back.

    Raises:
        ValueError: the checkpoint has other parameters than the model.
    """
    saved = load_file(folder / WEIGHTS)
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    if saved.keys() != trained.keys():
        raise ValueError(f"{folder / WEIGHTS} has other parameters than the model trains")
    with torch.no_grad():
        for name, parameter in trained.items():
            parameter.copy_(spread_like(saved[name], parameter))


def save_optimizer(optimizer: Any, scheduler: Any, folder: Path) -> None:
    """Write the state of AdamW, a few tensors a parameter, and of the schedule."""
    state = optimizer.state_dict()
    tensors = {
        f"{number}.{key}": whole(value)
        for number, parts in state["state"].items()
        for key, value in parts.items()
    }
    if not is_first_process():
        return
    save_file(tensors, folder / OPTIMIZER)
    told = {
        "groups": state["param_groups"], "scheduler": _plain(scheduler.state_dict()),
        "processes": process_count(),
    }  # fmt: skip
    (folder / STATE).write_text(json.dumps(told), encoding="utf-8")


def load_optimizer(optimizer: Any, scheduler: Any, folder: Path) -> None:
    """Put the state of the optimizer and of the schedule back."""
    told = json.loads((folder / STATE).read_text(encoding="utf-8"))
    parameters = [held for group in optimizer.param_groups for held in group["params"]]
    state: dict[int, dict[str, torch.Tensor]] = {}
    for name, tensor in sorted(load_file(folder / OPTIMIZER).items()):
        number, _, key = name.partition(".")
        state.setdefault(int(number), {})[key] = spread_like(tensor, parameters[int(number)])
    optimizer.load_state_dict({"state": state, "param_groups": told["groups"]})
    scheduler.load_state_dict({**scheduler.state_dict(), **told["scheduler"]})


def save_random(folder: Path) -> None:
    """Write the state of every generator that training draws from."""
    version, numbers, gauss = random.getstate()
    name, keys, *rest = numpy.random.get_state(legacy=True)
    tensors = {
        "python": torch.tensor(numbers, dtype=torch.int64),
        "numpy": torch.from_numpy(numpy.asarray(keys).astype(numpy.int64)),
        "torch": torch.get_rng_state(),
    }
    if torch.cuda.is_available():
        tensors["cuda"] = torch.cuda.get_rng_state()
    told = {"python": [version, gauss], "numpy": [name, *rest]}
    draft = folder / f"{RANDOM}.draft"
    save_file(tensors, draft, metadata={"state": json.dumps(told)})
    draft.replace(folder / RANDOM)


def load_random(folder: Path) -> None:
    """Put the state of every generator back."""
    from safetensors import safe_open

    with safe_open(str(folder / RANDOM), framework="pt") as opened:
        told = json.loads(opened.metadata()["state"])
        names = list(opened.keys())
        tensors = {name: opened.get_tensor(name) for name in names}
    version, gauss = told["python"]
    random.setstate((version, tuple(tensors["python"].tolist()), gauss))
    name, *rest = told["numpy"]
    numpy.random.set_state((name, tensors["numpy"].numpy().astype(numpy.uint32), *rest))
    torch.set_rng_state(tensors["torch"])
    if "cuda" in tensors and torch.cuda.is_available():
        torch.cuda.set_rng_state(tensors["cuda"])


def _plain(state: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in state.items() if not key.startswith("lr_lambdas")}

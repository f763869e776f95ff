"""Runs prepared folders one after another in the processes of a launcher, and says what came of it.

An argument is a plan; or two with a comma between, one for each process; or `again:` and a plan,
whose run is made to have been killed before its last checkpoint, and goes on.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import torch
from torch import distributed

from teapot.errors import TeapotError
from teapot.model.fitjob import OUTCOME, WORK
from teapot_trainers.checkpoints import last_checkpoint
from teapot_trainers.processes import leave_processes, process_count
from teapot_trainers.run import run

RANK = int(os.environ.get("RANK", "0"))


def main() -> None:
    torch.set_num_threads(1)
    for argument in sys.argv[1:]:
        _, again, rest = argument.rpartition("again:")
        plans = rest.split(",")
        plan = Path(plans[RANK % len(plans)])
        if again:
            cut(plan.parent)
        error = ""
        try:
            run(plan, resume=bool(again))
        except TeapotError as raised:
            error = str(raised)
        told = json.dumps({"rank": RANK, "plan": plan.parent.name, "error": error})
        sys.stdout.write(f"{told}\n")  # in one go: torchrun's processes share a stream unbuffered
        sys.stdout.flush()
    leave_processes()


def cut(folder: Path) -> None:
    """Keep what a run has made as `whole-…`, and let its last checkpoint be lost."""
    _wait()
    if RANK == 0:
        newest = last_checkpoint(folder / WORK, process_count())
        assert newest is not None
        shutil.rmtree(newest)
        for path in (*folder.glob("*.safetensors"), folder / "metrics.jsonl"):
            path.rename(path.with_name(f"whole-{path.name}"))
        shutil.copyfile(folder / "whole-metrics.jsonl", folder / "metrics.jsonl")
        (folder / OUTCOME).unlink()
    _wait()


def _wait() -> None:
    if distributed.is_initialized():
        distributed.barrier()


main()

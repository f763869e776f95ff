"""Runs a fine-tune that `teapot train --prepare` made ready, under any launcher.

    accelerate launch -m teapot_trainers.run MODEL_DIR/plan.json
    torchrun --nproc-per-node 2 -m teapot_trainers.run MODEL_DIR/plan.json

Each process trains its share of every step's examples; the first one writes. What a run needs lies
beside the plan; the plan itself must be the one that was prepared. `teapot train --finish` then
verifies the data again, and writes card, statement and signatures.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path

from teapot.canonical import dumps_readable, loads
from teapot.digest import sha256_file, sha256_hex
from teapot.errors import ConfigError, Problem, TeapotError
from teapot.files import write_atomically
from teapot.model.fitjob import JOB, OUTCOME, WORK, FitJob
from teapot.model.trainoutcome import TrainOutcome
from teapot.model.trainplan import TrainPlan
from teapot.workfolder import only_run

INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the fine-tune beside a plan, and return the exit code that the error of a run has."""
    parser = argparse.ArgumentParser(prog="python -m teapot_trainers.run", description=__doc__)
    parser.add_argument("plan", type=Path, help="plan.json of a folder that was prepared")
    parser.add_argument("--resume", action="store_true", help="go on after the last checkpoint")
    given = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a launcher's way to interrupt
    try:
        run(given.plan, resume=given.resume)
        _leave()
    except TeapotError as error:
        for problem in error.problems:
            _say(f"error: {problem}")
        return error.exit_code
    except KeyboardInterrupt:
        if os.environ.get("RANK", "0") == "0":
            _say("stopped; the same command with --resume goes on after the last checkpoint")
        return INTERRUPTED
    return 0


def run(plan: Path, *, resume: bool = False) -> TrainOutcome:
    """Train as the job beside a plan says, and write its outcome beside the plan.

    A launcher that calls functions (Ray Train) calls this one in each of its workers.

    Raises:
        ConfigError: there is no job, it was prepared for another plan, or processes see others.
        OutputError: another run is at work in the folder.
        TeapotError: as `fit` does.
    """
    from teapot_trainers.fitting import fit
    from teapot_trainers.processes import is_first_process, join_processes, together

    join_processes()
    with ExitStack() as stack:

        def own() -> FitJob:
            job = _job(plan, resume=resume)
            if is_first_process():
                stack.enter_context(only_run(job.work))
            return job

        job = together(own, _digests)
        outcome = fit(job, _tell)
        if is_first_process():
            write_atomically(job.folder / OUTCOME, dumps_readable(outcome.to_dict()))
        return outcome


def _digests(job: FitJob) -> dict[str, str]:
    """Return what must be the same in all processes; a job names its plan and rows by digest."""
    versions = {name: version(name) for name in ("torch", "transformers", "peft", "accelerate")}
    return {
        "job": sha256_file(job.work / JOB),
        "version of a package": sha256_hex(dumps_readable(versions)),
    }  # fmt: skip


def _job(plan: Path, *, resume: bool) -> FitJob:
    folder = plan.resolve().parent
    path = folder / WORK / JOB
    try:
        value, planned = loads(path.read_bytes()), plan.read_bytes()
    except OSError as error:
        told = f"cannot be read: {error.strerror}; run `teapot train --prepare` first"
        raise ConfigError(Problem(str(path), told)) from error
    except ValueError as error:
        raise ConfigError(Problem(str(path), f"is not strict JSON: {error}")) from error
    if not isinstance(value, dict) or value.get("plan_sha256") != sha256_hex(planned):
        told = "was prepared for another plan; run `teapot train --prepare` again"
        raise ConfigError(Problem(str(path), told))
    return FitJob.from_dict(value, TrainPlan.from_dict(loads(planned)), folder, resume=resume)


def _leave() -> None:
    from teapot_trainers.processes import leave_processes

    leave_processes()


def _tell(what: str, done: int, total: int | None) -> None:
    _say(f"{what} {done}/{total}")


def _say(line: str) -> None:
    """Write a line in one go: torchrun's processes share a stderr that nothing buffers."""
    sys.stderr.write(f"{line}\n")


if __name__ == "__main__":
    sys.exit(main())

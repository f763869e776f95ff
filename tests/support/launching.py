"""Starts programs as a launcher does: several processes on the CPU that know of each other."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node")
_ROOT = Path(__file__).parents[2]


def python(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run Python in the working folder, offline and with one thread."""
    given = {
        **os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(_ROOT),
        **environment,
    }  # fmt: skip
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, encoding="utf-8", env=given,
        check=False, timeout=300,
    )  # fmt: skip


def run_in_two(*arguments: str, **environment: str) -> list[dict[str, Any]]:
    """Run `tests.support.runs` in two processes, and return what they say, by plan and process."""
    ran = python(*TORCHRUN, "2", "-m", "tests.support.runs", *arguments, **environment)
    assert ran.returncode == 0, ran.stderr
    told = [json.loads(line) for line in ran.stdout.splitlines() if line.startswith("{")]
    assert len(told) == 2 * len(arguments), ran.stdout + ran.stderr
    return told

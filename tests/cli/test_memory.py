"""A command for which memory does not suffice says so."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_ROW = '{"messages":[{"role":"user","content":"Two?"},{"role":"assistant","content":"Two."}]}\n'
_RUN = """
import resource, sys
from pathlib import Path
from teapot.cli.app import run
run(["check", sys.argv[1]])  # what it imports is there now
(now,) = [line for line in Path("/proc/self/status").read_text().splitlines() if "VmData" in line]
most = int(now.split()[1]) * 1024 + (48 << 20)
resource.setrlimit(resource.RLIMIT_DATA, (most, most))
sys.exit(run(["check", sys.argv[2]]))
"""


def test_a_command_without_memory_ends_with_a_sentence(tmp_path: Path) -> None:
    small, large = tmp_path / "small.jsonl", tmp_path / "large.jsonl"
    small.write_text(_ROW)
    large.write_text('{"messages":[' + "[]," * (5 << 20) + "[]]}\n")
    ran = subprocess.run(
        [sys.executable, "-c", _RUN, str(small), str(large)],
        capture_output=True, encoding="utf-8", check=False,
    )  # fmt: skip
    assert ran.stderr == "error: there is not enough memory; free some, or raise its limit\n"
    assert ran.returncode == 6

"""How much longer than one SHA-256 of the data file does a verification take?

    pip install -e . psutil
    python benchmarks/verify.py [--rows 3700 100000 1000000] [--folder DIR] [--runs 3]

For each size a mix is composed and signed, and moved to a folder of its own, as it is handed to
somebody who has no sources. There are two floors, each a process that hashes the data file and does
nothing else: Python's hashlib (OpenSSL, which uses a processor's SHA instructions) and coreutils'
`sha256sum`, where it is installed. `teapot verify` checks the signature, hashes the file and every
line, builds two Merkle trees and reads the ledger. Rounds alternate, the best of all runs counts;
the claims are the ratios. Memory is the peak of all processes together above a bare interpreter's.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from corpus import find_or_make
from measure import Cost, Failed, Place, measure

_MEGABYTE = 1_000_000
_HASH = (
    "import hashlib, sys\n"
    "with open(sys.argv[1], 'rb') as file:\n"
    "    print(hashlib.file_digest(file, 'sha256').hexdigest())\n"
)
_BARE = "import time; time.sleep(0.5)"


def main() -> None:
    """Print a line for every size that the command line asks for."""
    parser = argparse.ArgumentParser(description="Compare `teapot verify` with a bare SHA-256.")
    parser.add_argument("--rows", type=int, nargs="+", default=[3700, 100_000])
    parser.add_argument("--folder", type=Path, default=Path("build/bench"))
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    print(f"{os.cpu_count()} processors")
    print("     rows,    data bytes: verify; x hashlib; x sha256sum; peak MB above an interpreter")
    for rows in arguments.rows:
        _compare(arguments.folder.resolve(), rows, arguments.runs)


def _compare(folder: Path, rows: int, runs: int) -> None:
    corpus = find_or_make(folder / f"rows-{rows}", rows)
    with tempfile.TemporaryDirectory(prefix="verify-", dir=folder) as temporary:
        work = Path(temporary, "handed-over")
        work.mkdir()
        environment = {**os.environ, "XDG_CONFIG_HOME": str(Path(temporary, "config"))}
        data = work / "mix.jsonl"
        _compose(corpus.config, data, environment)
        place = Place(folder=work, environment=environment, limit_seconds=3600)
        commands = {
            "bare": [sys.executable, "-c", _BARE],
            "hash": [sys.executable, "-c", _HASH, str(data)],
            "verify": [sys.executable, "-m", "teapot", "verify", str(data), "--quiet"],
        }
        if shutil.which("sha256sum"):
            commands["sha256sum"] = ["sha256sum", str(data)]
        best: dict[str, Cost] = {}
        for _ in range(runs):
            for name, command in commands.items():
                cost = measure(command, place)
                if isinstance(cost, Failed):
                    sys.exit(f"{name} failed: {cost.reason}")
                if name not in best or cost.seconds < best[name].seconds:
                    best[name] = cost
        size = data.stat().st_size
    _print(rows, size, best)


def _compose(config: Path, output: Path, environment: Mapping[str, str]) -> None:
    command = [sys.executable, "-m", "teapot", "compose", str(config), "-o", str(output), "-q"]
    subprocess.run(
        command, env=environment, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def _print(rows: int, size: int, best: Mapping[str, Cost]) -> None:
    took = best["verify"].seconds
    memory = (best["verify"].peak_bytes - best["bare"].peak_bytes) / _MEGABYTE
    floors = [
        f"{took / best[name].seconds:5.2f} x {best[name].seconds:.2f} s"
        if name in best
        else "absent"
        for name in ("hash", "sha256sum")
    ]
    print(
        f"{rows:>9,}, {size:>13,}: {took:6.2f} s; {'; '.join(floors)}; {memory:4.0f} MB", flush=True
    )


if __name__ == "__main__":
    main()

"""What the benchmarks are asked on the command line, the same for all of them."""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from goals import LARGE_ROWS


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """Sizes in ascending order, an existing folder for corpora and outputs, and limits."""

    rows: tuple[int, ...]
    folder: Path
    runs: int
    limit_seconds: float
    only: frozenset[str]


def read_options(description: str, *, only: tuple[str, ...] = ()) -> Options:
    """Return what the command line asks for; `only` are the names that --only may take."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, nargs="+", default=[3700, 100_000])
    parser.add_argument(
        "--folder", type=Path, default=Path("build/bench"), help="where corpora and outputs lie"
    )
    parser.add_argument("--runs", type=int, help="of each command: 3, at 1M rows and more 1")
    parser.add_argument("--limit", type=float, default=3600, help="seconds that one may take")
    if only:
        parser.add_argument("--only", nargs="+", choices=only, default=only)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    rows = tuple(sorted(set(arguments.rows)))
    return Options(
        rows=rows,
        folder=arguments.folder.resolve(),
        runs=arguments.runs or (1 if rows[-1] >= LARGE_ROWS else 3),
        limit_seconds=arguments.limit,
        only=frozenset(arguments.only if only else ()),
    )


def machine() -> str:
    """Return what the figures hang on besides the code."""
    version = ".".join(map(str, sys.version_info[:3]))
    return f"Python {version}, {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f} at first"


def say(text: str) -> None:
    """Tell on stderr what is being done."""
    print(text, file=sys.stderr, flush=True)

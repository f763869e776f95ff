"""Where does a compose spend its time? The top 25 functions by own time, as cProfile sees them.

    python benchmarks/profile_compose.py [--rows 100000] [--folder DIR]

cProfile makes Python calls look dearer than they are beside the C functions they call; use it to
find the hot path and `compose.py` to measure it.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import tempfile
from pathlib import Path

from corpus import find_or_make

import teapot

_SHOWN = 25


def main() -> None:
    """Profile one compose and print the dearest functions."""
    parser = argparse.ArgumentParser(description="Profile one compose.")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--folder", type=Path, help="where corpora lie",
                        default=Path(tempfile.gettempdir()) / "teapot-benchmark")  # fmt: skip
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    corpus = find_or_make(arguments.folder / f"rows-{arguments.rows}", arguments.rows)
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder, cProfile.Profile() as profile:
        teapot.compose(corpus.config, output=Path(folder) / "mix.jsonl")
    statistics = pstats.Stats(profile).strip_dirs()
    statistics.sort_stats(pstats.SortKey.TIME).print_stats(_SHOWN)


if __name__ == "__main__":
    main()

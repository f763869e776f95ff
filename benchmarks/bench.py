"""One table of all that is claimed of Teapot's speed and size, with its goals.

    make bench                      3,700 and 100,000 rows
    make bench ROWS="1000000"       the size that most goals are for; more than one size for growth
    python benchmarks/bench.py [--rows ...] [--folder DIR] [--runs 3]

Markdown on stdout, to be kept in docs/performance.md; what is being done on stderr. What each line
means stands in the script that makes it: compose.py, capped.py, startup.py, verify.py, queries.py
and counted.py, each of which also runs alone. Ends with 1 when a line is missing or a contender
wrote something other than the mix; a goal that is not met is told, and no failure.
"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator
from datetime import date
from importlib.metadata import PackageNotFoundError, version

from capped import capped_lines
from compose import compose_lines
from corpus import find_or_make
from counted import counted_lines
from options import Options, machine, read_options
from queries import query_lines
from startup import startup_lines
from table import Line, print_table
from verify import verify_lines

_PACKAGES = ("teapot", "polars", "duckdb", "datasets", "jsonschema-rs")


def main() -> None:
    """Print the table for all sizes that the command line asks for."""
    options = read_options((__doc__ or "").splitlines()[0])
    print(f"{date.today().isoformat()}. {machine()}, {platform.machine()}. {_versions()}.\n")
    whole = print_table(_lines(options))
    print()
    for rows in options.rows:
        corpus = find_or_make(options.folder / f"rows-{rows}", rows)
        lines = sum(corpus.lines.values())
        print(
            f"{rows:,} rows of {corpus.bytes:,} bytes; a mix of {lines:,} lines, "
            f"{corpus.mix_bytes:,} bytes before added fields."
        )
    print(f"Load {os.getloadavg()[0]:.1f} at the end.")
    sys.exit(not whole)


def _lines(options: Options) -> Iterator[Line]:
    yield from compose_lines(options)
    yield from capped_lines(options)
    yield from startup_lines(options)
    yield from verify_lines(options)
    yield from query_lines(options)
    yield from counted_lines(options)


def _versions() -> str:
    return ", ".join(f"{name} {_version(name)}" for name in _PACKAGES)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


if __name__ == "__main__":
    main()

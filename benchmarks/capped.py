"""Does a mix end under a cap of 1 GB of memory, and what does it take then?

    pip install -e . duckdb polars psutil
    python benchmarks/capped.py [--rows 1000000] [--folder DIR]

All processes of a contender together are killed when their private resident memory is more than
that, looked at a hundred times a second. It is what a cgroup kills for; the page cache of files,
which a cgroup would take back first, is not counted. A real cgroup needs root or systemd. Teapot
runs once more where the kernel grants no process more than 1 GB of private memory, resident or not
(RLIMIT_DATA); that is stricter than what allocators of the others were made for, so they are spared
it. DuckDB is told of the cap, as somebody who has 1 GB would tell it. Only the largest size is run,
once; that others fail is a result, not a fault.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from contenders import DUCKDB, POLARS, TEAPOT, run
from corpus import find_or_make
from goals import CAPPED
from measure import Cap, Failed
from options import Options, machine, read_options, say
from table import Line, Result, failed_line, print_table

_CAP_BYTES = 1_000_000_000


def main() -> None:
    """Print the table for the largest size that the command line asks for."""
    options = read_options((__doc__ or "").splitlines()[0])
    print(machine(), end="\n\n")
    sys.exit(not print_table(capped_lines(options)))


def capped_lines(options: Options) -> Iterator[Line]:
    """Yield what each takes that ends, and how each ends that does not."""
    rows = options.rows[-1]
    corpus = find_or_make(options.folder / f"rows-{rows}", rows)
    for contender, strict in ((TEAPOT, False), (TEAPOT, True), (POLARS, False), (DUCKDB, False)):
        say(f"{rows:,} rows: {contender.name}, capped")
        goal = CAPPED if contender is TEAPOT else None
        name = f"{contender.name}, under 1 GB{' (RLIMIT_DATA)' if strict else ''}"
        cap = Cap(bytes=_CAP_BYTES, strict=strict)
        cost = run(contender, corpus, limit_seconds=options.limit_seconds, cap=cap)
        if isinstance(cost, Failed):
            yield failed_line(rows, name, cost, goal=goal, may_fail=contender is not TEAPOT)
        else:
            result = Result(best=cost, spread=1.0)
            yield Line(rows=rows, name=name, measured="ends", value=1, goal=goal, result=result)


if __name__ == "__main__":
    main()

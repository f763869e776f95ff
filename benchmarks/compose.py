"""How much longer than the floor does a mix take? Teapot and others, in turns.

    pip install -e . datasets duckdb polars jsonschema-rs psutil
    python benchmarks/compose.py [--rows 3700 100000 1000000] [--folder DIR] [--runs 3]

The floor reads and hashes the corpus, writes as many bytes as the mix has and hashes those; the
synced floor also waits until they are on the disk, as Teapot does and no other contender. Each runs
in a process of its own, from start to exit; the rounds alternate and the best of all runs counts.
Every output is looked at: one that is not the mix fails the benchmark. The claims are the ratios of
one run; seconds are those of one machine on one day. Where others use the machine, the ratio of
processor time says more than that of wall time. Peak memory is that of all processes together.

Not alike, so read with care: polars and DuckDB use all processors, the floor, `datasets` and Python
one. Teapot alone checks every row as strictly, hashes sources and lines, writes ledger, manifest
and signature. "Again" is a second run, after which only planning and writing are left to do.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from importlib.util import find_spec

if find_spec("psutil") is None:
    sys.exit("benchmarks/compose.py watches memory with psutil: pip install psutil")

import contenders as those
from contenders import FLOOR, FLOORS, OTHERS, SYNCED_FLOOR, TEAPOT, Contender, run
from corpus import Corpus, find_or_make
from goals import (
    AGAINST_POLARS,
    FASTER_THAN_DATASETS,
    FASTER_THAN_PYTHON,
    GROWTH,
    LARGE_ROWS,
    PEAK,
    SAME_SPEED,
    Goal,
)
from measure import Cost, Failed
from options import Options, machine, read_options, say
from table import MEGABYTE, Line, Result, best_of, failed_line, print_table

Results = Mapping[str, Result | Failed]


def main() -> None:
    """Print the table for every size that the command line asks for."""
    description = (__doc__ or "").splitlines()[0]
    options = read_options(description, only=tuple(contender.name for contender in OTHERS))
    print(machine(), end="\n\n")
    sys.exit(not print_table(compose_lines(options)))


def compose_lines(options: Options) -> Iterator[Line]:
    """Yield the lines of every size, and what can be said from one size to the next."""
    chosen = [*FLOORS, *(one for one in OTHERS if not options.only or one.name in options.only)]
    before: tuple[Corpus, Results] | None = None
    for rows in options.rows:
        say(f"{rows:,} rows: making or finding the corpus")
        corpus = find_or_make(options.folder / f"rows-{rows}", rows)
        results = _compare(corpus, chosen, options)
        growth = _growth(before, (corpus, results)) if before else {}
        yield from _contender_lines(corpus, chosen, results, growth)
        yield from _goal_lines(corpus, results, growth)
        if before and before[0].rows >= LARGE_ROWS:
            yield from _speed_line(before, (corpus, results))
        else:
            before = corpus, results


def _compare(corpus: Corpus, chosen: list[Contender], options: Options) -> Results:
    """Return what each contender took, run in turns; one that fails is not run again."""
    costs: dict[str, list[Cost]] = {contender.name: [] for contender in chosen}
    failures: dict[str, Failed] = {}
    for number in range(1, options.runs + 1):
        for contender in chosen:
            if contender.name in failures:
                continue
            say(f"{corpus.rows:,} rows: {contender.name}, run {number} of {options.runs}")
            outcome = run(contender, corpus, limit_seconds=options.limit_seconds)
            if isinstance(outcome, Failed):
                failures[contender.name] = outcome
            else:
                costs[contender.name].append(outcome)
    return {name: failures.get(name) or best_of(costs[name]) for name in costs}


def _growth(small: tuple[Corpus, Results], large: tuple[Corpus, Results]) -> dict[str, float]:
    """Return for each contender the bytes of peak memory that each further row took."""
    rows = large[0].rows - small[0].rows
    growth = {}
    for name, result in large[1].items():
        smaller = small[1].get(name)
        if isinstance(result, Result) and isinstance(smaller, Result):
            growth[name] = (result.best.peak_bytes - smaller.best.peak_bytes) / rows
    return growth


def _contender_lines(
    corpus: Corpus, chosen: list[Contender], results: Results, growth: Mapping[str, float]
) -> Iterator[Line]:
    floor, synced = results[FLOOR.name], results[SYNCED_FLOOR.name]
    for contender in chosen:
        name, result = contender.name, results[contender.name]
        if contender.package == "teapot" and not those.has_workers():
            name += " (this Teapot has no --workers)"
        if isinstance(result, Failed):
            yield failed_line(corpus.rows, name, result, goal=contender.goal)
        elif isinstance(floor, Result) and isinstance(synced, Result):
            ratio = result.best.seconds / floor.best.seconds
            yield Line(
                rows=corpus.rows, name=name, measured=f"{ratio:.2f} × floor", value=ratio,
                goal=contender.goal, result=result,
                synced_ratio=result.best.seconds / synced.best.seconds,
                cpu_ratio=result.best.cpu_seconds / floor.best.cpu_seconds,
                growth_bytes=growth.get(contender.name),
            )  # fmt: skip


def _goal_lines(corpus: Corpus, results: Results, growth: Mapping[str, float]) -> Iterator[Line]:
    """Yield what is claimed of Teapot with two workers, beyond its ratio to the floor."""
    ours = results.get(TEAPOT.name)
    if not isinstance(ours, Result):
        return
    yield from _against(corpus, results, those.POLARS, AGAINST_POLARS)
    yield from _against(corpus, results, those.DATASETS, FASTER_THAN_DATASETS)
    yield from _against(corpus, results, those.PYTHON, FASTER_THAN_PYTHON)
    peak = ours.best.peak_bytes / MEGABYTE
    name = "teapot, 2 workers: peak"
    yield Line(rows=corpus.rows, name=name, measured=f"{peak:.0f} MB", value=peak, goal=PEAK)
    if TEAPOT.name in growth:
        more, name = growth[TEAPOT.name], "teapot, 2 workers: growth"
        measured = f"{more:.0f} bytes a row"
        yield Line(rows=corpus.rows, name=name, measured=measured, value=more, goal=GROWTH)


def _against(corpus: Corpus, results: Results, other: Contender, goal: Goal) -> Iterator[Line]:
    """Yield how Teapot stands against another, told as the goal tells it."""
    ours, theirs = results[TEAPOT.name], results.get(other.name)
    if not isinstance(ours, Result) or not isinstance(theirs, Result):
        return
    ratio = ours.best.seconds / theirs.best.seconds
    value = ratio if goal.most is not None else 1 / ratio
    name = f"teapot, 2 workers, against {other.name}"
    yield Line(
        rows=corpus.rows, name=name, measured=f"{value:.2f} {goal.unit}", value=value, goal=goal
    )


def _speed_line(small: tuple[Corpus, Results], large: tuple[Corpus, Results]) -> Iterator[Line]:
    """Yield how much longer a gigabyte takes in the larger of two corpora past 1M rows."""
    before, after = small[1].get(TEAPOT.name), large[1].get(TEAPOT.name)
    if isinstance(before, Result) and isinstance(after, Result):
        pace = before.best.seconds / small[0].bytes
        ratio = after.best.seconds / large[0].bytes / pace
        measured = f"{ratio:.2f} × the s/GB of {small[0].rows:,} rows"
        name = "teapot, 2 workers: seconds per GB"
        yield Line(rows=large[0].rows, name=name, measured=measured, value=ratio, goal=SAME_SPEED)


if __name__ == "__main__":
    main()

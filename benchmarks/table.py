"""The lines of the one table that the benchmarks print, in Markdown."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from goals import Goal
from measure import Cost, Failed, Wrong

MEGABYTE = 1_000_000
_HEAD = (
    "rows", "what", "measured", "× synced floor", "cpu × floor", "seconds", "worst/best", "cpu s",
    "peak MB", "bytes/row more", "goal", "met",
)  # fmt: skip
_LEFT = frozenset({"what", "measured", "goal", "met"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """The best run of a command and how much longer its worst took."""

    best: Cost
    spread: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """One thing measured at one size.

    `value` is what the goal is about and `measured` how it is told; a line whose command failed has
    no value, and misses its goal. `broken` means that no table should stand with this line in it.
    """

    rows: int
    name: str
    measured: str
    value: float | None = None
    goal: Goal | None = None
    result: Result | None = None
    synced_ratio: float | None = None
    cpu_ratio: float | None = None
    growth_bytes: float | None = None
    broken: bool = False


def best_of(costs: list[Cost]) -> Result:
    """Return the fastest of several runs."""
    best = min(costs, key=lambda cost: cost.seconds)
    return Result(best=best, spread=max(cost.seconds for cost in costs) / best.seconds)


def failed_line(
    rows: int, name: str, failed: Failed, *, goal: Goal | None = None, may_fail: bool = False
) -> Line:
    """Return the line of a command that did not do what it should.

    One that may fail breaks the table only by writing what is wrong.
    """
    broken = isinstance(failed, Wrong) or not may_fail
    return Line(rows=rows, name=name, measured=f"failed: {failed.reason}", goal=goal, broken=broken)


def head() -> list[str]:
    """Return the two lines that open the table."""
    rule = ["---" if name in _LEFT else "---:" for name in _HEAD]
    return [_joined(_HEAD), _joined(rule)]


def written(line: Line) -> str:
    """Return a line as a row of the table."""
    best = line.result.best if line.result else None
    return _joined((
        f"{line.rows:,}" if line.rows else "",
        line.name,
        line.measured.replace("|", "¦"),
        _number(line.synced_ratio, 2),
        _number(line.cpu_ratio, 2),
        _number(best.seconds if best else None, 2),
        _number(line.result.spread if line.result else None, 2),
        _number(best.cpu_seconds if best else None, 2),
        _number(best.peak_bytes / MEGABYTE if best else None, 0),
        _number(line.growth_bytes, 0),
        line.goal.text if line.goal else "",
        line.goal.verdict(line.value, line.rows) if line.goal else "",
    ))  # fmt: skip


def print_table(lines: Iterable[Line]) -> bool:
    """Print lines as they come, with their head, and return whether none is broken."""
    print(*head(), sep="\n", flush=True)
    whole = True
    for line in lines:
        print(written(line), flush=True)
        whole = whole and not line.broken
    return whole


def _joined(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:,.{digits}f}"

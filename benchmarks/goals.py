"""What was set as a goal before it was measured, and whether a figure meets it.

The goals hold for a size: 1M rows where they are about throughput and memory, the 3,700 rows of
Karma Electric where they are about one command. At another size the figure is shown, not judged.
"""

from __future__ import annotations

from dataclasses import dataclass

MEDIUM_ROWS, LARGE_ROWS = 3700, 1_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Goal:
    """The most or the least that a figure may be, for sizes from `least_rows` to `most_rows`."""

    most: float | None = None
    least: float | None = None
    unit: str = ""
    least_rows: int = LARGE_ROWS
    most_rows: int | None = None

    @property
    def text(self) -> str:
        """Return the goal as the table tells it."""
        sign, bound = ("≤", self.most) if self.most is not None else ("≥", self.least)
        return f"{sign} {bound:g} {self.unit}".rstrip()

    def verdict(self, value: float | None, rows: int) -> str:
        """Return whether a figure of so many rows meets the goal; None is that of a failure."""
        if rows < self.least_rows or (self.most_rows is not None and rows > self.most_rows):
            return f"(for {self.most_rows or self.least_rows:,} rows)"
        return "met" if value is not None and self._holds(value) else "**not met**"

    def _holds(self, value: float) -> bool:
        return (self.most is None or value <= self.most) and (
            self.least is None or value >= self.least
        )


FULL_JOB = Goal(most=2.0, unit="× floor")
ONE_WORKER = Goal(most=3.0, unit="× floor")
AGAINST_POLARS = Goal(most=1.0, unit="× polars")
FASTER_THAN_DATASETS = Goal(least=4.0, unit="× as fast")
FASTER_THAN_PYTHON = Goal(least=5.0, unit="× as fast")
PEAK = Goal(most=400, unit="MB", most_rows=LARGE_ROWS)
GROWTH = Goal(most=70, unit="bytes a row")
SAME_SPEED = Goal(most=1.15, unit="× the s/GB of 1M", least_rows=LARGE_ROWS + 1)
CAPPED = Goal(least=1, unit="(it ends)")
VERIFY = Goal(most=1.3, unit="× SHA-256")
PLAN = Goal(most=1.0, unit="× compose")
EXPLAIN = Goal(most=1.0, unit="s")
HELP = Goal(most=0.3, unit="s", least_rows=0)
MEDIUM_COMPOSE = Goal(most=1.0, unit="s", least_rows=0, most_rows=MEDIUM_ROWS)

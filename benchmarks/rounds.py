"""Commands that are run in turns, so that what else the machine does falls on all alike."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from contenders import TEAPOT, new_place
from corpus import Corpus
from measure import Cost, Failed, Place, measure
from table import Result, best_of

Run = Callable[[], Cost | Failed]


@dataclass(frozen=True, kw_only=True, slots=True)
class HandedOver:
    """A signed composition in a folder without its sources, and where commands about it run."""

    data: Path
    place: Place


def in_turns(commands: Mapping[str, Run], runs: int) -> dict[str, Result | Failed]:
    """Return the best of so many runs of each; one that fails is not run again."""
    costs: dict[str, list[Cost]] = {name: [] for name in commands}
    failures: dict[str, Failed] = {}
    for _ in range(runs):
        for name, run in commands.items():
            if name in failures:
                continue
            outcome = run()
            if isinstance(outcome, Failed):
                failures[name] = outcome
            else:
                costs[name].append(outcome)
    return {name: failures.get(name) or best_of(costs[name]) for name in commands}


def required(results: Mapping[str, Result | Failed], name: str) -> Result:
    """Return the result that others are compared with; without it there is nothing to say."""
    result = results[name]
    if isinstance(result, Failed):
        sys.exit(f"{name} failed: {result.reason}")
    return result


@contextmanager
def handed_over(corpus: Corpus, limit_seconds: float) -> Iterator[HandedOver]:
    """Give a composition as somebody gets it who has no sources."""
    with new_place(corpus.folder.parent, limit_seconds) as place:
        made, work = place.folder / "made", place.folder / "handed-over"
        made.mkdir()
        cost = measure(TEAPOT.command(corpus, made / "mix.jsonl"), place)
        if isinstance(cost, Failed):
            sys.exit(f"teapot compose failed: {cost.reason}")
        made.rename(work)
        shutil.rmtree(place.folder / "cache", ignore_errors=True)
        yield HandedOver(data=work / "mix.jsonl", place=replace(place, folder=work))

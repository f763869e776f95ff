"""The screen that keeps evaluation sets out of a mix."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from teapot.canonical import dumps
from teapot.digest import sha256_hex
from teapot.leakindex import LeakIndex
from teapot.leaks import LeakFinder
from teapot.model.recipe import RecipeDecontamination
from teapot.screens import Candidate, Left, Noted, Outcome

CONTAMINATED, LEAKED = "contaminated", "leaked"
"""Why a row is left out: for what it has of a set, or as what must end the run."""


@dataclass(frozen=True, slots=True, eq=False)
class LeakScreenSpec:
    """An index that can be sent to other processes; `key` tells it from others."""

    index: LeakIndex
    key: str

    @classmethod
    def of(cls, index: LeakIndex, stated: RecipeDecontamination) -> LeakScreenSpec:
        """Return the screen over an index of sets, of which a recipe states so much."""
        return cls(index, sha256_hex(dumps(asdict(stated))))

    def open(self) -> LeakScreen:
        """Return the screen; a process keeps the last that it has opened."""
        if self.key not in _OPENED:
            _OPENED.clear()
            _OPENED[self.key] = LeakScreen(LeakFinder(self.index))
        return _OPENED.get(self.key) or LeakScreen(LeakFinder(self.index))


class LeakScreen:
    """Leaves out what leaks an evaluation set, or says so; may be used by several threads."""

    changes = False

    def __init__(self, finder: LeakFinder) -> None:
        self._finder = finder

    def screen(self, candidate: Candidate) -> Outcome:
        """Return what becomes of a record by the policy of the set that it leaks."""
        leak = self._finder.find(candidate.messages, candidate.tools)
        if leak is None:
            return None
        if leak.policy == "fail":
            return Left(LEAKED, str(leak))
        if leak.policy == "drop":
            return Left(CONTAMINATED, str(leak))
        return Noted(str(leak), (CONTAMINATED,))


_OPENED: dict[str, LeakScreen] = {}

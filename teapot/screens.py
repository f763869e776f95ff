"""Screens: what looks at every usable record of a module before it is counted, and may change it.

A screen is a pure function of the record. It is run where lines are made, right after a row was
judged and reviewers' edits were made, on any engine and never on what a cache keeps before it; so
neither workers nor engines change what becomes of a record. Pass two runs only those that change
records, because a record that was left out is never asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from teapot.model.record import Message


@dataclass(frozen=True, slots=True)
class Candidate:
    """A record as a screen sees it; `messages` and `tools` are those of its line."""

    id: str
    messages: list[Message]
    tools: list[Any] | None = None


@dataclass(frozen=True, slots=True)
class Noted:
    """The record stays as it is; the ledger's row says `detail`; it is counted by `counted`."""

    detail: str
    counted: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Changed:
    """The record has other messages, by `repairs`, which are counted; it is checked again."""

    messages: list[Message]
    repairs: tuple[str, ...]
    detail: str


@dataclass(frozen=True, slots=True)
class Left:
    """The record is left out of the mix, for a reason that is counted."""

    reason: str
    detail: str


Outcome = Noted | Changed | Left | None


class Screen(Protocol):
    """Looks at records; may be used by several threads."""

    @property
    def changes(self) -> bool:
        """Tell whether it may change a record, and must see it in pass two as well."""
        ...

    def screen(self, candidate: Candidate) -> Outcome:
        """Return what becomes of a record; None where it has nothing to say."""
        ...


class ScreenSpec(Protocol):
    """What a screen is made of: a value that can be sent to another process."""

    def open(self) -> Screen:
        """Return the screen.

        Raises:
            MissingExtraError: a library that it leans on is not installed.
        """
        ...

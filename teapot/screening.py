"""Runs screens over parts: see `screens` for what they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from teapot.canonical import loads
from teapot.index import NO_RECORD, SPOOLED, Entries
from teapot.model.record import Dropped, Record
from teapot.partchanges import PartChanges
from teapot.partmaker import PartMaker
from teapot.parts import Part
from teapot.screens import Candidate, Left, Noted, ScreenSpec


class Screener:
    """Runs screens over parts that one maker has made; may be used by several threads."""

    def __init__(
        self, maker: PartMaker, specs: Sequence[ScreenSpec], *, again: bool = False
    ) -> None:
        """With `again`, only those are run that may change a record."""
        screens = [spec.open() for spec in specs]
        self._screens = [screen for screen in screens if screen.changes or not again]
        self._maker = maker

    def of_part(self, part: Part) -> Part:
        """Return a part whose usable records, with their lines in it, went through the screens."""
        if not self._screens:
            return part
        changes = PartChanges(part)
        for place in (part.entries["state"] != NO_RECORD).nonzero()[0].tolist():
            self._screen(changes, place, _record(part, part.entries[place]))
        return changes.part()

    def _screen(self, changes: PartChanges, place: int, record: Record) -> None:
        for screen in self._screens:
            outcome = screen.screen(Candidate(record.id, record.messages, record.tools))
            if isinstance(outcome, Noted):
                changes.note(place, outcome.detail, outcome.counted)
            elif isinstance(outcome, Left):
                changes.leave(place, outcome.reason, outcome.detail)
                return
            elif outcome is not None:
                made = self._maker.remake(record, outcome.messages)
                if isinstance(made, Dropped):
                    changes.drop(place, made, outcome.detail)
                    return
                changes.put(place, made, self._maker.tokens_of(made))
                changes.repaired(place, outcome.repairs, outcome.detail)
                record = _of_line(made.line)


def _record(part: Part, entry: Entries) -> Record:
    assert entry["state"] == SPOOLED  # noqa: S101 - whoever screens asks for lines
    start = int(entry["offset"])
    return _of_line(part.lines[start : start + int(entry["length"])])


def _of_line(line: bytes) -> Record:
    value: dict[str, Any] = loads(line)
    return Record(**value)

"""A part in change: records edited by reviewers or altered by screens, dropped, or spoken of."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy

from teapot.digest import sha256
from teapot.index import NO_RECORD, SPOOLED
from teapot.model.record import Dropped, Example
from teapot.parts import Part, Repaired, Reviewed


class PartChanges:
    """What is changed of one part; its entries are changed in place."""

    def __init__(self, part: Part) -> None:
        self._part, self._odd = part, dict(part.odd)
        self._ids: list[str | None] | None = None
        self._lines, self._bytes = [part.lines], len(part.lines)

    @property
    def ids(self) -> list[str | None]:
        """Return the id of each row."""
        if self._ids is None:
            self._ids = self._part.ids.listed()
        return self._ids

    def drop(self, place: int, dropped: Dropped, told: str) -> None:
        """Drop a record that does not pass its checks any more; it is told by what was read."""
        entry = self._as_read(place)
        self._odd[place] = replace(
            dropped, content_digest=entry["content"].tobytes(),
            detail=f"{dropped.detail}; after {told}", shown=f"{dropped.shown}; after {told}",
        )  # fmt: skip
        entry["state"] = NO_RECORD

    def leave(self, place: int, reason: str, detail: str) -> None:
        """Drop a record that passes its checks, for a reason; what was said of it stays."""
        entry, odd = self._as_read(place), self._noted(place)
        told = "; ".join(filter(None, (detail, odd.detail)))
        self._odd[place] = Dropped(
            reason=reason, detail=told, shown=told, id=self.ids[place], bad=False,
            license=self._part.licenses[int(entry["license"])],
            content_digest=entry["content"].tobytes(),
        )  # fmt: skip
        entry["state"] = NO_RECORD

    def note(self, place: int, detail: str, counted: tuple[str, ...] = ()) -> None:
        """Say something of a record that stays, and under which words that is counted."""
        odd = self._noted(place)
        told = "; ".join(filter(None, (odd.detail, detail)))
        self._odd[place] = replace(odd, detail=told, counted=(*odd.counted, *counted))

    def review(self, place: int, example: Example, detail: str, decided: bytes) -> None:
        """Say which reviewer's decision made an example, and of which content it was."""
        self._odd[place] = Reviewed(detail, example.repairs, example.digest_before, decided)

    def repaired(self, place: int, repairs: tuple[str, ...], detail: str) -> None:
        """Say which repairs a record went through that verdicts know by what it was before them."""
        self.note(place, detail)
        odd = self._noted(place)
        self._odd[place] = replace(odd, repairs=(*odd.repairs, *repairs))

    def put(self, place: int, example: Example, tokens: int) -> None:
        """Put an example in the place of a record; its line is kept, for no row makes it again."""
        entry, odd = self._part.entries[place], self._noted(place)
        before = entry["content"].tobytes()
        self._odd[place] = replace(
            odd, digest_before=odd.digest_before or before, read=odd.read or before
        )
        entry["content"] = numpy.frombuffer(example.content_digest, dtype=numpy.uint8)
        entry["record"] = numpy.frombuffer(sha256(example.line), dtype=numpy.uint8)
        entry["offset"], entry["length"] = self._bytes, len(example.line)
        entry["characters"], entry["tokens"] = example.characters, tokens
        entry["state"] = SPOOLED
        self._lines.append(example.line)
        self._bytes += len(example.line)

    def part(self) -> Part:
        """Return what came of it."""
        return replace(self._part, odd=self._odd, lines=b"".join(self._lines))

    def _as_read(self, place: int) -> Any:
        """Return the entry of a row that goes out, told by the content that was read."""
        entry, odd = self._part.entries[place], self._noted(place)
        read = odd.decided or odd.read
        if read is not None:
            entry["content"] = numpy.frombuffer(read, dtype=numpy.uint8)
        return entry

    def _noted(self, place: int) -> Reviewed:
        """Return what is known of a record that stays, as what more can be said of it."""
        odd = self._odd.get(place)
        if isinstance(odd, Reviewed):
            return odd
        if isinstance(odd, Repaired):
            return Reviewed("", odd.repairs, odd.digest_before)
        return Reviewed("")

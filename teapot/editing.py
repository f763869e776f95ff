"""Applies reviewers' edits to parts, where their rows were judged and before they are counted.

An edited record goes through every check again, and its line is new; so this is done wherever lines
are made, in both passes, on the rows of the same block. A cache keeps parts as they were before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy

from teapot.curationfile import Curation
from teapot.index import NO_RECORD, Keys, Numbers, keys_of, prefixes_of
from teapot.interfaces import Block
from teapot.model.record import Dropped, Fault, Row
from teapot.model.verdict import Decision
from teapot.partchanges import PartChanges
from teapot.partmaker import PartMaker
from teapot.parts import Part
from teapot.sources.jsonl import parse_row


@dataclass(frozen=True, slots=True)
class Edits:
    """The decisions of one module that change records, by content digest, and where they stand."""

    use: str
    decisions: Mapping[bytes, Decision]
    _prefixes: Keys = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        digests = b"".join(sorted(self.decisions)) or bytes(32)
        object.__setattr__(self, "_prefixes", numpy.unique(keys_of(digests)[:, 0]))

    def places(self, part: Part) -> Numbers:
        """Return the places of the records of a part that may have to be changed."""
        if not self.decisions:
            return numpy.empty(0, dtype=numpy.int64)
        alike = numpy.isin(prefixes_of(part.entries["content"]), self._prefixes)
        return numpy.flatnonzero(alike & (part.entries["state"] != NO_RECORD))


def edits_of(curation: Curation | None) -> Edits | None:
    """Return what a curation changes of records."""
    return None if curation is None else Edits(curation.use, curation.changing())


class Editor:
    """Changes the records of parts that one maker has made; may be used by several threads."""

    def __init__(self, maker: PartMaker, edits: Edits | None) -> None:
        self._maker = maker
        self._edits = edits if edits is not None else Edits("", {})

    def of_block(self, part: Part, block: Block) -> Part:
        """Return a part of a block with its edited records."""
        places = self._edits.places(part)
        if block.fault is not None or not len(places):
            return part
        lines = bytes(block.data).split(b"\n")
        return self._edited(part, places, lambda place: parse_row(lines[place]))

    def of_rows(self, part: Part, rows: Sequence[Row | Fault]) -> Part:
        """Return a part that was made of rows with its edited records."""
        return self._edited(part, self._edits.places(part), rows.__getitem__)

    def _edited(self, part: Part, places: Numbers, row_at: Callable[[int], Row | Fault]) -> Part:
        if not len(places):
            return part
        changing = PartChanges(part)
        for place in places.tolist():
            content = part.entries["content"][place].tobytes()
            decision = self._edits.decisions.get(content)
            row = row_at(place)
            if decision is None or isinstance(row, Fault):
                continue
            made = self._maker.revise(row, changing.ids[place] or "", decision)
            told = decision.told(self._edits.use)
            if isinstance(made, Dropped):
                changing.drop(place, made, told)
            else:
                changing.put(place, made, self._maker.tokens_of(made))
                changing.review(place, made, told, content)
        return changing.part()

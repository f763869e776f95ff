"""Applies reviewers' decisions to parts: what compiled code, a cache or a cluster has judged.

A decision is looked up by the content digest of the record that was read. Where a row was altered
since, it has another digest: the decision is an orphan, counted and never applied.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace

import numpy

from teapot.curationfile import Curation
from teapot.index import DIGEST_BYTES, NO_RECORD, Numbers, keys_of, prefixes_of
from teapot.model.record import Dropped
from teapot.model.report import CurationReport
from teapot.model.verdict import Decision
from teapot.parts import Part, Repaired, Reviewed

CURATED, UNREVIEWED = "curated", "unreviewed"
SHOWN = 20


@dataclass(slots=True)
class CurationTally:
    """What decisions came to while a module was read; `fails` are rows that nobody reviewed."""

    matched: set[bytes] = field(default_factory=set)
    matched_ids: set[str] = field(default_factory=set)
    rows: Counter[str] = field(default_factory=Counter)
    fails: list[tuple[str, int, str]] = field(default_factory=list)


class Curator:
    """Applies the decisions of one module, part after part, and counts."""

    def __init__(self, curation: Curation) -> None:
        self.curation, self.tally = curation, CurationTally()
        digests = b"".join(sorted(curation.decisions))
        self._prefixes = numpy.unique(keys_of(digests)[:, 0]) if digests else None

    def applied(self, part: Part, source: str) -> Part:
        """Return a part of a source, its rows gone through the decisions."""
        odd: dict[int, Dropped | Repaired | Reviewed] = dict(part.odd)
        ids = part.ids.listed() if self.curation.by_id else None
        open_ = part.entries["state"] != NO_RECORD
        contents = _contents(part)
        decided = self._decided(part, ids, contents)
        for place, one in part.odd.items():
            if isinstance(one, Reviewed) and one.decided is not None:
                # It was changed where it was judged; what is said of its new content is not of it.
                open_[place] = False
                self.tally.matched.add(one.decided)
                self.tally.rows[self.curation.decisions[one.decided].verdict] += 1
        for place, decision in decided.items():
            if not open_[place]:
                continue  # it was dropped for what it is, whatever was said of it
            open_[place] = False
            self.tally.rows[decision.verdict] += 1
            told = decision.told(self.curation.use)
            if decision.verdict == "drop":
                odd[place] = _dropped((part, contents), place, CURATED, told)
            else:
                odd[place] = _reviewed(part.odd.get(place), told)
        self._leave((part, contents), source, numpy.flatnonzero(open_), odd)
        gone = [place for place, one in odd.items() if isinstance(one, Dropped)]
        part.entries["state"][gone] = NO_RECORD
        part.entries["content"][gone] = contents[gone]  # a row that is out is told by what was read
        return replace(part, odd=odd)

    def report(self) -> CurationReport:
        """Return the counts of the module; valid once all of its parts are applied."""
        curation, tally = self.curation, self.tally
        decided = [*curation.decisions.values(), *curation.by_id.values()]
        verdicts = Counter(decision.verdict for decision in decided)
        matched = len(tally.matched) + len(tally.matched_ids)
        return CurationReport(
            verdicts=dict(sorted(verdicts.items())), matched=matched,
            orphans=len(decided) - matched, rows=dict(sorted(tally.rows.items())),
        )  # fmt: skip

    def _decided(
        self, part: Part, ids: list[str | None] | None, contents: Numbers
    ) -> dict[int, Decision]:
        """Return the decisions by place; what was said of a content goes before what of an id."""
        found: dict[int, Decision] = {}
        for place, name in enumerate(ids or ()):
            decision = self.curation.by_id.get(name) if name is not None else None
            if name is not None and decision is not None:
                self.tally.matched_ids.add(name)
                found[place] = decision
        changed = {
            place
            for place, one in part.odd.items()
            if isinstance(one, Reviewed) and one.decided is not None
        }
        for place in self._candidates(contents).tolist():
            if place in changed:
                continue
            digest = contents[place].tobytes()
            decision = self.curation.decisions.get(digest)
            if decision is not None:
                self.tally.matched.add(digest)
                found[place] = decision
        return dict(sorted(found.items()))

    def _candidates(self, contents: Numbers) -> Numbers:
        """Return the places of rows whose digest begins as that of a decision."""
        if self._prefixes is None:
            return numpy.empty(0, dtype=numpy.int64)
        return numpy.flatnonzero(numpy.isin(prefixes_of(contents), self._prefixes))

    def _leave(
        self, rows: tuple[Part, Numbers], source: str, places: Numbers,
        odd: dict[int, Dropped | Repaired | Reviewed],
    ) -> None:  # fmt: skip
        """Do with rows that nobody reviewed what the config says."""
        part, contents = rows
        self.tally.rows[UNREVIEWED] += len(places)
        if self.curation.unreviewed == "fail":
            for place in places[: SHOWN - len(self.tally.fails)].tolist():
                row, content = part.entries["row"][place], contents[place]
                self.tally.fails.append((source, int(row), content.tobytes().hex()))
        elif self.curation.unreviewed == "drop":
            told = f"no verdict in {self.curation.use}"
            odd.update(
                {place: _dropped(rows, place, UNREVIEWED, told) for place in places.tolist()}
            )


def _dropped(rows: tuple[Part, Numbers], place: int, reason: str, told: str) -> Dropped:
    part, contents = rows
    code = int(part.entries["license"][place])
    return Dropped(
        reason=reason, detail=told, shown=told, license=part.licenses[code], bad=False,
        content_digest=contents[place].tobytes(),
    )  # fmt: skip


def _reviewed(odd: Dropped | Repaired | Reviewed | None, told: str) -> Reviewed:
    if isinstance(odd, Reviewed):
        return replace(odd, detail="; ".join(filter(None, (told, odd.detail))))
    if isinstance(odd, Repaired):
        return Reviewed(told, odd.repairs, odd.digest_before)
    return Reviewed(told)


def _contents(part: Part) -> Numbers:
    """Return the content digests that verdicts know the rows by, shape (n, 32)."""
    read = {
        place: one.read
        for place, one in part.odd.items()
        if isinstance(one, Reviewed) and one.read is not None
    }
    contents: Numbers = part.entries["content"]
    if read:
        contents = contents.copy()
        contents[[*read]] = numpy.frombuffer(b"".join(read.values()), dtype=numpy.uint8).reshape(
            -1, DIGEST_BYTES
        )
    return contents

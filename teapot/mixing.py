"""The plan of a mix, made from the compact index alone: duplicates, draws and order.

`weight w` on n usable records gives floor(w·n) lines: floor(w) copies of each record, and for the
fraction the records of lowest draw rank. The output is sorted by order rank. Both ranks are
functions of content (see `ordering`), so that a larger weight only adds lines and nothing but a
module's own records and seed decides which of them enter.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

import numpy
from numpy.typing import NDArray

from teapot.index import DIGEST_BYTES, RecordIndex, keys_of, sort_order
from teapot.model.config import Duplicates
from teapot.ordering import DRAW_LABEL, ORDER_LABEL, Ranker

Numbers = NDArray[numpy.int64]
LineDigest = Callable[[int], bytes]


@dataclass(frozen=True, kw_only=True, slots=True)
class Share:
    """What one module gives: lines asked for, and the draw rank at which its fraction was cut.

    `whole` copies of each usable record, and `drawn` records once more. `cutoff` is the rank of the
    last record drawn, None where nothing was.
    """

    weight: Decimal
    usable: int
    whole: int
    drawn: int
    cutoff: bytes | None

    @property
    def lines(self) -> int:
        """Return floor(weight x usable)."""
        return self.whole * self.usable + self.drawn


@dataclass(frozen=True, kw_only=True, slots=True)
class Mix:
    """Which record stands on which output line, and why every other one does not.

    `order[line]` is the record on that line, from 0. `occurrences[record]` counts equal records of
    one module. `twins[record]` is the record whose equal content was kept instead, or -1.
    """

    order: Numbers
    occurrences: Numbers
    twins: Numbers
    shares: Mapping[str, Share]
    duplicate_groups: int
    duplicate_records: int


def plan_mix(
    index: RecordIndex,
    weights: Mapping[str, Decimal],
    *,
    seed: int,
    duplicates: Duplicates,
    line_digest: LineDigest,
) -> Mix:
    """Return the mix of all records in `index`.

    `line_digest` gives the SHA-256 of a record's line; it is asked only for equal records of one
    module, whose occurrences must not depend on the order of rows.
    """
    groups = _equal_groups(index)
    planner = _Planner(index, seed, _occurrences(index, groups, line_digest))
    twins = numpy.full(len(index), -1, dtype=numpy.int64)
    if duplicates.policy == "drop":
        planner.drop_twins(groups, twins, duplicates.prefer)
    shares: dict[str, Share] = {}
    lines: list[tuple[str, int, Numbers]] = []
    for module, span in index.modules():
        usable = numpy.arange(span.start, span.stop, dtype=numpy.int64)
        usable = usable[twins[span.start : span.stop] < 0]
        share, drawn = planner.share(module, usable, weights[module])
        shares[module] = share
        lines.extend((module, copy, usable) for copy in range(share.whole))
        lines.append((module, share.whole, drawn))
    return Mix(
        order=planner.ordered(lines),
        occurrences=planner.occurrences,
        twins=twins,
        shares=shares,
        duplicate_groups=len(groups),
        duplicate_records=sum(len(group) - 1 for group in groups),
    )


def lines_of_records(mix: Mix, records: int) -> tuple[Numbers, Numbers]:
    """Return the lines (from 0) grouped by record, and where each record's group starts.

    Record r stands on `lines[starts[r]:starts[r + 1]]`, in ascending order.
    """
    lines = numpy.argsort(mix.order, kind="stable")
    starts = numpy.zeros(records + 1, dtype=numpy.int64)
    numpy.cumsum(numpy.bincount(mix.order, minlength=records), out=starts[1:])
    return lines, starts


@dataclass(frozen=True, slots=True)
class _Planner:
    """What every step of a plan leans on."""

    index: RecordIndex
    seed: int
    occurrences: Numbers

    def share(self, module: str, usable: Numbers, weight: Decimal) -> tuple[Share, Numbers]:
        """Return what a module gives, and the records drawn for the fraction of its weight."""
        numerator, denominator = weight.as_integer_ratio()
        total = numerator * len(usable) // denominator
        whole = int(weight)
        count = total - whole * len(usable)
        drawn, cutoff = _NOTHING, None
        if count:
            ranks = self._ranks(Ranker(DRAW_LABEL, self.seed, module), usable, whole)
            lowest = sort_order(keys_of(ranks))[:count]
            drawn = numpy.sort(usable[lowest])
            last = int(lowest[-1]) * DIGEST_BYTES
            cutoff = bytes(ranks[last : last + DIGEST_BYTES])
        share = Share(weight=weight, usable=len(usable), whole=whole, drawn=count, cutoff=cutoff)
        return share, drawn

    def ordered(self, lines: Sequence[tuple[str, int, Numbers]]) -> Numbers:
        """Return the record of every line (module, copy, records), sorted by order rank."""
        ranks = bytearray()
        for module, copy, records in lines:
            ranks += self._ranks(Ranker(ORDER_LABEL, self.seed, module), records, copy)
        standing = numpy.concatenate([_NOTHING, *(records for _, _, records in lines)])
        return standing[sort_order(keys_of(ranks))]

    def drop_twins(
        self, groups: Sequence[Sequence[int]], twins: Numbers, prefer: Sequence[str]
    ) -> None:
        """Enter into `twins`, for all but one record of each group, the one that is kept."""
        names = list(self.index.spans)
        modules = self.index.module_numbers()
        rankers = [Ranker(DRAW_LABEL, self.seed, name) for name in names]
        preference = {name: place for place, name in enumerate(prefer)}

        def standing(record: int) -> tuple[int, bytes]:
            module = int(modules[record])
            digest, occurrence = self.index.digest(record), int(self.occurrences[record])
            rank = rankers[module].rank(digest, occurrence)
            return preference.get(names[module], len(prefer)), rank

        for group in groups:
            kept = min(group, key=standing)
            twins[[record for record in group if record != kept]] = kept

    def _ranks(self, ranker: Ranker, records: Numbers, copy: int) -> bytearray:
        """Return the 32-byte ranks of `records`, end to end."""
        ranks = bytearray()
        occurrences = self.occurrences[records].tolist()
        for record, occurrence in zip(records.tolist(), occurrences, strict=True):
            ranks += ranker.rank(self.index.digest(record), occurrence, copy)
        return ranks


_NOTHING: Numbers = numpy.empty(0, dtype=numpy.int64)


def _equal_groups(index: RecordIndex) -> list[list[int]]:
    """Return the records of every content that occurs more than once, in reading order."""
    keys = index.digest_keys()
    order = sort_order(keys)
    if len(order) < 2:
        return []
    same = (keys[order[1:]] == keys[order[:-1]]).all(axis=1)
    groups: list[list[int]] = []
    last = -2
    for place in numpy.flatnonzero(same).tolist():
        if place != last + 1:
            groups.append([int(order[place])])
        groups[-1].append(int(order[place + 1]))
        last = place
    return groups


def _occurrences(
    index: RecordIndex, groups: Sequence[Sequence[int]], line_digest: LineDigest
) -> Numbers:
    occurrences = numpy.zeros(len(index), dtype=numpy.int64)
    modules = index.module_numbers()
    for group in groups:
        by_module: dict[int, list[int]] = {}
        for record in group:
            by_module.setdefault(int(modules[record]), []).append(record)
        for equal in by_module.values():
            if len(equal) > 1:
                ranked = sorted(equal, key=lambda record: (line_digest(record), record))
                occurrences[ranked] = numpy.arange(len(ranked))
    return occurrences

"""The plan of a mix, made from the index alone: duplicates, draws and order.

`weight w` on n usable records gives floor(w·n) lines: floor(w) copies of each record, and for the
fraction the records of lowest draw rank. The output is sorted by order rank. Both ranks are
functions of content (see `ordering`), so that a larger weight only adds lines and nothing but a
module's own records and seed decides which of them enter.

Ranks are sorted by their first 8 bytes, and looked at whole only where those are equal: a plan
holds some 30 bytes for each line, whatever the records hold.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

import numpy

from teapot.index import NO_RECORD, Keys, Numbers, RecordIndex, prefixes_of
from teapot.model.config import Duplicates
from teapot.ordering import DRAW_LABEL, ORDER_LABEL, Ranker

NO_TWIN = -1


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
    """Which row's record stands on which output line, and why every other one does not.

    `order[line]` is the row on that line, from 0. `occurrences[row]` counts equal records of one
    module. `twins[row]` is the row whose equal content was kept instead, or `NO_TWIN`.
    """

    order: Numbers
    occurrences: Numbers
    twins: Numbers
    shares: Mapping[str, Share]
    duplicate_groups: int
    duplicate_records: int


def plan_mix(
    index: RecordIndex, weights: Mapping[str, Decimal], *, seed: int, duplicates: Duplicates
) -> Mix:
    """Return the mix of all records in `index`."""
    equals = _equal_records(index)
    occurrences = _occurrences(index, equals)
    twins: Numbers = numpy.broadcast_to(numpy.int64(NO_TWIN), len(index))
    planner = _Planner(index, seed, occurrences)
    if duplicates.policy == "drop" and len(equals.records):
        twins = planner.twins(equals, duplicates.prefer)
    shares: dict[str, Share] = {}
    lines: list[_Lines] = []
    for module, span in index.modules():
        usable = index.usable(span)
        usable = usable[twins[usable] == NO_TWIN]
        shares[module], drawn = planner.share(module, usable, weights[module])
        whole = shares[module].whole
        lines.extend(_Lines(module, copy, usable) for copy in range(whole))
        lines.append(_Lines(module, whole, drawn))
    return Mix(
        order=planner.ordered(lines),
        occurrences=occurrences,
        twins=twins,
        shares=shares,
        duplicate_groups=equals.groups,
        duplicate_records=len(equals.records) - equals.groups,
    )


def lines_of_records(mix: Mix, records: int) -> tuple[Numbers, Numbers]:
    """Return the lines (from 0) grouped by row, and where each row's group starts.

    Row r stands on `lines[starts[r]:starts[r + 1]]`, in ascending order.
    """
    lines = numpy.argsort(mix.order, kind="stable")
    starts = numpy.zeros(records + 1, dtype=numpy.int64)
    numpy.cumsum(numpy.bincount(mix.order, minlength=records), out=starts[1:])
    return lines, starts


def rank_order(keys: Keys, whole_rank: Callable[[int], bytes]) -> Numbers:
    """Return the order that sorts ranks of which `keys` are the first 8 bytes.

    `whole_rank` gives the rank at a place, and is asked only where keys are equal.
    """
    order = numpy.argsort(keys)
    ordered = keys[order]
    for run in _runs(ordered[1:] == ordered[:-1]):
        order[run] = sorted(order[run].tolist(), key=whole_rank)
    return order


@dataclass(frozen=True, slots=True)
class _Lines:
    """One copy of some of a module's records, ascending: a line each."""

    module: str
    copy: int
    records: Numbers


@dataclass(frozen=True, slots=True)
class _Equals:
    """The records of every content that occurs more than once, in groups of equal content.

    `contents` and `lines` are their content and record digests, shape (n, 32); `starts` tells
    where each of the groups begins.
    """

    records: Numbers
    contents: Numbers
    lines: Numbers
    starts: Numbers

    @property
    def groups(self) -> int:
        """Return how many contents occur more than once."""
        return len(self.starts)

    @property
    def group_numbers(self) -> Numbers:
        """Return for each record the number of its group."""
        sizes = numpy.diff(self.starts, append=len(self.records))
        return numpy.repeat(numpy.arange(self.groups), sizes)


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
        drawn, cutoff = usable[:0], None
        if count:
            lines = _Lines(module, whole, usable)
            order = self._order(DRAW_LABEL, [lines])[:count]
            drawn = numpy.sort(usable[order])
            cutoff = self._rank(DRAW_LABEL, [lines], int(order[-1]))
        share = Share(weight=weight, usable=len(usable), whole=whole, drawn=count, cutoff=cutoff)
        return share, drawn

    def ordered(self, lines: Sequence[_Lines]) -> Numbers:
        """Return the record of every line, sorted by order rank."""
        order = self._order(ORDER_LABEL, lines)
        standing = numpy.concatenate([part.records for part in lines])
        return standing[order]

    def twins(self, equals: _Equals, prefer: Sequence[str]) -> Numbers:
        """Return, for all but one record of each content, the one that is kept."""
        names = list(self.index.spans)
        modules = self.index.module_numbers(equals.records)
        preference = {name: place for place, name in enumerate(prefer)}
        preferred = numpy.array([preference.get(name, len(prefer)) for name in names])[modules]
        ranks = numpy.empty_like(equals.contents)
        for number, name in enumerate(names):
            own = modules == number
            ranker = Ranker(DRAW_LABEL, self.seed, name)
            occurrences = self.occurrences[equals.records[own]]
            ranks[own] = ranker.ranks(equals.contents[own], occurrences)
        groups = equals.group_numbers
        order = numpy.lexsort((*_sort_columns(ranks), preferred, groups))
        kept = equals.records[order][equals.starts]
        twins = numpy.full(len(self.index), NO_TWIN, dtype=numpy.int64)
        twins[equals.records] = kept[groups]
        twins[kept] = NO_TWIN
        return twins

    def _order(self, label: bytes, lines: Sequence[_Lines]) -> Numbers:
        keys = numpy.empty(sum(len(part.records) for part in lines), dtype=numpy.uint64)
        at = 0
        for part in lines:
            ranker, place = Ranker(label, self.seed, part.module), 0
            for contents in self.index.contents(part.records):
                occurrences = self.occurrences[part.records[place : place + len(contents)]]
                ranks = ranker.ranks(contents, occurrences, part.copy)
                keys[at : at + len(contents)] = prefixes_of(ranks)
                at, place = at + len(contents), place + len(contents)
        return rank_order(keys, lambda place: self._rank(label, lines, place))

    def _rank(self, label: bytes, lines: Sequence[_Lines], place: int) -> bytes:
        """Return the whole rank at one place of all lines."""
        for part in lines:
            if place < len(part.records):
                break
            place -= len(part.records)
        record = int(part.records[place])
        content = self.index.entry(record)["content"].tobytes()
        ranker = Ranker(label, self.seed, part.module)
        return ranker.rank(content, int(self.occurrences[record]), part.copy)


def _equal_records(index: RecordIndex) -> _Equals:
    """Return the records whose content occurs more than once."""
    repeated = _repeated_prefixes(index)
    records, contents, lines = [], [], []
    for start, entries in index.chunks() if len(repeated) else ():
        found = _are_among(prefixes_of(entries["content"]), repeated)
        places = numpy.flatnonzero(found & (entries["state"] != NO_RECORD))
        records.append(places + start)
        contents.append(entries["content"][places])
        lines.append(entries["record"][places])
    if not records:
        none = numpy.empty((0, 32), dtype=numpy.uint8)
        nobody = numpy.empty(0, dtype=numpy.int64)
        return _Equals(nobody, none, none, nobody)
    return _grouped(*map(numpy.concatenate, (records, contents, lines)))


def _repeated_prefixes(index: RecordIndex) -> Keys:
    """Return the first 8 bytes that the contents of several records have in common."""
    prefixes = numpy.empty(len(index), dtype=numpy.uint64)
    count = 0
    for _, entries in index.chunks():
        usable = entries["content"][entries["state"] != NO_RECORD]
        prefixes[count : count + len(usable)] = prefixes_of(usable)
        count += len(usable)
    prefixes = prefixes[:count]
    prefixes.sort()
    return numpy.unique(prefixes[1:][prefixes[1:] == prefixes[:-1]])


def _are_among(keys: Keys, known: Keys) -> Numbers:
    """Tell of each key whether it is one of `known`, which ascend and need no sorting anew."""
    places = numpy.minimum(numpy.searchsorted(known, keys), len(known) - 1)
    found: Numbers = known[places] == keys
    return found


def _grouped(records: Numbers, contents: Numbers, lines: Numbers) -> _Equals:
    """Return records in groups of equal content, without those that are alone after all."""
    order = numpy.lexsort((records, *_sort_columns(contents)))
    records, contents, lines = records[order], contents[order], lines[order]
    same = (contents[1:] == contents[:-1]).all(axis=1)
    is_equal = numpy.append(same, False) | numpy.insert(same, 0, False)
    is_first = ~numpy.insert(same, 0, False)
    starts = numpy.flatnonzero(is_first[is_equal])
    return _Equals(records[is_equal], contents[is_equal], lines[is_equal], starts)


def _occurrences(index: RecordIndex, equals: _Equals) -> Numbers:
    """Return which of the equal records of its module each is, in the order of their lines."""
    if not len(equals.records):
        nothing: Numbers = numpy.broadcast_to(numpy.uint32(0), len(index))
        return nothing
    modules, groups = index.module_numbers(equals.records), equals.group_numbers
    order = numpy.lexsort((equals.records, *_sort_columns(equals.lines), modules, groups))
    keys = numpy.stack((groups, modules))[:, order]
    is_first = numpy.insert((keys[:, 1:] != keys[:, :-1]).any(axis=0), 0, True)
    starts = numpy.flatnonzero(is_first)
    places = numpy.arange(len(order))
    occurrences = numpy.zeros(len(index), dtype=numpy.uint32)
    occurrences[equals.records[order]] = places - starts[numpy.cumsum(is_first) - 1]
    return occurrences


def _sort_columns(digests: Numbers) -> tuple[Numbers, ...]:
    """Return digests, shape (n, 32), as columns for `lexsort`, the most telling last."""
    keys = numpy.ascontiguousarray(digests).view(">u8").astype(numpy.uint64)
    return tuple(keys[:, place] for place in (3, 2, 1, 0))


def _runs(same_as_next: Numbers) -> list[slice]:
    """Return where neighbours are equal, as slices of at least two places."""
    places = numpy.flatnonzero(same_as_next)
    if not len(places):
        return []
    breaks = numpy.flatnonzero(numpy.diff(places) > 1) + 1
    return [slice(int(run[0]), int(run[-1]) + 2) for run in numpy.split(places, breaks)]

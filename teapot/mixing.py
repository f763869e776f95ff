"""The plan of a mix, made from the index alone: duplicates, draws and order.

`amounts` says how many lines a module gives. L lines of n usable records are L // n copies of each,
and L % n records of lowest draw rank once more. The output is sorted by order rank. Both ranks are
functions of content (see `ordering`), so that a larger amount only adds lines and nothing but a
module's own records and seed decides which of them enter. Records that are held out for validation
(see `splitting`) are taken out first, and stand once each in an order of their own.

Ranks are sorted by their first 8 bytes, and looked at whole only where those are equal. Rows are
walked through some thousands at a time; what grows with them lies in `scratch`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy

from teapot.amounts import Usable
from teapot.equals import Equals, equal_records, occurrences_of, sort_columns
from teapot.errors import DataError, Problem
from teapot.index import (
    DIGEST_BYTES,
    NO_RECORD,
    Entries,
    Keys,
    Numbers,
    RecordIndex,
    prefixes_of,
)
from teapot.model.config import Duplicates
from teapot.model.likeness import Likeness
from teapot.neardup import Alike, NearTwins, alike_records, near_pairs, near_twins
from teapot.ordering import DRAW_LABEL, ORDER_LABEL, Ranker
from teapot.scratch import Rows, Spread, room
from teapot.sketches import Sketches
from teapot.splitting import Split, held_out

NO_TWIN = -1
_NOBODY: Numbers = numpy.empty(0, dtype=numpy.bool_)
_LINE = numpy.dtype([("key", "<u8"), ("record", "<u8"), ("copy", "<u4")])
_PAIR = numpy.dtype([("key", "<u8")])
_MOST_BITS = 64
_CHUNK_LINES = 1 << 16
LinesOf = Callable[[Mapping[str, Usable]], Mapping[str, int]]
"""Says how many lines each module gives, by what each may give."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Share:
    """What one module gives, and the draw rank at which the last lines were cut.

    `whole` copies of each usable record, and `drawn` records once more. `cutoff` is the rank of the
    last record drawn, None where nothing was. `tokens` are those of the usable records.
    """

    usable: int
    tokens: int
    whole: int
    drawn: int
    cutoff: bytes | None

    @property
    def lines(self) -> int:
        """Return the number of lines."""
        return self.whole * self.usable + self.drawn


@dataclass(frozen=True, kw_only=True, slots=True)
class Mix:
    """Which row's record stands on which output line, and why every other one does not.

    `order[line]` is the row on that line, from 0, and `copies[row]` on how many lines it stands.
    `occurrences[row]` counts equal records of one module. `twins[row]` is the row whose equal
    content was kept instead, or `NO_TWIN`. `near` are the rows that are like another one which is
    kept, though not equal to it; they are twins too, where duplicates are dropped.
    `validation[line]` is the row on that line of the validation file, and `held[row]` whether it
    stands there; both are empty without such a file.
    """

    order: Numbers
    copies: Numbers
    occurrences: Numbers
    twins: Numbers
    shares: Mapping[str, Share]
    duplicate_groups: int
    duplicate_records: int
    near: NearTwins = field(default_factory=NearTwins.none)
    validation: Numbers = field(default_factory=_NOBODY.copy)
    held: Numbers = field(default_factory=_NOBODY.copy)

    def of_validation(self) -> Mix:
        """Return the mix whose lines are those of the validation file."""
        return replace(self, order=self.validation, copies=self.held.astype(numpy.uint8))

    def with_validation(self, folder: Path | None = None) -> Mix:
        """Return the mix whose lines are those of the data, and of the validation file behind."""
        if not len(self.validation):
            return self
        lines = len(self.order)
        order = room(lines + len(self.validation), self.order.dtype, folder)
        order[:lines], order[lines:] = self.order, self.validation
        copies = room(len(self.copies), self.copies.dtype, folder)
        numpy.add(self.copies, self.held, out=copies)  # nobody stands in both
        return replace(self, order=order, copies=copies)


@dataclass(frozen=True, kw_only=True, slots=True)
class Rules:
    """What of a recipe decides which record stands where, beside how many lines a module gives."""

    seed: int
    duplicates: Duplicates
    split: Split | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Beside:
    """What lies beside the index: a folder for what is too much for memory, and sketches.

    Those tell which records are alike; without them, only equal contents are duplicates.
    """

    folder: Path | None = None
    sketches: Sketches | None = None


def plan_mix(
    index: RecordIndex, lines_of: LinesOf, rules: Rules, beside: Beside | None = None
) -> Mix:
    """Return the mix of all records in `index`."""
    folder, sketches = (beside.folder, beside.sketches) if beside else (None, None)
    duplicates = rules.duplicates
    equals = equal_records(index, folder)
    planner = _Planner(
        index, rules.seed, folder,
        occurrences=occurrences_of(index, equals, folder),
        twins=numpy.broadcast_to(numpy.int64(NO_TWIN), len(index)),
    )  # fmt: skip
    single, near = planner, NearTwins.none()
    if len(equals.records) and (duplicates.policy == "drop" or sketches is not None):
        single = planner.with_twins(equals, duplicates.prefer)
    split = rules.split
    if sketches is not None and split is not None and not split.relatives.is_exact:
        split = replace(split, pairs=near_pairs(single.alike(sketches, split.relatives)))
    if sketches is not None and not duplicates.likeness.is_exact:
        single, near = single.with_near(sketches, duplicates)
    if duplicates.policy == "drop":
        planner = single
    if split is not None:
        is_held = held_out(index, equals, split, seed=rules.seed, folder=folder)
        is_held &= planner.twins == NO_TWIN
        planner = replace(planner, held=is_held)
    usable = {module: planner.usable(span) for module, span in index.modules()}
    lines = lines_of(usable)
    shares = {
        module: planner.share(module, span, usable[module], lines[module])
        for module, span in index.modules()
    }
    order, copies = planner.ordered(shares)
    return Mix(
        order=order,
        copies=copies,
        occurrences=planner.occurrences,
        twins=planner.twins,
        shares=shares,
        duplicate_groups=equals.groups,
        duplicate_records=len(equals.records) - equals.groups,
        near=near,
        validation=planner.validation(),
        held=planner.held,
    )


class RecordLines:
    """On which lines each row's record stands, asked for in the order of the rows.

    A row and a line are one number, the row's bits before the line's, so that they sort in place.
    """

    def __init__(self, mix: Mix, folder: Path | None = None) -> None:
        rows, total = len(mix.copies), len(mix.order)
        self._line_bits = numpy.uint64(total.bit_length())
        bits = rows.bit_length() + total.bit_length()
        if bits > _MOST_BITS:
            told = f"{rows:,} rows and {total:,} lines are more than can be numbered"
            raise DataError(Problem("", told))
        self._pairs = Spread(_PAIR, total, folder, key_bits=max(bits, 1))
        for start in range(0, total, _CHUNK_LINES):
            records = mix.order[start : start + _CHUNK_LINES].astype(numpy.uint64)
            lines = numpy.arange(start, start + len(records), dtype=numpy.uint64)
            self._pairs.add(((records << self._line_bits) | lines).view(_PAIR))
        self._buckets = self._pairs.buckets()
        self._held = numpy.empty(0, dtype=numpy.uint64)

    def of(self, copies: Numbers) -> tuple[Numbers, Numbers]:
        """Return the lines (from 0) of the next rows, which have so many copies, and their starts.

        The nth of these rows stands on `lines[starts[n]:starts[n + 1]]`, in ascending order.
        """
        starts = numpy.zeros(len(copies) + 1, dtype=numpy.int64)
        numpy.cumsum(copies, out=starts[1:])
        while len(self._held) < starts[-1]:
            bucket = next(self._buckets)["key"]
            bucket.sort()
            self._held = numpy.concatenate((self._held, bucket)) if len(self._held) else bucket
        found, self._held = self._held[: starts[-1]], self._held[starts[-1] :]
        mask = (numpy.uint64(1) << self._line_bits) - numpy.uint64(1)
        return (found & mask).astype(numpy.int64), starts

    def close(self) -> None:
        """Remove what was not asked for."""
        self._pairs.close()


def rank_order(keys: Keys, whole_rank: Callable[[int], bytes]) -> Numbers:
    """Return the order that sorts ranks of which `keys` are the first 8 bytes.

    `whole_rank` gives the rank at a place, and is asked only where keys are equal.
    """
    order = numpy.argsort(keys)
    ordered = keys[order]
    for run in _runs(ordered[1:] == ordered[:-1]):
        order[run] = sorted(order[run].tolist(), key=whole_rank)
    return order


def not_above(ranks: Numbers, cutoff: bytes) -> Numbers:
    """Tell which ranks, shape (n, 32), are not above a cut-off."""
    bound = numpy.frombuffer(cutoff, dtype=numpy.uint8)
    keys, key = prefixes_of(ranks), prefixes_of(bound.reshape(1, -1))[0]
    enters: Numbers = keys < key
    for place in numpy.flatnonzero(keys == key).tolist():
        enters[place] = ranks[place].tobytes() <= cutoff
    return enters


@dataclass(frozen=True, slots=True)
class _Planner:
    """What every step of a plan leans on."""

    index: RecordIndex
    seed: int
    folder: Path | None
    occurrences: Numbers
    twins: Numbers
    held: Numbers = field(default_factory=_NOBODY.copy)

    def with_twins(self, equals: Equals, prefer: Sequence[str]) -> _Planner:
        """Return a planner that keeps one record of each content."""
        groups = equals.group_numbers
        columns = self._keep_columns(equals.records, equals.contents, prefer)
        kept = equals.records[numpy.lexsort((*columns, groups))][equals.starts]
        twins = room(len(self.index), numpy.int64, self.folder)
        twins[:] = NO_TWIN
        twins[equals.records] = kept[groups]
        twins[kept] = NO_TWIN
        return replace(self, twins=twins)

    def alike(self, sketches: Sketches, likeness: Likeness) -> Alike:
        """Return which records to compare, of each content one."""
        return alike_records(
            self.index, sketches, likeness, lambda rows: self.twins[rows] == NO_TWIN, self.folder
        )

    def with_near(self, sketches: Sketches, duplicates: Duplicates) -> tuple[_Planner, NearTwins]:
        """Return a planner that keeps one of records that are alike, and which are not kept.

        What is equal to a record that is like another has that one for its twin as well.
        """

        def keep_order(records: Numbers) -> Numbers:
            columns = self._keep_columns(records, self._contents(records), duplicates.prefer)
            order: Numbers = numpy.lexsort(columns)
            return order

        found = near_twins(self.alike(sketches, duplicates.likeness), keep_order)
        if not len(found.rows):
            return self, found
        twins = room(len(self.index), numpy.int64, self.folder)
        twins[:] = self.twins
        followers = numpy.flatnonzero(numpy.isin(self.twins, found.rows))
        places = numpy.searchsorted(found.rows, self.twins[followers])
        rows = numpy.concatenate((found.rows, followers))
        kept = numpy.concatenate((found.kept, found.kept[places]))
        minima = numpy.concatenate((found.equal_minima, found.equal_minima[places]))
        twins[rows], order = kept, numpy.argsort(rows)
        planner = replace(self, twins=twins)
        made = NearTwins(rows[order], kept[order], minima[order], found.signature)
        return planner, made

    def _keep_columns(
        self, records: Numbers, contents: Numbers, prefer: Sequence[str]
    ) -> tuple[Numbers, ...]:
        """Return columns for `lexsort` that bring first the record which its duplicates leave."""
        names = list(self.index.spans)
        modules = self.index.module_numbers(records)
        preference = {name: place for place, name in enumerate(prefer)}
        preferred = numpy.array([preference.get(name, len(prefer)) for name in names])[modules]
        ranks = numpy.empty_like(contents)
        for number, name in enumerate(names):
            own = modules == number
            occurrences = self.occurrences[records[own]]
            ranks[own] = self._ranker(DRAW_LABEL, name).ranks(contents[own], occurrences)
        return *sort_columns(ranks), preferred

    def _contents(self, records: Numbers) -> Numbers:
        """Return the content digests of records, which ascend, shape (n, 32)."""
        contents = numpy.empty((len(records), DIGEST_BYTES), dtype=numpy.uint8)
        for start, entries in self.index.chunks():
            low, high = numpy.searchsorted(records, [start, start + len(entries)]).tolist()
            contents[low:high] = entries["content"][records[low:high] - start]
        return contents

    def usable(self, span: range) -> Usable:
        """Return what a module may give."""
        records = tokens = 0
        for start, entries in self.index.chunks(span):
            is_usable = self._is_usable(start, entries)
            records += int(numpy.count_nonzero(is_usable))
            tokens += int(entries["tokens"][is_usable].sum(dtype=numpy.int64))
        return Usable(records=records, tokens=tokens)

    def share(self, module: str, span: range, usable: Usable, lines: int) -> Share:
        """Return what a module gives that has so many lines."""
        records = usable.records
        whole, drawn = divmod(lines, records) if records else (0, 0)
        cutoff = self._cutoff(module, span, whole, records, drawn) if drawn else None
        return Share(
            usable=records, tokens=usable.tokens, whole=whole, drawn=drawn, cutoff=cutoff
        )  # fmt: skip

    def ordered(self, shares: Mapping[str, Share]) -> tuple[Numbers, Numbers]:
        """Return the record of every line, sorted by order rank, and each row's number of lines."""
        total = sum(share.lines for share in shares.values())
        copies = room(len(self.index), numpy.uint32, self.folder)
        copies[:] = 0
        with closing(Spread(_LINE, total, self.folder)) as spread:
            for module, span in self.index.modules():
                for lines in self._lines(module, span, shares[module]):
                    spread.add(lines)
                    copies[lines["record"]] += 1  # no record comes twice in one copy
            return self._sorted(spread, total), copies

    def validation(self) -> Numbers:
        """Return the record of every line of the validation file, sorted by order rank."""
        total = int(numpy.count_nonzero(self.held))
        if not total:
            return _NOBODY
        with closing(Spread(_LINE, total, self.folder)) as spread:
            for module, span in self.index.modules():
                ranker = self._ranker(ORDER_LABEL, module)
                for start, entries in self.index.chunks(span):
                    places = numpy.flatnonzero(self.held[start : start + len(entries)])
                    records = places + start
                    contents = entries["content"][places]
                    ranks = ranker.ranks(contents, self.occurrences[records])
                    spread.add(_lines_of(records, ranks, 0))
            return self._sorted(spread, total)

    def _sorted(self, spread: Spread, total: int) -> Numbers:
        """Return the record of each of so many lines, by order rank."""
        order, at = room(total, self.index.number_type, self.folder), 0
        for lines in spread.buckets():
            order[at : at + len(lines)] = lines["record"][self._order(ORDER_LABEL, lines)]
            at += len(lines)
        return order

    def _lines(self, module: str, span: range, share: Share) -> Iterator[Rows]:
        """Yield the lines of a module, unsorted; those of one array are of one copy."""
        ranker, draw = self._ranker(ORDER_LABEL, module), self._ranker(DRAW_LABEL, module)
        for records, contents in self._usable(span):
            occurrences = self.occurrences[records]
            for copy in range(share.whole):
                ranks = ranker.ranks(contents, occurrences, copy)
                yield _lines_of(records, ranks, copy)
            if share.cutoff is not None:
                drawn = draw.ranks(contents, occurrences, share.whole)
                enters = not_above(drawn, share.cutoff)
                ranks = ranker.ranks(contents[enters], occurrences[enters], share.whole)
                yield _lines_of(records[enters], ranks, share.whole)

    def _cutoff(self, module: str, span: range, whole: int, usable: int, drawn: int) -> bytes:
        """Return the highest of the `drawn` lowest draw ranks of a module."""
        ranker = self._ranker(DRAW_LABEL, module)
        with closing(Spread(_LINE, usable, self.folder)) as spread:
            for records, contents in self._usable(span):
                ranks = ranker.ranks(contents, self.occurrences[records], whole)
                spread.add(_lines_of(records, ranks, whole))
            for lines in spread.buckets():
                if drawn <= len(lines):
                    last = self._order(DRAW_LABEL, lines)[drawn - 1]
                    return self._rank(DRAW_LABEL, lines[last])
                drawn -= len(lines)
        raise AssertionError("more are drawn than there are")

    def _usable(self, span: range) -> Iterator[tuple[Numbers, Entries]]:
        """Yield the records of a span that may stand on lines, and their content digests."""
        for start, entries in self.index.chunks(span):
            places = numpy.flatnonzero(self._is_usable(start, entries))
            yield places + start, entries["content"][places]

    def _is_usable(self, start: int, entries: Entries) -> Numbers:
        """Tell which of the entries from one on may stand on lines of the data."""
        rows = slice(start, start + len(entries))
        is_usable: Numbers = (entries["state"] != NO_RECORD) & (self.twins[rows] == NO_TWIN)
        return is_usable & ~self.held[rows] if len(self.held) else is_usable

    def _order(self, label: bytes, lines: Rows) -> Numbers:
        return rank_order(lines["key"], lambda place: self._rank(label, lines[place]))

    def _rank(self, label: bytes, line: Rows) -> bytes:
        """Return the whole rank of one line."""
        record = int(line["record"])
        module = list(self.index.spans)[int(self.index.module_numbers(numpy.array([record]))[0])]
        content = self.index.entry(record)["content"].tobytes()
        ranker = self._ranker(label, module)
        return ranker.rank(content, int(self.occurrences[record]), int(line["copy"]))

    def _ranker(self, label: bytes, module: str) -> Ranker:
        return Ranker(label, self.seed, module)


def _lines_of(records: Numbers, ranks: Numbers, copy: int) -> Rows:
    lines = numpy.empty(len(records), dtype=_LINE)
    lines["key"], lines["record"], lines["copy"] = prefixes_of(ranks), records, copy
    return lines


def _runs(same_as_next: Numbers) -> list[slice]:
    """Return where neighbours are equal, as slices of at least two places."""
    places = numpy.flatnonzero(same_as_next)
    if not len(places):
        return []
    breaks = numpy.flatnonzero(numpy.diff(places) > 1) + 1
    return [slice(int(run[0]), int(run[-1]) + 2) for run in numpy.split(places, breaks)]

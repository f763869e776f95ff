"""Records that say nearly the same: which one is kept, and which stand behind it.

Records are taken in their keep order. One that is like a record already kept is left out, and that
record stands for it; so each has a twin that is kept, and no chain of small changes leads from one
text to quite another. Whom to compare is found by locality-sensitive hashing of MinHash signatures
(Leskovec, Rajaraman and Ullman, Mining of Massive Datasets, chapter 3): records that agree in all
minima of any band. Of those, alike are the ones whose share of equal minima, which estimates the
Jaccard similarity of their runs of words, is the threshold at least.

Buckets are found by sorting, column by column, and only records that share one are looked at again:
what grows with the rows lies in `scratch`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from math import ceil
from pathlib import Path

import numpy

from teapot.equals import are_among
from teapot.index import NO_RECORD, Keys, Numbers, RecordIndex
from teapot.model.likeness import Likeness
from teapot.scratch import Spread, room
from teapot.sketches import Sketch, Sketches, band_keys, bands_of

SAME_WORDS = -1
"""Stands for a similarity where all words are the same, in all turns."""
_KEY = numpy.dtype([("key", "<u8")])
_ALONE = -1
KeepOrder = Callable[[Numbers], Numbers]
"""Gives places that sort records, given by their rows, so that the first is kept."""


@dataclass(frozen=True, slots=True)
class NearTwins:
    """Rows that are like one that is kept, ascending, `kept` the row that stands for each.

    `equal_minima` tells how many of the minima of a `signature` are the same, or `SAME_WORDS`.
    """

    rows: Numbers
    kept: Numbers
    equal_minima: Numbers
    signature: int = 0

    @classmethod
    def none(cls) -> NearTwins:
        """Return that nothing is like anything."""
        nothing = numpy.empty(0, dtype=numpy.int64)
        return cls(nothing, nothing, nothing)


@dataclass(frozen=True, slots=True)
class Alike:
    """Records that share a bucket with another, ascending, with their sketches.

    `buckets`, shape (n, columns), tells which bucket of each column a record lies in; `least` is
    how many minima must be equal.
    """

    records: Numbers
    sketches: Sketch
    buckets: Numbers
    least: int


def alike_records(
    index: RecordIndex, sketches: Sketches, likeness: Likeness,
    is_open: Callable[[slice], Numbers], folder: Path | None = None,
) -> Alike:  # fmt: skip
    """Return which usable records to compare; `is_open` tells which rows to ask."""
    bands = bands_of(likeness.near) if likeness.match == "near" else None
    columns = 1 + (bands[0] if bands else 0)
    keys = room(columns * len(index), numpy.uint64, folder).reshape(columns, len(index))
    usable = numpy.zeros(len(index), dtype=numpy.bool_)
    for start, entries in index.chunks():
        rows = slice(start, start + len(entries))
        usable[rows] = (entries["state"] != NO_RECORD) & is_open(rows)
    for start, chunk in sketches.chunks():
        keys[:, start : start + len(chunk)] = band_keys(chunk, bands)
    records = numpy.flatnonzero(_share_a_bucket(keys, usable, folder))
    buckets = numpy.full((len(records), columns), _ALONE, dtype=numpy.int64)
    for column in range(columns if len(records) else 0):
        buckets[:, column] = _buckets(keys[column][records])
    held = _gathered(sketches, records, folder)
    return Alike(records, held, buckets, least_equal(likeness))


def least_equal(likeness: Likeness) -> int:
    """Return how many minima must be equal; more than there are where words alone count."""
    if likeness.match != "near":
        return likeness.near.permutations + 1
    return ceil(likeness.near.threshold * likeness.near.permutations)


def near_twins(alike: Alike, keep_order: KeepOrder) -> NearTwins:
    """Return which of some records are like one that is kept."""
    if not len(alike.records):
        return NearTwins.none()
    return _Keeping(alike).kept_first(keep_order(alike.records))


def near_pairs(alike: Alike) -> Numbers:
    """Return pairs of rows, shape (n, 2), that connect all records which are like each other.

    A pair may be connected by others between them; what is connected already is not compared.
    """
    compared, groups = _Comparison(alike), _Groups(len(alike.records))
    for bucket in _each_bucket(alike.buckets):
        clusters: list[list[int]] = []
        for place in bucket:
            joined = [
                cluster
                for cluster in clusters
                if groups.are_one(cluster[0], place) or compared.is_like_any(place, cluster)
            ]
            for cluster in joined:
                groups.join(cluster[0], place)
                clusters.remove(cluster)
            clusters.append([*(member for cluster in joined for member in cluster), place])
    found = numpy.array(groups.joined, dtype=numpy.int64).reshape(-1, 2)
    pairs: Numbers = alike.records[found]
    return pairs


def _each_bucket(buckets: Numbers) -> Iterator[list[int]]:
    """Yield the places of the records in each bucket of each column."""
    for column in buckets.T:
        order = numpy.argsort(column, kind="stable")
        order = order[column[order] != _ALONE]
        ends = numpy.flatnonzero(numpy.diff(column[order])) + 1
        for bucket in numpy.split(order, ends):
            yield bucket.tolist()


class _Groups:
    """Places that are connected (union-find), and the pairs that have connected them."""

    def __init__(self, count: int) -> None:
        self._roots = list(range(count))
        self.joined: list[tuple[int, int]] = []

    def are_one(self, one: int, other: int) -> bool:
        """Tell whether two places are connected."""
        return self._root(one) == self._root(other)

    def join(self, one: int, other: int) -> None:
        """Connect two places, if they are not."""
        first, second = self._root(one), self._root(other)
        if first != second:
            self._roots[max(first, second)] = min(first, second)
            self.joined.append((one, other))

    def _root(self, place: int) -> int:
        while self._roots[place] != place:
            self._roots[place] = self._roots[self._roots[place]]
            place = self._roots[place]
        return place


def _share_a_bucket(keys: Numbers, usable: Numbers, folder: Path | None) -> Numbers:
    """Tell which usable rows have a key in common with another."""
    shares = numpy.zeros(len(usable), dtype=numpy.bool_)
    for column in keys:
        repeated = _repeated(column, usable, folder)
        if len(repeated):
            for rows in _slices(len(usable)):
                shares[rows] |= are_among(column[rows], repeated)
    shares &= usable
    return shares


def _repeated(column: Keys, usable: Numbers, folder: Path | None) -> Keys:
    """Return the keys, ascending, that several usable rows have."""
    repeated = []
    with closing(Spread(_KEY, len(usable), folder)) as spread:
        for rows in _slices(len(usable)):
            spread.add(numpy.ascontiguousarray(column[rows][usable[rows]]).view(_KEY))
        for bucket in spread.buckets():
            keys = bucket["key"]
            keys.sort()
            repeated.append(numpy.unique(keys[1:][keys[1:] == keys[:-1]]))
    return numpy.concatenate(repeated)


def _slices(count: int) -> Iterator[slice]:
    step = 1 << 16
    return (slice(start, start + step) for start in range(0, count, step))


def _buckets(keys: Keys) -> Numbers:
    """Return the number of each record's bucket; `_ALONE` where nobody shares it."""
    _, numbers, counts = numpy.unique(keys, return_inverse=True, return_counts=True)
    return numpy.where(counts[numbers] > 1, numbers, _ALONE).astype(numpy.int64)


def _gathered(sketches: Sketches, records: Numbers, folder: Path | None) -> Sketch:
    """Return the sketches of records, which ascend."""
    held = room(len(records), sketches.type, folder)
    for start, chunk in sketches.chunks():
        low, high = numpy.searchsorted(records, [start, start + len(chunk)]).tolist()
        held[low:high] = chunk[records[low:high] - start]
    return held


class _Comparison:
    """Tells how alike records are, by their places."""

    def __init__(self, alike: Alike) -> None:
        sketches = alike.sketches
        self._texts = numpy.ascontiguousarray(sketches["text"]).view("V16")[:, 0]
        self._minima = sketches["minima"] if "minima" in (sketches.dtype.names or ()) else None
        self._least = alike.least

    @property
    def signature(self) -> int:
        """Return how many minima are compared."""
        return 0 if self._minima is None else int(self._minima.shape[1])

    def is_like_any(self, place: int, others: list[int]) -> bool:
        """Tell whether a record is like one of others, of which the first few say it mostly."""
        start, size = 0, 4
        while start < len(others):
            if self.best(place, numpy.array(others[start : start + size])) is not None:
                return True
            start, size = start + size, 4 * size
        return False

    def best(self, place: int, others: Numbers) -> tuple[int, int] | None:
        """Return the most alike of others, and how alike; the first of equals; None of unlike."""
        same = numpy.flatnonzero(self._texts[others] == self._texts[place])
        if len(same):
            return int(others[same[0]]), SAME_WORDS
        if self._minima is None:
            return None
        equal = (self._minima[others] == self._minima[place]).sum(axis=1)
        best = int(equal.argmax())
        return (int(others[best]), int(equal[best])) if equal[best] >= self._least else None


class _Keeping:
    """Takes records one by one, and keeps those that are like none that was kept before."""

    def __init__(self, alike: Alike) -> None:
        self._alike, self._compared = alike, _Comparison(alike)
        self._columns: list[dict[int, list[int]]] = [{} for _ in range(alike.buckets.shape[1])]
        self._kept: list[int] = []

    def kept_first(self, order: Numbers) -> NearTwins:
        """Return the twins, where records are taken in an order of their places."""
        found: list[tuple[int, int, int]] = []
        for place in order.tolist():
            buckets = self._alike.buckets[place].tolist()
            twin = self._twin(place, buckets)
            if twin is not None:
                found.append((place, *twin))
                continue
            for column, bucket in zip(self._columns, buckets, strict=True):
                if bucket != _ALONE:
                    column.setdefault(bucket, []).append(len(self._kept))
            self._kept.append(place)
        if not found:
            return NearTwins.none()
        places, twins, minima = numpy.array(sorted(found), dtype=numpy.int64).T
        rows = self._alike.records
        return NearTwins(rows[places], rows[twins], minima, self._compared.signature)

    def _twin(self, place: int, buckets: list[int]) -> tuple[int, int] | None:
        """Return the most alike of the records kept so far, and how alike."""
        known: set[int] = set()
        for column, bucket in zip(self._columns, buckets, strict=True):
            known.update(column.get(bucket, ()))
        if not known:
            return None
        others = numpy.array([self._kept[number] for number in sorted(known)])
        return self._compared.best(place, others)

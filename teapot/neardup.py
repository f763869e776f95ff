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


def near_twins(
    index: RecordIndex, sketches: Sketches, is_open: Callable[[slice], Numbers],
    keep_order: KeepOrder, folder: Path | None = None,
) -> NearTwins:  # fmt: skip
    """Return which usable records are like one that is kept; `is_open` tells which rows to ask."""
    likeness = sketches.likeness
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
    if not len(records):
        return NearTwins.none()
    buckets = numpy.stack([_buckets(column[records]) for column in keys], axis=1)
    held = _gathered(sketches, records, folder)
    least = ceil(likeness.near.threshold * likeness.near.permutations)
    return _Keeping(records, held, buckets, least).kept_first(keep_order(records))


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


class _Keeping:
    """Takes records one by one, and keeps those that are like none that was kept before.

    `buckets`, shape (n, columns), tells which bucket of each column a record lies in.
    """

    def __init__(self, records: Numbers, sketches: Sketch, buckets: Numbers, least: int) -> None:
        self._records, self._buckets, self._least = records, buckets, least
        self._texts = numpy.ascontiguousarray(sketches["text"]).view("V16")[:, 0]
        self._minima = sketches["minima"] if "minima" in (sketches.dtype.names or ()) else None
        self._columns: list[dict[int, list[int]]] = [{} for _ in range(buckets.shape[1])]
        self._kept: list[int] = []

    def kept_first(self, order: Numbers) -> NearTwins:
        """Return the twins, where records are taken in an order of their places."""
        found: list[tuple[int, int, int]] = []
        for place in order.tolist():
            buckets = self._buckets[place].tolist()
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
        size = 0 if self._minima is None else self._minima.shape[1]
        return NearTwins(self._records[places], self._records[twins], minima, size)

    def _twin(self, place: int, buckets: list[int]) -> tuple[int, int] | None:
        """Return the most alike of the records kept so far, and how alike; the first of equals."""
        known: set[int] = set()
        for column, bucket in zip(self._columns, buckets, strict=True):
            known.update(column.get(bucket, ()))
        if not known:
            return None
        others = numpy.array([self._kept[number] for number in sorted(known)])
        same = numpy.flatnonzero(self._texts[others] == self._texts[place])
        if len(same):
            return int(others[same[0]]), SAME_WORDS
        if self._minima is None:
            return None
        equal = (self._minima[others] == self._minima[place]).sum(axis=1)
        best = int(equal.argmax())
        return (int(others[best]), int(equal[best])) if equal[best] >= self._least else None

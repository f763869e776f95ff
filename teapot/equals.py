"""Records of equal content, from the index alone: which there are, and which is which."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy

from teapot.index import NO_RECORD, Keys, Numbers, RecordIndex, prefixes_of
from teapot.scratch import Spread, room

_KEY = numpy.dtype([("key", "<u8")])


@dataclass(frozen=True, slots=True)
class Equals:
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


def equal_records(index: RecordIndex, folder: Path | None = None) -> Equals:
    """Return the records whose content occurs more than once."""
    repeated = _repeated_prefixes(index, folder)
    records, contents, lines = [], [], []
    for start, entries in index.chunks() if len(repeated) else ():
        found = are_among(prefixes_of(entries["content"]), repeated)
        places = numpy.flatnonzero(found & (entries["state"] != NO_RECORD))
        records.append(places + start)
        contents.append(entries["content"][places])
        lines.append(entries["record"][places])
    if not records:
        none = numpy.empty((0, 32), dtype=numpy.uint8)
        nobody = numpy.empty(0, dtype=numpy.int64)
        return Equals(nobody, none, none, nobody)
    return _grouped(*map(numpy.concatenate, (records, contents, lines)))


def occurrences_of(index: RecordIndex, equals: Equals, folder: Path | None = None) -> Numbers:
    """Return which of the equal records of its module each is, in the order of their lines."""
    if not len(equals.records):
        nothing: Numbers = numpy.broadcast_to(numpy.uint32(0), len(index))
        return nothing
    modules, groups = index.module_numbers(equals.records), equals.group_numbers
    order = numpy.lexsort((equals.records, *sort_columns(equals.lines), modules, groups))
    keys = numpy.stack((groups, modules))[:, order]
    is_first = numpy.insert((keys[:, 1:] != keys[:, :-1]).any(axis=0), 0, True)
    starts = numpy.flatnonzero(is_first)
    occurrences = room(len(index), numpy.uint32, folder)
    occurrences[:] = 0
    numbers = numpy.arange(len(order)) - starts[numpy.cumsum(is_first) - 1]
    occurrences[equals.records[order]] = numbers
    return occurrences


def sort_columns(digests: Numbers) -> tuple[Numbers, ...]:
    """Return digests, shape (n, 32), as columns for `lexsort`, the most telling last."""
    keys = numpy.ascontiguousarray(digests).view(">u8").astype(numpy.uint64)
    return tuple(keys[:, place] for place in (3, 2, 1, 0))


def _repeated_prefixes(index: RecordIndex, folder: Path | None) -> Keys:
    """Return the first 8 bytes that the contents of several records have in common."""
    repeated: list[Keys] = []
    with closing(Spread(_KEY, len(index), folder)) as spread:
        for _, entries in index.chunks():
            usable = entries["content"][entries["state"] != NO_RECORD]
            spread.add(prefixes_of(usable).view(_KEY))
        for rows in spread.buckets():
            keys = rows["key"]
            keys.sort()
            repeated.append(numpy.unique(keys[1:][keys[1:] == keys[:-1]]))
    return numpy.concatenate(repeated)


def are_among(keys: Keys, known: Keys) -> Numbers:
    """Tell of each key whether it is one of `known`, which ascend and need no sorting anew."""
    places = numpy.minimum(numpy.searchsorted(known, keys), len(known) - 1)
    found: Numbers = known[places] == keys
    return found


def _grouped(records: Numbers, contents: Numbers, lines: Numbers) -> Equals:
    """Return records in groups of equal content, without those that are alone after all."""
    order = numpy.lexsort((records, *sort_columns(contents)))
    records, contents, lines = records[order], contents[order], lines[order]
    same = (contents[1:] == contents[:-1]).all(axis=1)
    is_equal = numpy.append(same, False) | numpy.insert(same, 0, False)
    is_first = ~numpy.insert(same, 0, False)
    starts = numpy.flatnonzero(is_first[is_equal])
    return Equals(records[is_equal], contents[is_equal], lines[is_equal], starts)

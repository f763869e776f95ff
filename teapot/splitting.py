"""Which records are held out for validation: a function of content and seed, group by group.

A group of relatives is held out where its rank, read as a fraction from 0 to 1, is below the share
that was asked for. Its rank is that of its lowest content digest, so all of a group goes, and a
group without relatives elsewhere goes by nothing but itself: no other row or module, and no amount,
moves it. A larger share only adds groups.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy

from teapot.equals import Equals, sort_columns
from teapot.index import DIGEST_BYTES, NO_RECORD, Numbers, RecordIndex
from teapot.model.likeness import Likeness
from teapot.ordering import SPLIT_LABEL, Ranker
from teapot.relatives import NO_PAIRS, relatives
from teapot.scratch import room

_RANKS = 1 << 8 * DIGEST_BYTES


@dataclass(frozen=True, slots=True)
class Split:
    """The share to hold out, between 0 and 1, and which records are held out together.

    `pairs`, shape (n, 2), are rows of the index whose records are near to each other.
    """

    share: Fraction
    pairs: Numbers = field(default_factory=NO_PAIRS.copy)
    relatives: Likeness = field(default_factory=Likeness)


def held_out(
    index: RecordIndex, equals: Equals, split: Split, *, seed: int, folder: Path | None = None
) -> Numbers:
    """Tell of each row whether its record is held out."""
    ranker, share = Ranker(SPLIT_LABEL, seed, ""), split.share
    related = relatives(equals, split.pairs)
    contents = numpy.empty((len(related.records), DIGEST_BYTES), dtype=numpy.uint8)
    held = room(len(index), numpy.bool_, folder)
    for start, entries in index.chunks():
        stop = start + len(entries)
        is_record = entries["state"] != NO_RECORD
        held[start:stop] = is_record & _below(_ranks(ranker, entries["content"]), share)
        own = slice(*numpy.searchsorted(related.records, (start, stop)))
        contents[own] = entries["content"][related.records[own] - start]
    if len(related.records):
        lowest, places = _lowest(contents, related.groups)
        held[related.records] = _below(_ranks(ranker, lowest), share)[places]
    return held


def _lowest(contents: Numbers, groups: Numbers) -> tuple[Numbers, Numbers]:
    """Return the lowest content of each group, and for each record the place of its group's."""
    order = numpy.lexsort((*sort_columns(contents), groups))
    _, firsts, places = numpy.unique(groups[order], return_index=True, return_inverse=True)
    of_each = numpy.empty(len(groups), dtype=numpy.int64)
    of_each[order] = places
    return contents[order][firsts], of_each


def _ranks(ranker: Ranker, contents: Numbers) -> Numbers:
    return ranker.ranks(contents, numpy.zeros(len(contents), dtype=numpy.uint32))


def _below(ranks: Numbers, share: Fraction) -> Numbers:
    """Tell which ranks, shape (n, 32), are below a share of all ranks that there could be."""
    bound = -(-share.numerator * _RANKS // share.denominator)  # the first that is not below
    text = numpy.ascontiguousarray(ranks).view(f"S{DIGEST_BYTES}").reshape(-1)
    below: Numbers = text < bound.to_bytes(DIGEST_BYTES, "big")
    return below

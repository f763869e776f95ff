"""Records that must stay together: those of equal content, and whatever else is near to them. Pure.

Being near is no equivalence: a may be near to b and b to c, and a to c not. Here all three are
relatives: groups are what pairs connect, so nothing in one group is near to anything in another.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy

from teapot.equals import Equals
from teapot.index import Numbers

NO_PAIRS: Numbers = numpy.empty((0, 2), dtype=numpy.int64)


@dataclass(frozen=True, slots=True)
class Relatives:
    """The records that have a relative, ascending, and for each the first record of its group."""

    records: Numbers
    groups: Numbers


def relatives(equals: Equals, pairs: Numbers = NO_PAIRS) -> Relatives:
    """Return who is related to whom by equal content, or by `pairs`, shape (n, 2), of records."""
    firsts = equals.records[equals.starts][equals.group_numbers]
    equal = numpy.stack((firsts, equals.records), axis=1)
    records, places = numpy.unique(numpy.concatenate((equal, pairs)), return_inverse=True)
    return Relatives(records, records[components(len(records), places.reshape(-1, 2))])


def components(count: int, pairs: Numbers) -> Numbers:
    """Return for each of `count` nodes the lowest one that pairs, shape (n, 2), connect it with."""
    roots: Numbers = numpy.arange(count)
    while True:
        ends = roots[pairs]
        low, high = ends.min(axis=1), ends.max(axis=1)
        is_open = low != high
        if not is_open.any():
            return roots
        numpy.minimum.at(roots, high[is_open], low[is_open])  # a root leads to a lower one only
        while ((above := roots[roots]) != roots).any():
            roots = above

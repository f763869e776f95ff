"""Rows of two sides paired off by what they have in common, as arrays. Pure.

Which is first makes no difference: what pairs with what, and what is left over, is the same with
the sides exchanged.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy
from numpy.typing import NDArray

Rows = NDArray[Any]

KEY = ("key0", "key1")
CONTENT = ("content0", "content1", "content2", "content3")
ROW = numpy.dtype(
    [
        ("key0", "<u8"),  # of the id; where there is none, of the content
        ("key1", "<u8"),
        ("content0", "<u8"),  # of the detail where the row could not be read as far as its content
        ("content1", "<u8"),
        ("content2", "<u8"),
        ("content3", "<u8"),
        ("place", "<u8"),  # among the rows of its ledger
        ("text", "<u8"),  # where its id begins in the file of ids
        ("row", "<i8"),
        ("license", "<u8"),
        ("lines", "<u4"),
        ("module", "<u4"),
        ("source", "<u4"),
        ("is_named", "u1"),
        ("has_content", "u1"),
        ("side", "u1"),
    ]
)


def paired(rows: Rows, names: Sequence[str]) -> tuple[Rows, Rows, Rows]:
    """Return the rows of side 0 and of side 1 that are alike in some fields, and all the others.

    The first two are equally long, and the nth of one pairs with the nth of the other. Where
    several are alike, those first in their ledgers pair with each other.
    """
    if not len(rows):
        return rows, rows, rows
    ordered = rows[numpy.lexsort((rows["place"], rows["side"], *(rows[n] for n in names[::-1])))]
    is_first = numpy.ones(len(ordered), dtype=numpy.bool_)
    is_first[1:] = numpy.any([ordered[n][1:] != ordered[n][:-1] for n in names], axis=0)
    groups, sides = numpy.cumsum(is_first) - 1, ordered["side"].astype(numpy.bool_)
    begins = is_first.copy()
    begins[1:] |= sides[1:] != sides[:-1]
    starts = numpy.flatnonzero(begins)
    ranks = numpy.arange(len(ordered)) - starts[numpy.cumsum(begins) - 1]
    second = numpy.bincount(groups[sides], minlength=groups[-1] + 1)
    pairs = numpy.minimum(second, numpy.bincount(groups) - second)
    is_paired = ranks < pairs[groups]
    return ordered[is_paired & ~sides], ordered[is_paired & sides], ordered[~is_paired]


def first_of_each(keys: Sequence[Any], modules: Rows, count: int) -> NDArray[numpy.int64]:
    """Return the places of the first `count` of each module by some keys, the weightiest first."""
    order = numpy.lexsort((*keys[::-1], modules))
    ordered = modules[order]
    starts = numpy.searchsorted(ordered, ordered)
    chosen: NDArray[numpy.int64] = order[numpy.arange(len(order)) - starts < count]
    return chosen

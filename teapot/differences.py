"""Which lines of a data file are not the ledger's: altered, missing, added or moved. Pure.

Both sides are digests of lines. What stands alike at both ends is left aside; of the rest, lines on
one side only are missing or added, and of the lines on both sides those that a longest common
subsequence leaves out have moved. A missing and an added line between the same two unmoved
neighbours are one altered line. (Longest common subsequence: Hunt and Szymanski 1977.)
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass

from teapot.digest import DIGEST_BYTES

MAX_COMPARED_LINES = 2_000_000
MAX_COMPARED_PAIRS = 4_000_000
"""Where repeated lines make more pairs of equal lines, the first is paired with the first alone."""


Pair = tuple[int, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class Differences:
    """Lines counted from 1; pairs are (line expected, line found).

    `is_partial` tells that the region was too large to tell moved lines from altered ones: then
    `altered` holds the lines that differ in place.
    """

    altered: tuple[tuple[int, int], ...] = ()
    missing: tuple[int, ...] = ()
    added: tuple[int, ...] = ()
    moved: tuple[tuple[int, int], ...] = ()
    is_partial: bool = False


def compare_lines(expected: bytes, found: bytes) -> Differences:
    """Return how two sequences of 32-byte digests, each laid end to end, differ."""
    start, stop_expected, stop_found = _differing(expected, found)
    lines = max(stop_expected, stop_found) - start
    if lines > MAX_COMPARED_LINES:
        return _in_place(expected, found, start)
    wanted, there = _entries(expected, start, stop_expected), _entries(found, start, stop_found)
    fixed = _unmoved(wanted, there)
    moved, missing, added = _matched(wanted, there, fixed)
    altered, missing, added = _paired(fixed, missing, added)
    one = start + 1
    return Differences(
        altered=tuple((line + one, place + one) for line, place in altered),
        missing=tuple(line + one for line in missing),
        added=tuple(place + one for place in added),
        moved=tuple((line + one, place + one) for line, place in moved),
    )


def _differing(expected: bytes, found: bytes) -> tuple[int, int, int]:
    """Return where the two begin to differ, and where each begins to be alike to its end."""
    ends = [len(expected) // DIGEST_BYTES, len(found) // DIGEST_BYTES]
    start = 0
    while start < min(ends) and _at(expected, start) == _at(found, start):
        start += 1
    while min(ends) > start and _at(expected, ends[0] - 1) == _at(found, ends[1] - 1):
        ends = [end - 1 for end in ends]
    return start, ends[0], ends[1]


def _at(digests: bytes, line: int) -> bytes:
    return digests[line * DIGEST_BYTES : (line + 1) * DIGEST_BYTES]


def _entries(digests: bytes, start: int, stop: int) -> list[bytes]:
    return [_at(digests, line) for line in range(start, stop)]


def _in_place(expected: bytes, found: bytes, start: int) -> Differences:
    sizes = len(expected) // DIGEST_BYTES, len(found) // DIGEST_BYTES
    both = range(start, min(sizes))
    unlike = [line + 1 for line in both if _at(expected, line) != _at(found, line)]
    return Differences(
        altered=tuple((line, line) for line in unlike),
        missing=tuple(range(min(sizes) + 1, sizes[0] + 1)),
        added=tuple(range(min(sizes) + 1, sizes[1] + 1)),
        is_partial=True,
    )


def _unmoved(wanted: Sequence[bytes], there: Sequence[bytes]) -> list[Pair]:
    """Return equal lines that stand in the same order on both sides, as many as there are."""
    places: defaultdict[bytes, list[int]] = defaultdict(list)
    for place, digest in enumerate(there):
        places[digest].append(place)
    if sum(len(places.get(digest, ())) for digest in wanted) > MAX_COMPARED_PAIRS:
        pairs, _, _ = _matched(wanted, there, ())
    else:
        # Places in descending order: then no increasing run takes two of one line.
        pairs = [
            (line, place)
            for line, digest in enumerate(wanted)
            for place in reversed(places.get(digest, ()))
        ]
    return [pairs[number] for number in _longest_increasing([place for _, place in pairs])]


def _matched(
    wanted: Sequence[bytes], there: Sequence[bytes], fixed: Sequence[Pair]
) -> tuple[list[Pair], list[int], list[int]]:
    """Pair equal lines that are not fixed, first with first; return pairs and what is left."""
    fixed_lines, fixed_places = {line for line, _ in fixed}, {place for _, place in fixed}
    places: defaultdict[bytes, deque[int]] = defaultdict(deque)
    for place, digest in enumerate(there):
        if place not in fixed_places:
            places[digest].append(place)
    pairs, missing = [], []
    for line, digest in enumerate(wanted):
        if line in fixed_lines:
            continue
        if places[digest]:
            pairs.append((line, places[digest].popleft()))
        else:
            missing.append(line)
    return pairs, missing, sorted(place for left in places.values() for place in left)


def _longest_increasing(values: Sequence[int]) -> list[int]:
    """Return the places of a longest strictly increasing run (Schensted 1961, by patience)."""
    tops: list[int] = []
    ends: list[int] = []
    before: list[int] = []
    for number, value in enumerate(values):
        pile = bisect_left(tops, value)
        before.append(ends[pile - 1] if pile else -1)
        if pile == len(tops):
            tops.append(value)
            ends.append(number)
        else:
            tops[pile], ends[pile] = value, number
    run = []
    number = ends[-1] if ends else -1
    while number >= 0:
        run.append(number)
        number = before[number]
    return run[::-1]


def _paired(
    fixed: Sequence[Pair], missing: Sequence[int], added: Sequence[int]
) -> tuple[list[Pair], list[int], list[int]]:
    """Pair missing with added lines that lie between the same unmoved neighbours."""
    lines, places = [line for line, _ in fixed], [place for _, place in fixed]
    waiting: defaultdict[int, deque[int]] = defaultdict(deque)
    for place in added:
        waiting[bisect_left(places, place)].append(place)
    altered, alone = [], []
    for line in missing:
        gap = waiting[bisect_left(lines, line)]
        if gap:
            altered.append((line, gap.popleft()))
        else:
            alone.append(line)
    return altered, alone, sorted(place for gap in waiting.values() for place in gap)

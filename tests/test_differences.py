"""What is said of two data files turns the one into the other, and says no more than happened."""

from __future__ import annotations

from collections import Counter
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from teapot.differences import Differences, compare_lines

_FEW, _MANY = st.integers(0, 3), st.integers(0, 2**32)


def _digest(number: int) -> bytes:
    return sha256(b"%d" % number).digest()


def _compare(expected: list[int], found: list[int]) -> Differences:
    return compare_lines(b"".join(map(_digest, expected)), b"".join(map(_digest, found)))


def _applied(expected: list[int], found: list[int], told: Differences) -> list[int]:
    """Return what the differences make of the expected lines, taking only new ones from `found`."""
    gone = [line for line, _ in (*told.altered, *told.moved)] + list(told.missing)
    assert len(gone) == len(set(gone)), "a line is told of twice"
    stays = iter(n for line, n in enumerate(expected, start=1) if line not in set(gone))
    new = {place: found[place - 1] for place in (*told.added, *(to for _, to in told.altered))}
    back = {place: expected[line - 1] for line, place in told.moved}
    assert not new.keys() & back.keys(), "a place is told of twice"
    size = len(expected) - len(gone) + len(new) + len(back)
    made = [
        new[place] if place in new else back[place] if place in back else next(stays)
        for place in range(1, size + 1)
    ]
    assert next(stays, None) is None
    return made


@settings(max_examples=150)
@given(st.lists(_FEW, max_size=14), st.lists(_FEW, max_size=14))
def test_differences_of_any_sequences_turn_one_into_the_other(
    expected: list[int], found: list[int]
) -> None:
    told = _compare(expected, found)
    assert _applied(expected, found, told) == found
    assert (told == Differences()) == (expected == found)


@st.composite
def _edited(draw: st.DrawFn) -> tuple[list[int], list[int]]:
    """A sequence, and the same after some edits."""
    expected = draw(st.lists(_MANY | _FEW, min_size=1, max_size=20))
    found = list(expected)
    for kind in draw(st.lists(st.sampled_from(["alter", "delete", "insert", "move"]), max_size=5)):
        place = draw(st.integers(0, max(len(found) - 1, 0)))
        if kind == "insert" or not found:
            found.insert(place, draw(_MANY | _FEW))
        elif kind == "alter":
            found[place] = draw(_MANY | _FEW)
        else:
            line = found.pop(place)
            if kind == "move":
                found.insert(draw(st.integers(0, len(found))), line)
    return expected, found


@settings(max_examples=150)
@given(_edited())
def test_differences_after_edits_turn_one_into_the_other(
    pair: tuple[list[int], list[int]],
) -> None:
    expected, found = pair
    told = _compare(expected, found)
    assert _applied(expected, found, told) == found
    assert not told.is_partial


@given(_edited())
def test_only_lines_that_are_nowhere_else_are_altered_missing_or_added(
    pair: tuple[list[int], list[int]],
) -> None:
    expected, found = map(Counter, pair)
    told = _compare(*pair)
    lost = Counter(pair[0][line - 1] for line in (*told.missing, *(a for a, _ in told.altered)))
    new = Counter(pair[1][place - 1] for place in (*told.added, *(b for _, b in told.altered)))
    assert (lost, new) == (expected - found, found - expected)


@given(st.lists(_FEW, min_size=1, max_size=20), st.data())
def test_one_altered_line_is_told_as_that_line(expected: list[int], data: st.DataObject) -> None:
    line = data.draw(st.integers(1, len(expected)))
    found = [*expected[: line - 1], 99, *expected[line:]]
    assert _compare(expected, found) == Differences(altered=((line, line),))


@given(st.lists(_FEW, min_size=1, max_size=20), st.data())
def test_one_line_deleted_or_inserted_is_told_as_one_line(
    lines: list[int], data: st.DataObject
) -> None:
    line = data.draw(st.integers(0, len(lines) - 1))
    shorter = lines[:line] + lines[line + 1 :]
    told = _compare(lines, shorter)
    assert (told.altered, told.added, told.moved, len(told.missing)) == ((), (), (), 1)
    assert lines[told.missing[0] - 1] == lines[line]
    told = _compare(shorter, lines)
    assert (told.altered, told.missing, told.moved, len(told.added)) == ((), (), (), 1)
    assert lines[told.added[0] - 1] == lines[line]


@given(st.lists(_FEW | _MANY, min_size=1, max_size=20), st.data())
def test_one_moved_line_is_told_as_one_line_even_among_repeated_ones(
    expected: list[int], data: st.DataObject
) -> None:
    found = list(expected)
    line = found.pop(data.draw(st.integers(0, len(found) - 1)))
    found.insert(data.draw(st.integers(0, len(found))), line)
    told = _compare(expected, found)
    assert (told.altered, told.missing, told.added) == ((), (), ())
    assert len(told.moved) == (expected != found)


def test_a_moved_line_is_told_with_both_of_its_places() -> None:
    assert _compare([1, 2, 3, 4, 5], [2, 3, 4, 1, 5]) == Differences(moved=((1, 4),))
    assert _compare([1, 2, 3, 4, 5], [5, 1, 2, 3, 4]) == Differences(moved=((5, 1),))


def test_an_altered_line_is_found_behind_a_deleted_one() -> None:
    assert _compare([1, 2, 3, 4, 5], [2, 3, 9, 5]) == Differences(missing=(1,), altered=((4, 3),))


def test_lines_deleted_among_repeated_ones_are_not_told_as_moved() -> None:
    told = _compare([1, 2, 3, 1, 2, 3], [2, 3, 1, 3])
    assert told == Differences(missing=(1, 5))


def test_nothing_against_something_is_all_missing_or_all_added() -> None:
    assert _compare([1, 2], []) == Differences(missing=(1, 2))
    assert _compare([], [1, 2]) == Differences(added=(1, 2))
    assert _compare([], []) == Differences()


def test_so_many_equal_lines_that_pairs_abound_are_still_told_right(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("teapot.differences.MAX_COMPARED_PAIRS", 10)
    expected, found = [0, *[1] * 50, 2, 3], [2, *[1] * 49, 0, 3, 4]
    told = _compare(expected, found)
    assert _applied(expected, found, told) == found
    assert not told.is_partial


@given(_edited())
def test_regions_too_large_to_tell_moves_in_are_compared_in_place(
    pair: tuple[list[int], list[int]],
) -> None:
    expected, found = pair
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("teapot.differences.MAX_COMPARED_LINES", 3)
        told = _compare(expected, found)
    assert _applied(expected, found, told) == found
    if told.is_partial:
        assert all(line == place for line, place in told.altered)
        assert not told.moved and not (told.missing and told.added)


def test_only_the_region_that_differs_counts_as_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("teapot.differences.MAX_COMPARED_LINES", 2)
    same = list(range(100, 120))
    assert not _compare([*same, 1, 2, *same], [*same, 2, 1, *same]).is_partial
    told = _compare([*same, 1, 2, 3, *same], [*same, 3, 1, 2, *same])
    assert told == Differences(altered=((21, 21), (22, 22), (23, 23)), is_partial=True)

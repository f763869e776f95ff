from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from teapot.inorder import in_order

workers = pytest.mark.parametrize("workers", [1, 2, 5])


@workers
def test_results_come_in_the_order_of_what_was_given(workers: int) -> None:
    first_may_end = threading.Event()

    def make(number: int) -> int:
        if number == 0 and workers > 1:
            assert first_may_end.wait(10)  # until a later one has ended
        first_may_end.set()
        return number * number

    assert list(in_order(make, range(20), workers)) == [number * number for number in range(20)]


@workers
def test_no_more_is_drawn_than_workers_can_take(workers: int) -> None:
    drawn = 0

    def numbers() -> Iterator[int]:
        nonlocal drawn
        for number in range(100):
            drawn += 1
            yield number

    for made in in_order(int, numbers(), workers):
        assert drawn <= made + workers + 1


@workers
def test_an_error_ends_it_where_it_stands(workers: int) -> None:
    def make(number: int) -> int:
        if number == 3:
            raise ValueError("three")
        return number

    made = []
    with pytest.raises(ValueError, match="three"):
        made.extend(in_order(make, range(10), workers))
    taken = in_order(make, range(10), workers)
    assert [next(taken) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="three"):
        next(taken)


def test_threads_end_when_the_caller_stops_early() -> None:
    before = threading.active_count()
    taken = in_order(int, range(1000), 3)
    next(taken)
    taken.close()
    assert threading.active_count() == before


@workers
def test_an_error_of_what_is_given_comes_where_its_turn_is(workers: int) -> None:
    def numbers() -> Iterator[int]:
        yield from range(4)
        raise ValueError("cut short")

    made: list[int] = []
    with pytest.raises(ValueError, match="cut short"):
        made.extend(in_order(int, numbers(), workers))
    taken = in_order(int, numbers(), workers)
    assert [next(taken) for _ in range(4)] == [0, 1, 2, 3]
    with pytest.raises(ValueError, match="cut short"):
        next(taken)


@workers
def test_what_is_given_is_ended_with_the_caller(workers: int) -> None:
    ended = threading.Event()

    def numbers() -> Iterator[int]:
        try:
            yield from range(1000)
        finally:
            ended.set()

    taken = in_order(int, numbers(), workers)
    next(taken)
    taken.close()
    assert ended.wait(10)

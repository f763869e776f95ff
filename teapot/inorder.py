"""Work in threads whose results come in the order of what they were made from."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import count
from threading import Lock
from typing import Generic, TypeVar

_Given = TypeVar("_Given")
_Made = TypeVar("_Made")


def processors() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def in_order(
    make: Callable[[_Given], _Made], given: Iterable[_Given], workers: int
) -> Iterator[_Made]:
    """Yield what `make` makes of each, in order; `workers` threads make it, or the caller's alone.

    The threads draw from `given` themselves, one at a time, so that none of them waits for the
    caller's; at most one more than there are threads is drawn and not yielded.
    """
    if workers <= 1:
        yield from map(make, given)
        return
    drawing, made = _Drawing(given), dict[int, Future[_Made]]()
    with ThreadPoolExecutor(workers) as pool:
        try:
            running = {pool.submit(drawing.draw_and, make) for _ in range(workers + 1)}
            for number in count():
                while number not in made and running:
                    done, running = wait(running, return_when=FIRST_COMPLETED)
                    made.update(drawn for future in done if (drawn := future.result()) is not None)
                if number not in made:
                    return
                yield made.pop(number).result()
                running.add(pool.submit(drawing.draw_and, make))
        finally:
            drawing.stop()


class _Drawing(Generic[_Given]):
    """Numbers what threads draw from one iterable, which one of them runs at a time."""

    def __init__(self, given: Iterable[_Given]) -> None:
        self._given = iter(given)
        self._numbers = count()
        self._alone = Lock()
        self._is_over = False

    def draw_and(self, make: Callable[[_Given], _Made]) -> tuple[int, Future[_Made]] | None:
        """Return the next one's number and what was made of it, or why not; None at the end."""
        made: Future[_Made] = Future()
        with self._alone:
            if self._is_over:
                return None
            number = next(self._numbers)
            try:
                one = next(self._given)
            except StopIteration:
                self._is_over = True
                return None
            except BaseException as error:  # noqa: BLE001  # it is raised where its turn comes
                self._is_over = True
                made.set_exception(error)
                return number, made
        try:
            made.set_result(make(one))
        except BaseException as error:  # noqa: BLE001  # it is raised where its turn comes
            made.set_exception(error)
        return number, made

    def stop(self) -> None:
        """Draw no more."""
        with self._alone:
            self._is_over = True
            close = getattr(self._given, "close", None)
            if close is not None:
                close()

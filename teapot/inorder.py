"""Work in threads whose results come in the order of what they were made from."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

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

    The caller's thread draws from `given` and takes the results; at most one for each worker waits.
    """
    if workers <= 1:
        yield from map(make, given)
        return
    pending: deque[Future[_Made]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        try:
            for one in given:
                pending.append(pool.submit(make, one))
                if len(pending) > workers:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()

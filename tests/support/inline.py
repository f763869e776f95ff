"""A cluster that is none: tasks run at once, in this process, on copies of what they are given."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from teapot.cluster import Cluster, Engine, Ref, guarded, value_of

ALL = 1 << 40


class Inline:
    """Runs a task where it is submitted; `before` sees its name first."""

    workers = 2

    def __init__(self, before: Callable[[str], object]) -> None:
        self._before = before

    def submit(self, task: Callable[..., Any], *given: object, returns: int = 1) -> list[Ref]:
        """Run a task."""
        self._before(task.__name__)
        made = pickle.loads(pickle.dumps(guarded(task, returns, pickle.loads(pickle.dumps(given)))))
        return [made] if returns == 1 else made

    def wait(self, ref: Ref) -> None:
        """Do nothing."""

    def result(self, ref: Ref) -> Any:
        """Return a result."""
        return value_of(ref)


def inline_engine(
    *, range_bytes: int = ALL, bucket_bytes: int = ALL, before: Callable[[str], object] = len
) -> Engine:
    """Return an engine of tasks that run in this process."""

    @contextmanager
    def start() -> Iterator[Cluster]:
        yield Inline(before)

    return Engine(start=start, range_bytes=range_bytes, bucket_bytes=bucket_bytes, most_tasks=ALL)

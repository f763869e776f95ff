"""Processes of our own that do one heavy thing: begun afresh, without the caller's program."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from types import ModuleType
from typing import ParamSpec, TypeVar

OWN_PROCESS_BYTES = 4 << 20
"""A file larger than this that nobody vouches for is parsed in a process that may break over it."""
_Given = ParamSpec("_Given")
_Made = TypeVar("_Made")


class OwnProcesses(ProcessPoolExecutor):
    """At most `count` processes, each a new interpreter (`spawn`) that imports what it is sent."""

    def __init__(self, count: int) -> None:
        super().__init__(count, mp_context=get_context("spawn"))

    def submit(
        self, fn: Callable[_Given, _Made], /, *args: _Given.args, **kwargs: _Given.kwargs
    ) -> Future[_Made]:
        """Have `fn` called in one of the processes, which may begin now."""
        with _main_hidden():
            return super().submit(fn, *args, **kwargs)


@contextmanager
def _main_hidden() -> Iterator[None]:
    """Keep a process that is begun meanwhile from running the caller's program once more.

    `spawn` would import it, and a script without `if __name__ == "__main__":` would then do all of
    its work a second time there.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main

"""What an interrupt does: the run ends after its step, with a checkpoint to go on from."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopped(KeyboardInterrupt):
    """The run was interrupted; what it did is saved in a checkpoint."""


class Stoppable(Protocol):
    """Ends after the step at hand where it is asked to."""

    is_asked_to_stop: bool


@contextmanager
def saving_on_interrupt(run: Stoppable) -> Iterator[None]:
    """Let SIGINT and SIGTERM end a run after its step; a second one ends it at once.

    Under a launcher a second one changes nothing: a terminal and the launcher both send one, and
    the launcher knows how long it waits. Python takes signals in the main thread alone; in another
    (Ray Train's) they are the launcher's business, and a run goes on from its last checkpoint.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    is_launched = "WORLD_SIZE" in os.environ

    def stop(number: int, frame: Any) -> None:
        if run.is_asked_to_stop and not is_launched:
            raise KeyboardInterrupt
        run.is_asked_to_stop = True

    before = [signal.signal(number, stop) for number in _SIGNALS]
    try:
        yield
    finally:
        for number, handler in zip(_SIGNALS, before, strict=True):
            signal.signal(number, handler)

"""The working folder of a fine-tune, which one run at a time may use."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from teapot.errors import OutputError, Problem

_LOCK = "run.lock"
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP)


@contextmanager
def only_run(work: Path) -> Iterator[None]:
    """Hold a working folder; it is free again when this ends, or the process, however it ends.

    On a file system without locks nothing is held, and nothing is told of another run.

    Raises:
        OutputError: another run holds it, or it cannot be written.
    """
    try:
        work.mkdir(parents=True, exist_ok=True)
        handle = os.open(work / _LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        told = f"cannot be written: {error.strerror or error}"
        raise OutputError(Problem(str(work), told)) from error
    try:
        _lock(handle, work)
        yield
    finally:
        os.close(handle)


def _lock(handle: int, work: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        told = "another run is at work in this folder; wait for its end, or stop it"
        raise OutputError(Problem(str(work.parent), told)) from error
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise

"""Runs one command in a process of its own and says what it cost.

Wall time is from start to end of the process; processor time comes from the kernel (`wait4`).
Memory is sampled over the whole process tree: `peak_bytes` is resident memory, in which files that
a process maps count too; `private_bytes` leaves those out, where the system tells them apart.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.002, 0.05
_SHOWN_CHARACTERS = 160


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """What a command took from start to end."""

    seconds: float
    cpu_seconds: float
    peak_bytes: int
    private_bytes: int


@dataclass(frozen=True, slots=True)
class Failed:
    """A command did not do what it should, and why."""

    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where a command runs: working folder, environment and the most seconds it may take."""

    folder: Path
    environment: Mapping[str, str]
    limit_seconds: float


def measure(command: Sequence[str], place: Place) -> Cost | Failed:
    """Return the cost of `command`; what it prints goes to the file `log` in its folder."""
    log = place.folder / "log"
    os.sync()  # what an earlier command left to write is not this one's to wait for
    with log.open("wb") as out:
        start = time.perf_counter()
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
            cwd=place.folder, env=dict(place.environment), start_new_session=True,
        )  # fmt: skip
        watch = _MemoryWatch(process.pid)
        late = threading.Timer(place.limit_seconds, _kill, [process.pid])
        usage = _wait(process, watch, late)
        seconds = time.perf_counter() - start
    if process.returncode:
        return Failed(_reason(process.returncode, log, place, seconds))
    return Cost(
        seconds=seconds, cpu_seconds=usage, peak_bytes=watch.peak_bytes,
        private_bytes=watch.private_bytes,
    )  # fmt: skip


def _wait(process: subprocess.Popen[bytes], watch: _MemoryWatch, late: threading.Timer) -> float:
    """Wait for the end, watched and timed, and return the processor seconds used."""
    watch.start()
    late.start()
    ended = False
    try:
        _, status, usage = os.wait4(process.pid, 0)
        ended = True
        process.returncode = os.waitstatus_to_exitcode(status)
    finally:
        late.cancel()
        watch.stop()
        if not ended:
            _kill(process.pid)
    return usage.ru_utime + usage.ru_stime


def _kill(process_id: int) -> None:
    """End a process that leads a session, with its children."""
    try:
        os.killpg(process_id, signal.SIGKILL)
    except ProcessLookupError:
        return


def _reason(code: int, log: Path, place: Place, seconds: float) -> str:
    if code == -signal.SIGKILL:
        if seconds >= place.limit_seconds:
            return f"not done after {place.limit_seconds:.0f} s"
        return "killed, most likely for want of memory"
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    said = lines[-1].strip()[:_SHOWN_CHARACTERS] if lines else "it said nothing"
    ending = f"signal {-code}" if code < 0 else f"exit {code}"
    return f"{ending}: {said}"


class _MemoryWatch(threading.Thread):
    """Samples the memory of a process and its children, often at first and then less so."""

    def __init__(self, process_id: int) -> None:
        super().__init__(daemon=True)
        self._process = psutil.Process(process_id)
        self._ended = threading.Event()
        self.peak_bytes = 0
        self.private_bytes = 0

    def run(self) -> None:
        """Sample until the process ends or `stop` is called."""
        pause = _FIRST_PAUSE_SECONDS
        while not self._ended.wait(pause):
            pause = min(pause * 1.1, _LONGEST_PAUSE_SECONDS)
            self._sample()

    def stop(self) -> None:
        """End the watch."""
        self._ended.set()
        self.join()

    def _sample(self) -> None:
        resident = private = 0
        for process in self._tree():
            try:
                memory = process.memory_info()
            except psutil.Error:
                continue  # it ended while it was looked at
            resident += memory.rss
            private += memory.rss - getattr(memory, "shared", 0)
        self.peak_bytes = max(self.peak_bytes, resident)
        self.private_bytes = max(self.private_bytes, private)

    def _tree(self) -> list[psutil.Process]:
        try:
            return [self._process, *self._process.children(recursive=True)]
        except psutil.Error:
            return []

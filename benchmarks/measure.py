"""Runs one command in a process of its own and says what it cost.

Wall time is from start to end of the process; processor time comes from the kernel (`wait4`).
Memory is sampled over the whole process tree: `peak_bytes` is resident memory, in which files that
a process maps count too; `private_bytes` leaves those out, where the system tells them apart. Both
are sums over all processes of the tree, in which a page that two of them share counts twice.

A cap on memory (`Place.cap`) needs no privileges. The whole tree is killed when its private
resident memory, as sampled, is more; and where the cap is strict, the kernel also refuses each
process more private memory, resident or not (RLIMIT_DATA). $BENCH_CAP_BYTES tells the command.
"""

from __future__ import annotations

import os
import re
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS, _CAPPED_PAUSE_SECONDS = 0.002, 0.05, 0.01
_SHOWN_CHARACTERS = 160
_TELLING = re.compile(r"\w(Error|Exception)\b|memory allocation|Out of Memory|^error")  # not advice
_CAPPED = (
    "import os, resource, sys\n"
    "most = int(sys.argv[1])\n"
    "resource.setrlimit(resource.RLIMIT_DATA, (most, most))\n"
    "os.execvp(sys.argv[2], sys.argv[2:])\n"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """What a command took from start to end.

    `read_bytes` and `written_bytes` are those of its system calls, whatever the page cache did, of
    the process and the children it waited for; None where the system does not count them.
    """

    seconds: float
    cpu_seconds: float
    peak_bytes: int
    private_bytes: int
    read_bytes: int | None
    written_bytes: int | None


@dataclass(frozen=True, slots=True)
class Failed:
    """A command did not do what it should, and why."""

    reason: str


@dataclass(frozen=True, slots=True)
class Wrong(Failed):
    """A command ended well, but what it made is not what it was to make."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cap:
    """The most private memory that a command and its children may have; see above for strict."""

    bytes: int
    strict: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where a command runs: working folder, environment, and the most it may take."""

    folder: Path
    environment: Mapping[str, str]
    limit_seconds: float
    cap: Cap | None = None


def measure(command: Sequence[str], place: Place) -> Cost | Failed:
    """Return the cost of `command`; what it prints goes to the file `log` in its folder."""
    log = place.folder / "log"
    environment = dict(place.environment)
    if place.cap:
        environment["BENCH_CAP_BYTES"] = str(place.cap.bytes)
        if place.cap.strict:
            command = [sys.executable, "-c", _CAPPED, str(place.cap.bytes), *command]
    os.sync()  # what an earlier command left to write is not this one's to wait for
    with log.open("wb") as out:
        start = time.perf_counter()
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
            cwd=place.folder, env=environment, start_new_session=True,
        )  # fmt: skip
        watch = _MemoryWatch(process.pid, place.cap)
        late = threading.Timer(place.limit_seconds, _kill, [process.pid])
        used = _wait(process, watch, late)
        seconds = time.perf_counter() - start
    if process.returncode:
        return Failed(_reason(process.returncode, log, place, seconds))
    return Cost(
        seconds=seconds, cpu_seconds=used.cpu_seconds,
        read_bytes=used.transfer.get("rchar"), written_bytes=used.transfer.get("wchar"),
        peak_bytes=max(watch.peak_bytes, used.largest_bytes), private_bytes=watch.private_bytes,
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class _Used:
    """What the kernel counted; `largest_bytes` is the peak of one process, 0 if not known."""

    cpu_seconds: float
    largest_bytes: int
    transfer: Mapping[str, int]


def _wait(process: subprocess.Popen[bytes], watch: _MemoryWatch, late: threading.Timer) -> _Used:
    """Wait for the end, watched and timed, and return what the kernel counted."""
    watch.start()
    late.start()
    ended = False
    try:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        transfer = _transfer(process.pid)
        _, status, usage = os.wait4(process.pid, 0)
        ended = True
        process.returncode = os.waitstatus_to_exitcode(status)
    finally:
        late.cancel()
        watch.stop()
        if not ended:
            _kill(process.pid)
    return _Used(
        cpu_seconds=usage.ru_utime + usage.ru_stime,
        largest_bytes=_largest_bytes(usage.ru_maxrss),
        transfer=transfer,
    )


def _largest_bytes(peak: int) -> int:
    """Return a child's peak as the kernel kept it; Linux hands a small one its parent's."""
    if peak <= resource.getrusage(resource.RUSAGE_SELF).ru_maxrss:
        return 0
    return peak if sys.platform == "darwin" else peak * 1024


def _transfer(process_id: int) -> dict[str, int]:
    """Return what /proc says that an ended process has read and written, where there is such."""
    try:
        lines = Path(f"/proc/{process_id}/io").read_text(encoding="ascii").splitlines()
    except OSError:
        return {}
    return {name: int(count) for name, count in (line.split(": ") for line in lines)}


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
        return "killed, for it took more memory than there is or than it was allowed"
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    telling = [line for line in lines if _TELLING.search(line)] or lines or ["it said nothing"]
    said = telling[-1].strip()[:_SHOWN_CHARACTERS]
    ending = f"signal {-code}" if code < 0 else f"exit {code}"
    return f"{ending}: {said}"


class _MemoryWatch(threading.Thread):
    """Samples the memory of a process and its children, often at first and then less so."""

    def __init__(self, process_id: int, cap: Cap | None) -> None:
        super().__init__(daemon=True)
        self._process = psutil.Process(process_id)
        self._cap = cap
        self._longest_pause = _CAPPED_PAUSE_SECONDS if cap else _LONGEST_PAUSE_SECONDS
        self._ended = threading.Event()
        self.peak_bytes = 0
        self.private_bytes = 0

    def run(self) -> None:
        """Sample until the process ends or `stop` is called."""
        pause = _FIRST_PAUSE_SECONDS
        while not self._ended.wait(pause):
            pause = min(pause * 1.1, self._longest_pause)
            self._sample()
            if self._cap and self.private_bytes > self._cap.bytes:
                _kill(self._process.pid)

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

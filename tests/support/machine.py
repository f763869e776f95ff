"""A machine where Teapot has never run, key files on it, and whoever sits at its terminal."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import pytest

from teapot.cli.app import run
from teapot.signing import PrivateKey

# A terminal becomes the controlling one of a session's leader that opens it.
_AT_TERMINAL = """
import os
os.close(os.open(os.ttyname(0), os.O_RDWR))
from teapot.cli.app import main
main()
"""


def new_machine(patch: pytest.MonkeyPatch, folder: Path) -> Path:
    """Forget every key and all trust; return where Teapot will lay its configuration."""
    patch.setenv("XDG_CONFIG_HOME", str(folder / "config"))
    patch.delenv("TEAPOT_SIGNING_KEY")
    return folder / "config" / "teapot"


def write_key(
    path: Path, key: PrivateKey, passphrase: bytes | None = None, *, mode: int = 0o600
) -> Path:
    """Write a private key as its owner would keep it, and return its path."""
    path.write_bytes(key.to_pem(passphrase))
    path.chmod(mode)
    return path


def said(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str, str]:
    """Run `teapot` in this process; return its exit code, its output and what it said beside."""
    capsys.readouterr()
    code = run(list(map(str, arguments)))
    out, err = capsys.readouterr()
    return code, out, err


def piped(
    data: bytes, *arguments: str | Path, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run `teapot` in a process of its own that reads `data` from a pipe."""
    return subprocess.run(
        [sys.executable, "-m", "teapot", *map(str, arguments)],
        input=data, capture_output=True, env={**os.environ, **(env or {})}, timeout=60, check=False,
    )  # fmt: skip


def listing(folder: Path) -> list[str]:
    """Return the names of all files below a folder, hidden ones too."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@contextmanager
def no_waiting() -> Iterator[None]:
    """Fail, rather than wait for ever, where something is read that never answers."""

    def stop(number: int, frame: FrameType | None) -> None:
        pytest.fail("it hangs")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(20)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def at_terminal(
    arguments: Sequence[str], answers: Mapping[str, str], env: Mapping[str, str] | None = None
) -> tuple[int, str]:
    """Run `teapot` at a terminal of its own; return its exit code and all that the terminal showed.

    `answers` are typed in their order, each when its question has appeared. Questions end with a
    space, because that is written when the terminal has stopped to echo.
    """
    ours, theirs = pty.openpty()
    command = [sys.executable, "-c", _AT_TERMINAL, *arguments]
    process = subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        env={**os.environ, **(env or {})},
    )  # fmt: skip
    os.close(theirs)
    shown, seen = b"", 0
    try:
        for question, answer in answers.items():
            while question.encode() not in shown[seen:]:
                shown += _read(ours, shown)
            seen = len(shown)
            os.write(ours, answer.encode() + b"\n")
        while block := _rest(ours):
            shown += block
        return process.wait(60), shown.decode()
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def _read(terminal: int, shown: bytes) -> bytes:
    block = _rest(terminal)
    assert block, f"the command ended early: {shown.decode()}"
    return block


def _rest(terminal: int) -> bytes:
    try:
        return os.read(terminal, 1 << 16)
    except OSError:  # how Linux says that nobody has the terminal open any more
        return b""

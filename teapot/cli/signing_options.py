"""Options of the commands that sign, and how a passphrase is asked for: never on a command line."""

from __future__ import annotations

import functools
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from teapot.cli.options import Command
from teapot.errors import UsageError

if TYPE_CHECKING:
    from teapot.keys import AskPassphrase
    from teapot.usecases.signing import KeySigner


@dataclass(frozen=True, slots=True)
class MakeSigner:
    """What was said about the key; called, it finds the key and returns what signs with it."""

    key: Path | None
    passphrase: bool
    timestamp: str | None

    def __call__(self) -> KeySigner:
        """Return what signs.

        Raises:
            SigningKeyError: the key is missing, unusable, open to others, or stays locked.
        """
        from teapot.usecases.signing import key_signer

        ask = asker(insist=self.passphrase)
        return key_signer(self.key, ask=ask, tell=_tell, timestamp_url=self.timestamp)


def signing_options(command: Command) -> Command:
    """Give a command the options that choose a key; they arrive as one `signer`."""

    @click.option(
        "--key",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Sign with this private key (PEM), not your own.",
    )
    @click.option("--passphrase", is_flag=True, help="Ask for the key's passphrase.")
    @click.option("--timestamp", metavar="URL", help="Have an RFC 3161 authority witness the time.")
    @functools.wraps(command)
    def wrapped(
        *arguments: Any, key: Path | None, passphrase: bool, timestamp: str | None, **named: Any
    ) -> Any:
        return command(*arguments, signer=MakeSigner(key, passphrase, timestamp), **named)

    return wrapped  # fmt: skip


def asker(*, insist: bool) -> AskPassphrase:
    """Return what asks for the passphrase of an existing key, where someone can answer."""
    from teapot.keys import PASSPHRASE_VARIABLE, ask_nobody

    def ask(what: str) -> bytes | None:
        if insist or (_has_terminal() and not os.environ.get(PASSPHRASE_VARIABLE)):
            return _prompted(f"Passphrase of {what}")
        return ask_nobody(what)

    return ask


def new_passphrase() -> bytes | None:
    """Ask for a new passphrase, twice; an empty one means none."""
    return _prompted("Passphrase for the new key (empty for none)", again=True) or None


def _prompted(question: str, *, again: bool = False) -> bytes:
    if _has_terminal():
        given: str = click.prompt(
            question, hide_input=True, default="", show_default=False, err=True,
            confirmation_prompt=again,
        )  # fmt: skip
        return os.fsencode(given)
    # Without a terminal, getpass would warn and echo; a pipe is read as it is, one line.
    click.echo(f"{question}:", err=True)
    line = sys.stdin.buffer.readline() if sys.stdin is not None else b""
    if not line:
        raise UsageError("standard input has ended, expected the passphrase on its first line")
    return line.rstrip(b"\r\n")


def _has_terminal() -> bool:
    return sys.stdin is not None and sys.stdin.isatty()


def _tell(text: str) -> None:
    click.echo(text, err=True)

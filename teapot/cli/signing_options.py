"""Options of the commands that sign, and how a passphrase is asked for: never on a command line."""

from __future__ import annotations

import functools
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from teapot.cli.options import Command

if TYPE_CHECKING:
    from collections.abc import Callable

    from teapot.keys import AskPassphrase
    from teapot.usecases.signing import KeySigner

    MakeSigner = Callable[[], KeySigner]


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
        from teapot.usecases.signing import key_signer

        def signer() -> KeySigner:
            ask = asker(insist=passphrase)
            return key_signer(key, ask=ask, tell=_tell, timestamp_url=timestamp)

        return command(*arguments, signer=signer, **named)

    return wrapped  # fmt: skip


def asker(*, insist: bool) -> AskPassphrase:
    """Return what asks for the passphrase of an existing key, where someone can answer."""
    from teapot.keys import PASSPHRASE_VARIABLE, ask_nobody

    def ask(what: str) -> bytes | None:
        if insist or (sys.stdin.isatty() and not os.environ.get(PASSPHRASE_VARIABLE)):
            return _prompted(f"Passphrase of {what}").encode("utf-8")
        return ask_nobody(what)

    return ask


def new_passphrase() -> bytes | None:
    """Ask for a new passphrase, twice; an empty one means none."""
    text = _prompted("Passphrase for the new key (empty for none)", again=True)
    return text.encode("utf-8") or None


def _prompted(question: str, *, again: bool = False) -> str:
    # Without a terminal, getpass would warn and echo; a pipe is read as it is.
    hidden = sys.stdin.isatty()
    given: str = click.prompt(
        question, hide_input=hidden, default="", show_default=False, err=True,
        confirmation_prompt=again and hidden,
    )  # fmt: skip
    return given


def _tell(text: str) -> None:
    click.echo(text, err=True)

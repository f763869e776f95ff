"""Options that several commands share, and the progress that long ones show."""

from __future__ import annotations

import functools
import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from teapot.interfaces import Progress
    from teapot.resolve import MixOptions

Command = Callable[..., Any]
_PROGRESS_AFTER_SECONDS = 1.0


def common(command: Command) -> Command:
    """Give a command --json, --quiet and -v."""

    @click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
    @click.option("--quiet", "-q", is_flag=True, help="No progress, no warnings on stderr.")
    @click.option("--verbose", "-v", is_flag=True, help="Log what is done to stderr.")
    @functools.wraps(command)
    def wrapped(*arguments: Any, quiet: bool, verbose: bool, **named: Any) -> Any:
        level = logging.ERROR if quiet else logging.DEBUG if verbose else logging.WARNING
        logging.basicConfig(level=level, format="%(levelname)s %(name)s: %(message)s", force=True)
        for chatty in ("httpcore", "httpcore2", "httpx", "httpx2", "filelock", "urllib3", "fsspec"):
            logging.getLogger(chatty).setLevel(max(level, logging.INFO))
        # Their warnings are about themselves, or of kernels that nobody asked for.
        for worried in ("sigstore", "tuf", "bitsandbytes"):
            logging.getLogger(worried).setLevel(logging.INFO if verbose else logging.ERROR)
        return command(*arguments, quiet=quiet, **named)

    return wrapped


def module_places(command: Command) -> Command:
    """Give a command --modules."""
    return click.option(
        "--modules", multiple=True, metavar="DIR",
        type=click.Path(path_type=Path, file_okay=False, exists=True),
        help="Look for modules here too.",
    )(command)  # fmt: skip


def mix_options(command: Command) -> Command:
    """Give a command the options that bear on a mix; they arrive as one `MixOptions`."""

    @module_places
    @click.option(
        "--source",
        "sources",
        multiple=True,
        metavar="ID=PATH",
        help="Read this source from a path, or from hf:owner/name[@revision].",
    )
    @click.option(
        "--seed", type=click.IntRange(min=0, max=2**63 - 1), help="Another seed than the config's."
    )
    @click.option(
        "--on-bad-row",
        type=click.Choice(["fail", "drop"]),
        help="Another policy than the config's and the modules'.",
    )
    @click.option(
        "--tokenizer",
        type=click.Path(path_type=Path, exists=True),
        help="Count tokens with this tokenizer.json.",
    )
    @click.option("--offline", is_flag=True, help="Never touch the network; use the cache.")
    @functools.wraps(command)
    def wrapped(
        *arguments: Any,
        modules: tuple[Path, ...],
        sources: tuple[str, ...],
        seed: int | None,
        on_bad_row: Any,
        tokenizer: Path | None,
        offline: bool,
        **named: Any,
    ) -> Any:
        from teapot.resolve import MixOptions
        from teapot.sourcemap import parse_given

        options = MixOptions(
            modules=modules,
            sources=parse_given(sources),
            seed=seed,
            on_bad_row=on_bad_row,
            tokenizer=tokenizer,
            offline=offline,
        )
        return command(*arguments, options=options, **named)

    return wrapped  # fmt: skip


def trust_options(command: Command) -> Command:
    """Give a command the options of whom to believe; they arrive as `believing: VerifyOptions`."""

    @click.option("--trust", type=click.Path(path_type=Path), metavar="FILE",
                  help="Believe this trust file only.")  # fmt: skip
    @click.option("--expect", metavar="SHA256", help="The manifest must have this SHA-256.")
    @click.option("--signer", metavar="PRINCIPAL", help="Only this principal may have signed.")
    @click.option("--threshold", type=click.IntRange(min=1), default=1, show_default=True,
                  help="Trusted signers at least, each key counted once.")  # fmt: skip
    @click.option(
        "--allow-unsigned",
        is_flag=True,
        help="Go on where nobody trusted has signed: proves only that the files agree.",
    )
    @click.option("--sigstore-config",
                  type=click.Path(path_type=Path, exists=True, dir_okay=False),
                  help="Another Sigstore instance than the public one.")  # fmt: skip
    @functools.wraps(command)
    def wrapped(
        *arguments: Any, trust: Path | None, expect: str | None, signer: str | None,
        threshold: int, allow_unsigned: bool, sigstore_config: Path | None, **named: Any,
    ) -> Any:  # fmt: skip
        import re

        from teapot.errors import Problem, UsageError
        from teapot.usecases.verify import VerifyOptions

        if expect is not None and not re.fullmatch("[0-9a-f]{64}", expect):
            raise UsageError(Problem("--expect", f"{expect!r} is no SHA-256 of 64 hex digits"))
        believing = VerifyOptions(
            trust=trust, expect=expect, signer=signer, threshold=threshold,
            allow_unsigned=allow_unsigned, keyless_config=sigstore_config,
        )  # fmt: skip
        return command(*arguments, believing=believing, **named)

    return wrapped  # fmt: skip


def audit_options(command: Command) -> Command:
    """Give a command the options of walking a model's chain; they arrive as one `AuditOptions`."""

    @click.option("--composition", type=click.Path(path_type=Path, exists=True), metavar="DIR",
                  help="Where ledger and data lie.")  # fmt: skip
    @click.option("--trust", type=click.Path(path_type=Path), metavar="FILE",
                  help="Believe this trust file only.")  # fmt: skip
    @click.option("--allow-unsigned", is_flag=True,
                  help="Go on where nobody trusted has signed.")  # fmt: skip
    @functools.wraps(command)
    def wrapped(
        *arguments: Any, composition: Path | None, trust: Path | None, allow_unsigned: bool,
        **named: Any,
    ) -> Any:  # fmt: skip
        from teapot.usecases.audit import AuditOptions
        from teapot.usecases.verify import VerifyOptions

        verify = VerifyOptions(trust=trust, allow_unsigned=allow_unsigned)
        options = AuditOptions(verify=verify, composition=composition)
        return command(*arguments, options=options, **named)

    return wrapped  # fmt: skip


@contextmanager
def shown_progress(options: MixOptions, *, quiet: bool) -> Iterator[MixOptions]:
    """Give options that show progress, as `progress_bars` does."""
    from dataclasses import replace

    with progress_bars(quiet=quiet) as progress:
        yield options if progress is None else replace(options, progress=progress)


@contextmanager
def progress_bars(*, quiet: bool) -> Iterator[Progress | None]:
    """Show progress on stderr for what takes over a second; None where no one watches."""
    if quiet or sys.stderr is None or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(),
               TimeRemainingColumn())  # fmt: skip
    with Bars(*columns, console=Console(stderr=True), transient=True) as bars:
        yield _reporter(bars)


def _reporter(bars: Any) -> Progress:
    tasks: dict[str, Any] = {}
    started = time.monotonic()

    def report(what: str, done: int, total: int | None) -> None:
        if time.monotonic() - started < _PROGRESS_AFTER_SECONDS:
            return
        name = what.partition(" (")[0]  # what stands in brackets may change with each step
        if name not in tasks:
            tasks[name] = bars.add_task(what, total=total)
        bars.update(tasks[name], description=what, completed=done, total=total)

    return report


def calm_client(*, quiet: bool) -> None:
    """Let the Hub's client show its bars where someone watches, and warn as loudly as we do."""
    from huggingface_hub.utils import logging as of_client
    from huggingface_hub.utils.tqdm import disable_progress_bars

    if quiet or sys.stderr is None or not sys.stderr.isatty():
        disable_progress_bars()
    of_client.set_verbosity(logging.getLogger().level)
    of_client.disable_propagation()  # it has a handler of its own, and would say all twice

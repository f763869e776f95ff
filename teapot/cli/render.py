"""`teapot render`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from teapot.cli.options import common
from teapot.errors import Problem, UsageError


@click.command()
@click.argument("file", type=click.Path(path_type=Path), default="-")
@click.option("--base", "name", required=True, metavar="NAME", help="The base; see teapot bases.")
@click.option("--system-prompt", metavar="TEXT|@FILE",
              help="For rows without a system turn; default the base's own.")  # fmt: skip
@common
def render(name: str, file: Path, system_prompt: str | None, quiet: bool, as_json: bool) -> None:
    """Show the chat rows of FILE (JSONL; - is standard input) as a base writes them.

    A line of JSON for each row: the text that the model sees, and the parts that it is trained on.
    No tokenizer is needed. The text begins with the base's own begin-of-sequence token, so it is
    to be tokenised without special tokens added.
    """
    from teapot.plugins import load_trainer
    from teapot.usecases.render import render_rows

    trainer, _ = load_trainer(name)
    source = sys.stdin.buffer if str(file) == "-" else file
    for rendered in render_rows(trainer, source, prompt_of(system_prompt)):
        line = {"text": rendered.text, "supervised": rendered.pieces}
        click.echo(json.dumps(line, ensure_ascii=False).encode())


def prompt_of(given: str | None) -> str | None:
    """Return the text that was given, or that of the file that was named; its last LF is not it."""
    if given is None or not given.startswith("@"):
        return given
    path = given[1:]
    try:
        return Path(path).read_bytes().decode("utf-8").removesuffix("\n")
    except OSError as error:
        raise UsageError(Problem(path, f"cannot be read: {error.strerror}")) from error
    except UnicodeDecodeError as error:
        raise UsageError(Problem(path, f"not UTF-8 at byte {error.start}")) from error

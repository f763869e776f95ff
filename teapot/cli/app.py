"""The `teapot` command: finds the sub-command, and turns every error into text and exit code."""

from __future__ import annotations

import gc
import importlib
import json
import os
import signal
import sys
from types import FrameType
from typing import Any

import click

from teapot.errors import OutputError, Problem, TeapotError, UsageError
from teapot.version import __version__

INTERRUPTED = 130
_KEPT_OBJECTS = 50_000
_COMMANDS = {
    "init": ("teapot.cli.init", "Write a starter project: config, module, data."),
    "plan": ("teapot.cli.compose", "Show what a mix would be; writes nothing."),
    "compose": ("teapot.cli.compose", "Write and sign the training file and its manifest."),
    "verify": ("teapot.cli.verify", "Prove or disprove every claim of a composition."),
    "explain": ("teapot.cli.explain", "Say why a row is in the mix, or why not."),
    "check": ("teapot.cli.check", "List every fault of a chat JSONL file."),
    "diff": ("teapot.cli.diff", "Show how two mixes, configs or locks differ."),
    "prove": ("teapot.cli.prove", "Prove that a record is in a composition, or is not."),
    "sign": ("teapot.cli.sign", "Sign a manifest, or a folder."),
    "keys": ("teapot.cli.keys", "Make, list, import and show signing keys."),
    "trust": ("teapot.cli.trust", "Say whose signatures are believed."),
    "lock": ("teapot.cli.lock", "Pin every source to revision, digest and rows."),
    "modules": ("teapot.cli.modules", "List, show and check modules."),
    "curate": ("teapot.cli.curate", "Review records, and keep, merge and publish verdicts."),
    "sources": ("teapot.cli.sources", "Show where each source lies, and what is missing."),
    "bases": ("teapot.cli.bases", "List and show the bases that can be trained."),
    "render": ("teapot.cli.render", "Show chat rows as a base writes them, and what is trained."),
    "encode": ("teapot.cli.encode", "Turn a data file into token ids and labels."),
    "mask": ("teapot.cli.mask", "Show what of one line is trained, token by token."),
    "train": ("teapot.cli.train", "Fine-tune a base on a verified composition."),
    "export": ("teapot.cli.export", "Write a trained model in another form, such as merged."),
    "audit": ("teapot.cli.audit", "Walk from a model's card to its training data, offline."),
    "push": ("teapot.cli.push", "Send a verified model folder to the Hub, private by default."),
    "attribution": ("teapot.cli.attribution", "Print whose data a mix is, by licence."),
    "trace": ("teapot.cli.trace", "Say which models were trained on a record."),
    "cache": ("teapot.cli.cache", "Show or clear what earlier runs have judged."),
    "schema": ("teapot.cli.schema", "Print a JSON Schema, for editors and tools."),
    "completion": ("teapot.cli.completion", "Print a shell's completion script."),
}


class _LazyGroup(click.Group):
    """Imports a command's module only when that command is run, so that help is instant."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(_COMMANDS[cmd_name][0])
        command: click.Command = getattr(module, cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, words) for name, (_, words) in _COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        import difflib

        if args and args[0] not in _COMMANDS and not args[0].startswith("-"):
            near = difflib.get_close_matches(args[0], _COMMANDS, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise click.UsageError(f"no such command {args[0]!r}{hint}", ctx)
        return super().resolve_command(ctx, args)


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="teapot", message="%(prog)s %(version)s")
def teapot() -> None:
    """Mix licensed datasets into one training file, and prove what went in.

    Exit codes: 0 done; 1 a fault found in data; 2 wrong usage, config, module, key or trust file;
    3 a source is missing or out of reach; 4 unsigned; 5 signed by a key that is not trusted; 6 the
    output cannot be written; 7 two sides differ (diff); 130 interrupted.
    """


def main() -> None:
    """Run the command line and exit."""
    signal.signal(signal.SIGTERM, _terminate)
    gc.set_threshold(_KEPT_OBJECTS)  # a tenth of a start is else spent on looking at modules
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command and return its exit code."""
    try:
        _refuse_undecodable(arguments)
        result: Any = teapot.main(arguments, prog_name="teapot", standalone_mode=False)
        sys.stdout.flush()
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted; no file was left half-written", err=True)
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except TeapotError as error:
        _show_error(error, as_json="--json" in arguments)
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return 2
    except (OSError, MemoryError) as error:
        _show_error(_unforeseen(error), as_json="--json" in arguments)
        return OutputError.exit_code
    return result if isinstance(result, int) else 0


def _show_error(error: TeapotError, *, as_json: bool) -> None:
    if as_json:
        problems = [
            {"where": problem.where, "path": problem.path, "message": problem.message}
            for problem in error.problems
        ]
        value = {"error": problems, "kind": type(error).__name__, "exit_code": error.exit_code}
        click.echo(json.dumps(value, ensure_ascii=False))
        return
    for problem in error.problems:
        click.echo(harmless(f"error: {problem}"), err=True)


def _unforeseen(error: OSError | MemoryError) -> OutputError:
    """Return an error of the operating system that no edge has answered, in its own words."""
    if isinstance(error, MemoryError):
        return OutputError(Problem("", "there is not enough memory; free some, or raise its limit"))
    return OutputError(Problem(str(error.filename or ""), error.strerror or str(error)))


def _refuse_undecodable(arguments: list[str]) -> None:
    for argument in arguments:
        if not argument.isprintable() and any("\ud800" <= char <= "\udfff" for char in argument):
            raise UsageError(Problem(repr(argument), "an argument that is not UTF-8"))


def harmless(text: str) -> str:
    """Return text from data or names with its control characters made visible."""
    return "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in text)


def _terminate(number: int, frame: FrameType | None) -> None:
    """Unwind as on an interrupt, so that a run that is told to stop cleans up."""
    raise KeyboardInterrupt

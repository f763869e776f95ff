"""`teapot trace`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from teapot.cli.app import harmless
from teapot.cli.options import audit_options, common
from teapot.cli.show import print_json

if TYPE_CHECKING:
    from teapot.usecases.audit import AuditOptions


@click.command()
@click.argument("query", metavar="ID|DIGEST|TEXT")
@click.argument("models", nargs=-1, required=True, metavar="MODEL_DIR...",
                type=click.Path(path_type=Path, exists=True, file_okay=False))  # fmt: skip
@audit_options
@common
def trace(
    query: str, models: tuple[Path, ...], options: AuditOptions, quiet: bool, as_json: bool
) -> int:
    """Say which models were trained on a record.

    MODEL_DIR is a trained model's folder, or a folder of such folders. Exit codes are like grep's:
    0 where a model was, 1 where none was, and 3 where none is known to be and some could not tell.
    """
    from teapot.usecases.trace import exit_code_of
    from teapot.usecases.trace import trace as ask

    found = ask(query, models, options)
    if as_json:
        print_json([part.to_dict() for part in found])
        return exit_code_of(found)
    for part in found:
        lines = ", ".join(map(str, part.lines)) + (" …" if part.count > len(part.lines) else "")
        on = f" on {'line' if part.count == 1 else 'lines'} {lines}" if part.lines else ""
        click.echo(harmless(f"{part.answer:<10} {part.model}{on}: {part.why}"))
    return exit_code_of(found)

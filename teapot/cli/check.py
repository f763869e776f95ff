"""`teapot check`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from teapot.cli.app import harmless
from teapot.cli.options import common
from teapot.cli.show import print_json

if TYPE_CHECKING:
    from teapot.usecases.checkfile import RowFaults


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--scan", is_flag=True, help="Also find secrets and personal data.")
@common
def check(file: Path, scan: bool, quiet: bool, as_json: bool) -> int:
    """List every fault of a chat JSONL FILE, Teapot's or any other; exit code 1 if it has one.

    Reads messages or conversations, role/content or from/value, plain, .gz or .zst.
    """
    from dataclasses import asdict

    import teapot
    from teapot.errors import counted

    faults: list[dict[str, object]] = []

    def report(found: RowFaults) -> None:
        if as_json:
            faults.append(asdict(found))
        else:
            shown = f" (id {found.id})" if found.id else ""
            click.echo(harmless(f"{file}:{found.line}: {found.detail}{shown}"))

    result = teapot.check_file(file, report, scan=scan)
    if as_json:
        print_json({**result.to_dict(), "faults": faults})
    else:
        told = ", ".join(f"{count} {reason}" for reason, count in result.by_reason.items())
        click.echo(
            f"{counted(result.rows, 'row')}, {result.faulty:,} faulty{': ' * bool(told)}{told}"
        )
        if result.repeated_ids and not quiet:
            click.echo(
                f"warning: {counted(result.repeated_ids, 'row')} of other content repeat an id",
                err=True,
            )
    return 1 if result.faulty else 0

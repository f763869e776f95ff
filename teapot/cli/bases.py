"""`teapot bases list|show`."""

from __future__ import annotations

import click

from teapot.cli.app import harmless
from teapot.cli.options import common
from teapot.cli.show import cell, plain_table, print_json, print_table


@click.group()
def bases() -> None:
    """List and show the bases that can be trained."""


@bases.command("list")
@common
def list_(quiet: bool, as_json: bool) -> int:
    """List every base that an installed package provides."""
    from teapot.usecases.bases import list_bases

    found, problems = list_bases()
    if as_json:
        print_json([provided.to_dict() for provided in found])
    else:
        table = plain_table("base", "model", "thoughts", "end of turn", "package")
        for provided in found:
            base = provided.base
            thought = f"{base.thought.open}…{base.thought.close}" if base.thought else "text"
            table.add_row(cell(base.name), cell(base.model), cell(thought),
                          cell(base.end_of_turn), cell(provided.package))  # fmt: skip
        print_table(table)
    for problem in problems:
        click.echo(harmless(f"error: {problem}"), err=True)
    return 2 if problems else 0


@bases.command("show")
@click.argument("name")
@common
def show(name: str, quiet: bool, as_json: bool) -> None:
    """Show the base NAME: everything its file says, and who provides it."""
    from teapot.usecases.bases import provided_base

    value = provided_base(name).to_dict()
    if as_json:
        print_json(value)
        return
    for key, part in value.items():
        click.echo(harmless(f"{key:22}{_told(part)}"))


def _told(part: object) -> str:
    if part is None:
        return "-"
    if isinstance(part, dict):
        return "  ".join(f"{key} {'?' if value is None else value}" for key, value in part.items())
    return ", ".join(part) if isinstance(part, tuple) else str(part) or '""'

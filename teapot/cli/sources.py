"""`teapot sources`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from teapot.cli.options import common, mix_options
from teapot.cli.show import cell, plain_table, print_json, print_table

if TYPE_CHECKING:
    from teapot.resolve import MixOptions


@click.command()
@click.argument("config", type=click.Path(path_type=Path), required=False)
@mix_options
@common
def sources(config: Path | None, options: MixOptions, quiet: bool, as_json: bool) -> int:
    """Show where each source of CONFIG (or of every module) lies, and what is missing."""
    from teapot.modulefile import ModulePlaces
    from teapot.usecases.catalog import source_statuses

    places = ModulePlaces.around(config or Path("configs") / "x", options.modules)
    found = source_statuses(config, places, options)
    missing = [status for status in found if status.state == "missing"]
    if as_json:
        print_json([status.to_dict() for status in found])
        return 3 if missing else 0
    table = plain_table("source", "module", "state", "resolves to", "said by")
    for status in found:
        table.add_row(cell(status.id), cell(status.module), status.state, cell(status.resolved),
                      cell(status.said_by))  # fmt: skip
    print_table(table)
    for status in missing:
        click.echo(
            f"missing: {status.id}; give it with --source {status.id}=PATH, "
            f"{status.variable}=PATH, or a line `{status.id}: PATH` in teapot.sources.yaml"
        )
    return 3 if missing else 0

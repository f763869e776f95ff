"""`teapot init`."""

from __future__ import annotations

from pathlib import Path

import click

from teapot.cli.options import common
from teapot.cli.show import print_json


@click.command()
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False))
@common
def init(directory: Path, quiet: bool, as_json: bool) -> None:
    """Write a starter project into DIRECTORY: a config, a module, its data, the demo, a README."""
    from teapot.usecases.starter import write_starter

    written = write_starter(directory)
    if as_json:
        print_json({"directory": str(directory), "written": [str(path) for path in written]})
        return
    for path in written:
        click.echo(f"wrote {path}")
    click.echo(f"next: cd {directory} && teapot compose my-mix.config")

"""`teapot attribution`."""

from __future__ import annotations

from pathlib import Path

import click

from teapot.cli.options import common
from teapot.cli.show import print_json


@click.command()
@click.argument("target", type=click.Path(path_type=Path))
@common
def attribution(target: Path, quiet: bool, as_json: bool) -> None:
    """Print whose data a mix is, by licence: Markdown, from a manifest alone.

    TARGET is a manifest, its data file, or a folder with one. Nothing is verified; `teapot verify`
    does that.
    """
    from teapot.usecases.attribute import attribution as ask

    text = ask(target)
    if as_json:
        print_json({"attribution": text})
    else:
        click.echo(text, nl=False)

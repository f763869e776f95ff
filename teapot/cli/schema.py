"""`teapot schema`."""

from __future__ import annotations

import json

import click

from teapot.cli.options import common
from teapot.cli.show import print_json


@click.command()
@click.argument("name", required=False)
@common
def schema(name: str | None, quiet: bool, as_json: bool) -> None:
    """Print the JSON Schema NAME: base, config, module, record, ledger, manifest or proof."""
    from teapot.schemas import SCHEMAS, schema_text

    if name is not None:
        click.echo(schema_text(name), nl=False)
    elif as_json:
        print_json({known: json.loads(schema_text(known))["description"] for known in SCHEMAS})
    else:
        for known in SCHEMAS:
            click.echo(f"{known:9} {json.loads(schema_text(known))['description']}")

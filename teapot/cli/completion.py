"""`teapot completion`."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from teapot.cli.options import common
from teapot.cli.show import print_json


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@common
def completion(shell: str, quiet: bool, as_json: bool) -> None:
    """Print the completion script of a SHELL, as in: eval "$(teapot completion bash)"."""
    from teapot.cli.app import teapot

    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"no completion for {shell}")
    script = kind(teapot, {}, "teapot", "_TEAPOT_COMPLETE").source()
    if as_json:
        print_json({"shell": shell, "script": script})
    else:
        click.echo(script)

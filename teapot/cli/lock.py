"""`teapot lock`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from teapot.cli.options import common, mix_options, shown_progress
from teapot.cli.show import print_json

if TYPE_CHECKING:
    from teapot.resolve import MixOptions


@click.command()
@click.argument("config", type=click.Path(path_type=Path))
@click.option(
    "--update",
    multiple=True,
    metavar="MODULE",
    help="Pin only these modules anew; the others must be as locked.",
)
@mix_options
@common
def lock(
    config: Path, update: tuple[str, ...], options: MixOptions, quiet: bool, as_json: bool
) -> None:  # fmt: skip
    """Read every source of CONFIG and pin it in teapot.lock beside the config.

    Verdicts and evaluation sets are pinned, too.
    """
    from teapot.usecases.locking import lock as write_lock

    with shown_progress(options, quiet=quiet) as watched:
        made = write_lock(config, watched, update=update)
    if as_json:
        others = {"verdicts": dict(made.verdicts), "eval_sets": dict(made.eval_sets)}
        told = {key: pins for key, pins in others.items() if pins}
        print_json({"path": str(made.path), "sources": dict(made.pins), **told})
        return
    for name, pin in made.pins.items():
        at = f" at {pin['revision']}" if pin["revision"] else ""
        click.echo(f"{name}: {pin['rows']:,} rows{at}, sha256 {pin['sha256']}")
    for what, digests in (("verdicts", made.verdicts), ("evaluation set", made.eval_sets)):
        for name, sha256 in digests.items():
            click.echo(f"{what} {name}: sha256 {sha256}")
    click.echo(f"wrote {made.path}")

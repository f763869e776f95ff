"""`teapot plan` and `teapot compose`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from teapot.cli.options import common, mix_options, shown_progress
from teapot.cli.show import print_json, print_report, print_warnings
from teapot.cli.signing_options import signing_options

if TYPE_CHECKING:
    from teapot.cli.signing_options import MakeSigner
    from teapot.cluster import Engine
    from teapot.resolve import MixOptions
    from teapot.usecases.composed import Composition


@click.command()
@click.argument("config", type=click.Path(path_type=Path))
@mix_options
@common
def plan(config: Path, options: MixOptions, quiet: bool, as_json: bool) -> None:
    """Read everything CONFIG names and show what the mix would be. Writes nothing."""
    import teapot

    with shown_progress(options, quiet=quiet) as watched:
        made = teapot.plan(config, watched)
    if as_json:
        print_json(made.to_dict())
        return
    print_report(made.report)
    click.echo(f"recipe    sha256 {made.recipe.sha256()}")
    print_warnings(made.report, quiet=quiet)


@click.command()
@click.argument("config", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The data file; ledger, manifest and signature lie beside it.",
)
@click.option(
    "--shards",
    type=click.IntRange(min=1, max=10_000),
    metavar="N",
    help="Cut the data into N files: FILE-00000-of-0000N.jsonl …",
)
@click.option(
    "--engine",
    type=click.Choice(["local", "ray"]),
    default="local",
    show_default=True,
    help="Where rows are read and lines are made; the bytes are the same.",
)
@click.option(
    "--ray-address",
    metavar="ADDRESS",
    help="The Ray cluster of --engine ray, such as ray://head:10001 or auto; else one is started "
    "here for this run.",
)
@click.option(
    "--attribution/--no-attribution",
    default=None,
    help="Write FILE.ATTRIBUTION.md too: whose data it is, by licence.",
)
@click.option("--no-sign", is_flag=True, help="Write no signature.")
@signing_options
@click.option("--locked", is_flag=True, help="Refuse sources that are not what teapot.lock pins.")
@mix_options
@common
def compose(
    config: Path, output: Path | None, shards: int | None, engine: str, ray_address: str | None,
    attribution: bool | None, no_sign: bool, signer: MakeSigner, locked: bool,
    options: MixOptions, quiet: bool, as_json: bool,
) -> None:  # fmt: skip
    r"""Write and sign the mix that CONFIG describes, all files or none.

    \b
    FILE.jsonl                   one canonical record per line
    FILE.ledger.parquet          one row per row read, with its fate
    FILE.manifest.json           what went in: hashes, counts, weights, licences
    FILE.manifest.sigstore.json  the signature over the manifest
    FILE.validation.jsonl        what is held out, with `split`
    FILE.epoch-N.order           which lines an epoch has, with `epochs: {orders: true}`

    The key is --key, else $TEAPOT_SIGNING_KEY (PEM text or a path), else your own, which the first
    run makes.
    """
    from dataclasses import replace

    import teapot
    from teapot.lock import FILE, Lock

    lock = Lock.read(config.parent / FILE) if locked else None
    key = None if no_sign else signer()
    options = replace(options, shards=shards, engine=_engine(engine, ray_address, options))
    options = replace(options, attribution=attribution)
    with shown_progress(options, quiet=quiet) as watched:
        made = teapot.compose(config, watched, output=output, lock=lock, signer=key)
    if as_json:
        print_json(made.to_dict())
        return
    print_report(made.report)
    _print_files(made)
    if key is None:
        click.echo("unsigned: nobody vouches for this; `teapot sign` does so later")
    else:
        click.echo(f"signed    {made.paths.bundle}")
        click.echo(f"          by {key.needed_key().public.fingerprint}")
    print_warnings(made.report, quiet=quiet)


def _engine(name: str, address: str | None, options: MixOptions) -> Engine | None:
    from teapot.errors import Problem, UsageError

    if name == "ray":
        from teapot.raycluster import ray_engine

        return ray_engine(address, workers=options.workers)
    if address is not None:
        raise UsageError(Problem("--ray-address", "is of --engine ray, which was not asked for"))
    return None


def _print_files(made: Composition) -> None:
    click.echo(
        f"data      {made.paths.data}  {made.data.records:,} lines, {made.data.bytes:,} bytes"
    )
    click.echo(f"          sha256 {made.data.sha256}")
    if made.data.shards:
        first, last = made.data.shards[0].name, made.data.shards[-1].name
        click.echo(f"          in {len(made.data.shards):,} shards, {first} to {last}")
    if made.validation is not None:
        held, path = made.validation, made.paths.validation
        click.echo(f"held out  {path}  {held.records:,} lines, {held.bytes:,} bytes")
        click.echo(f"          sha256 {held.sha256}")
    if made.orders:
        told = str(made.paths.orders(1)[0])
        told += f" to {made.orders[-1].name}" if len(made.orders) > 1 else ""
        click.echo(f"orders    {told}, {sum(order.bytes for order in made.orders):,} bytes")
    click.echo(f"ledger    {made.paths.ledger}  {made.ledger.rows:,} rows")
    if made.attribution is not None:
        click.echo(f"credits   {made.paths.attribution}")
    click.echo(f"manifest  {made.paths.manifest}")
    click.echo(f"          sha256 {made.manifest_sha256}")

"""`teapot cache info` and `teapot cache clear`."""

from __future__ import annotations

import click

from teapot.cli.options import common
from teapot.cli.show import print_json


@click.group()
def cache() -> None:
    """Show or clear what earlier runs have judged, and the files they fetched."""


@cache.command()
@common
def info(quiet: bool, as_json: bool) -> None:
    """Say where the cache lies and how much is in it."""
    from teapot.partcache import PartCache
    from teapot.sources.cache import cache_folder

    facts = PartCache(cache_folder()).facts()
    if as_json:
        print_json({"folder": str(facts.folder), "parts": facts.parts, "bytes": facts.bytes})
        return
    click.echo(f"{facts.folder}: {facts.parts:,} parts, {facts.bytes:,} bytes")


@cache.command()
@common
def clear(quiet: bool, as_json: bool) -> None:
    """Remove what earlier runs have judged; fetched files stay."""
    from teapot.partcache import PartCache
    from teapot.sources.cache import cache_folder

    facts = PartCache(cache_folder()).clear()
    if as_json:
        print_json({"folder": str(facts.folder), "parts": facts.parts, "bytes": facts.bytes})
        return
    click.echo(f"removed {facts.parts:,} parts, {facts.bytes:,} bytes from {facts.folder}")

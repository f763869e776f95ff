"""`teapot explain`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from teapot.cli.app import harmless
from teapot.cli.options import common, mix_options, shown_progress
from teapot.cli.show import print_json

if TYPE_CHECKING:
    from teapot.resolve import MixOptions
    from teapot.usecases.explain import Explanation


@click.command()
@click.argument("target", type=click.Path(path_type=Path, exists=True))
@click.argument("queries", nargs=-1, required=True, metavar="ID|LINE|DIGEST|TEXT...")
@mix_options
@common
def explain(
    target: Path, queries: tuple[str, ...], options: MixOptions, quiet: bool, as_json: bool
) -> None:
    """Say why a row is in the mix, or why not.

    TARGET is a config, whose sources are then read, or a composition's manifest or data file,
    which needs no source.
    """
    import teapot

    with shown_progress(options, quiet=quiet) as watched:
        answers = teapot.explain(target, queries, watched)
    if as_json:
        print_json([answer.to_dict() for answer in answers])
        return
    for answer in answers:
        for explanation in answer.explanations:
            click.echo("\n".join(harmless(line) for line in _lines(explanation)) + "\n")
        if answer.more:
            click.echo(f"{answer.query}: there are more; ask for an id or a line\n")


def _lines(found: Explanation) -> list[str]:
    revision = f"@{found.revision}" if found.revision else ""
    lines = [
        f"{found.id or 'a row without an id'}: {_fate(found)}",
        f"  row        {found.row} of {found.source} ({found.uri}{revision})",
        f"  module     {found.module} {found.version}, {_asked(found)}",
    ]
    if found.license:
        lines.append(f"  licence    {found.license}")
    if found.repairs:
        lines.append(
            f"  repaired   {', '.join(found.repairs)}; content before {found.digest_before}"
        )
    if found.detail and (found.fate == "kept" or found.reason == "not-drawn"):
        lines.append(f"  noted      {found.detail}")
    if found.content_digest:
        lines.append(f"  content    sha256 {found.content_digest}")
    if found.checks_passed:
        lines.append(f"  passed     {', '.join(found.checks_passed)}")
    if found.cutoff and found.draw_rank:
        drawn = "not above" if found.draw_rank <= found.cutoff else "above"
        lines.append(
            f"  draw rank  {found.draw_rank[:16]}… is {drawn} the cut-off {found.cutoff[:16]}…"
        )
    if found.order_rank and found.lines:
        lines.append(f"  order rank {found.order_rank[:16]}…")
    if found.uses:
        lines.append(f"  epochs     {_epochs(found.uses)}")
    return lines


def _epochs(uses: tuple[int, ...]) -> str:
    """Return which epochs have a record, and how often where that is not once: `1, 3 (2 times)`."""
    return ", ".join(
        str(epoch) if times == 1 else f"{epoch} ({times} times)"
        for epoch, times in enumerate(uses, start=1)
        if times
    )


def _fate(found: Explanation) -> str:
    if found.fate == "kept":
        word = "line" if len(found.lines) == 1 else "lines"
        return f"in the mix, on {word} {', '.join(map(str, found.lines))}"
    if found.reason == "not-drawn":
        return f"usable, but not drawn: {_asked(found)} takes the lowest draw ranks only"
    return f"dropped ({found.reason}): {found.detail}"


def _asked(found: Explanation) -> str:
    """Return what was asked of the module, and what an amount other than a weight came to."""
    if found.weight is not None:
        return found.asked
    return f"{found.asked} ({found.module_lines:,} lines of {found.usable:,} usable records)"

"""`teapot audit`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from teapot.cli.app import harmless
from teapot.cli.options import audit_options, common
from teapot.cli.show import print_json, result_lines

if TYPE_CHECKING:
    from teapot.usecases.audit import Audit, AuditOptions, Example


@click.command()
@click.argument("model", type=click.Path(path_type=Path, exists=True, file_okay=False),
                metavar="MODEL_DIR")  # fmt: skip
@click.option("--example", type=click.IntRange(min=1), metavar="N",
              help="Walk to line N of the data: whose row it is, and its text.")  # fmt: skip
@audit_options
@common
def audit(
    model: Path, example: int | None, options: AuditOptions, quiet: bool, as_json: bool
) -> int:
    """Walk from a model's card to its training data, offline.

    Each link is told with the digests that tie it to the next: card, train statement, manifest,
    ledger, source. Ledger and data are looked for beside the manifest's copy and in this project.
    """
    from dataclasses import replace

    from teapot.usecases.audit import audit as walk

    found = walk(model, replace(options, example=example))
    if as_json:
        print_json(found.to_dict())
    else:
        _show(found)
    return found.verification.exit_code


def _show(found: Audit) -> None:
    verification = found.verification
    click.echo(harmless(verification.target))
    for result in verification.results:
        for line in result_lines(result):
            click.echo(harmless(line))
    for line in [] if found.example is None else _example_lines(found.example):
        click.echo(harmless(line))
    wrong = [r.name for r in verification.results if r.status not in ("ok", "note", "skipped")]
    if wrong:
        click.echo(f"BROKEN at {', '.join(wrong)} (exit code {verification.exit_code})")
    else:
        click.echo("the chain holds")


def _example_lines(example: Example) -> list[str]:
    at = f"@{example.revision}" if example.revision else ""
    lines = [
        f"  line       {example.line}",
        f"  id         {example.id}",
        f"  record     sha256 {example.record_sha256}",
        f"  content    sha256 {example.content_sha256}",
        f"  licence    {example.license}",
        f"  module     {example.module}",
        f"  row        {example.row} of {example.source} ({example.uri}{at})",
        f"  source     sha256 {example.source_sha256}",
    ]
    if example.messages is None:
        return [*lines, "  text       not shown: there is no data file that can be believed"]
    for message in example.messages:
        first, *more = message["content"].split("\n")
        lines.append(f"  {message['role']:<10} {first}")
        lines += [f"  {'':<10} {line}" for line in more]
    return lines

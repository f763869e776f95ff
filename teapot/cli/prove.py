"""`teapot prove`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from teapot.cli.app import harmless
from teapot.cli.options import common
from teapot.cli.show import print_json


@click.command()
@click.argument("target", type=click.Path(path_type=Path, exists=True), metavar="MANIFEST")
@click.argument("query", metavar="LINE|ID|DIGEST|FILE")
@click.option("--absent", is_flag=True, help="Prove that the content is not in the data file.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Where to write the proof; - for stdout.",
)
@click.option(
    "--trust", type=click.Path(path_type=Path), metavar="FILE", help="Believe this trust file only."
)
@click.option("--allow-unsigned", is_flag=True, help="Prove from a manifest that nobody signed.")
@common
def prove(
    target: Path, query: str, absent: bool, output: Path | None, quiet: bool, as_json: bool,
    **named: Any,
) -> None:  # fmt: skip
    """Write a file that proves a record is in a composition, or that a content is not.

    The proof holds the signed manifest and a Merkle path; whoever has it needs nothing else:
    teapot verify FILE.proof.json --record RECORD
    """
    from teapot.errors import Problem, UsageError
    from teapot.files import write_atomically
    from teapot.proof import SUFFIX
    from teapot.usecases.prove import prove as make
    from teapot.usecases.verify import VerifyOptions

    made = make(target, query, VerifyOptions(**named), absent=absent)
    data = made.proof.to_bytes()
    if str(output) == "-":
        click.echo(data, nl=False)
        return
    path = output or Path(f"{made.name}{SUFFIX}")
    if not path.name.endswith(SUFFIX):
        raise UsageError(Problem(str(path), f"is no name for a proof, expected one in *{SUFFIX}"))
    write_atomically(path, data)
    if as_json:
        print_json({"path": str(path), "kind": made.proof.kind, "digest": made.proof.digest.hex()})
        return
    click.echo(harmless(made.sentence))
    click.echo(harmless(f"proof     {path}"))

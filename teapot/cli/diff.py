"""`teapot diff`."""

from __future__ import annotations

from pathlib import Path

import click

from teapot.cli.options import common, module_places
from teapot.cli.show import print_json


@click.command()
@click.argument("a", metavar="A")
@click.argument("b", metavar="B")
@click.option("--examples", type=click.IntRange(min=0, max=1000), default=3, show_default=True,
              metavar="N", help="So many rows of each kind of change, in each module.")  # fmt: skip
@click.option("--markdown", is_flag=True, help="Print Markdown, for a pull request's comment.")
@click.option("--trust", type=click.Path(path_type=Path), metavar="FILE",
              help="Believe this trust file only.")  # fmt: skip
@module_places
@common
def diff(
    a: str, b: str, examples: int, markdown: bool, trust: Path | None, modules: tuple[Path, ...],
    quiet: bool, as_json: bool,
) -> int:  # fmt: skip
    """Show how two mixes differ: rows, amounts, licences, sources, settings.

    A and B are each a config, a manifest (or its data file or signature), a teapot.lock, a model
    folder, or a config in git: REV:path/to/mix.config. Unsigned things are read too, and it says
    so.

    Exit codes: 0 the same; 7 they differ; 1 a fault in a manifest or ledger, which was not
    compared; 2 wrong usage.
    """
    from teapot.cli.diffpages import print_markdown, print_text
    from teapot.errors import UsageError
    from teapot.usecases.diff import DIFFERENT, DiffOptions
    from teapot.usecases.diff import diff as compare
    from teapot.usecases.verify import VerifyOptions

    if as_json and markdown:
        raise UsageError("--json and --markdown are two forms of one answer; ask for one")
    options = DiffOptions(verify=VerifyOptions(trust=trust), modules=modules, examples=examples)
    found = compare(a, b, options)
    if as_json:
        print_json(found.to_dict())
    elif markdown:
        print_markdown(found)
    else:
        print_text(found)
    return 0 if found.is_same else DIFFERENT

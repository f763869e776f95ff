"""`teapot mask`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from teapot.cli.app import harmless
from teapot.cli.options import common
from teapot.cli.render import prompt_of
from teapot.cli.show import print_json

if TYPE_CHECKING:
    from teapot.model.masked import MaskedPiece

_PATH = click.Path(path_type=Path)


@click.command()
@click.argument("target", type=click.Path(path_type=Path, exists=True), metavar="MANIFEST")
@click.argument("line", type=click.IntRange(min=1))
@click.option("--base", "name", required=True, metavar="NAME", help="The base; see teapot bases.")
@click.option("--tokenizer", metavar="DIR|ID",
              help="The model's folder, or OWNER/NAME[@REVISION] on the Hub.")  # fmt: skip
@click.option("--system-prompt", metavar="TEXT|@FILE",
              help="For rows without a system turn; default the base's own.")  # fmt: skip
@click.option("--ids", is_flag=True, help="Show each token's id; needs --tokenizer.")
@click.option("--html", type=_PATH, metavar="FILE", help="Write a page instead.")
@click.option("--trust", type=_PATH, metavar="FILE", help="Believe this trust file only.")
@click.option("--allow-unsigned", is_flag=True, help="Show a line that nobody has signed.")
@common
def mask(
    target: Path, line: int, name: str, tokenizer: str | None, system_prompt: str | None,
    ids: bool, html: Path | None, quiet: bool, as_json: bool, **named: Any,
) -> None:  # fmt: skip
    """Show what of a LINE of a data file a base is trained on.

    What is trained stands on green, and between ⟦ and ⟧ where there are no colours; control tokens
    are bold. The composition is verified first.
    """
    from teapot.errors import Problem, UsageError
    from teapot.files import write_atomically
    from teapot.maskpage import mask_page
    from teapot.modelfiles import tokenizer_at
    from teapot.plugins import load_trainer
    from teapot.usecases.mask import MaskOptions, mask_line
    from teapot.usecases.verify import VerifyOptions

    if ids and tokenizer is None:
        raise UsageError("--ids needs --tokenizer: only a tokenizer knows them")
    if html is not None and html.suffix not in (".html", ".htm"):
        raise UsageError(Problem(str(html), "is no name for a page, expected *.html"))
    trainer, _ = load_trainer(name)
    folder = None if tokenizer is None else tokenizer_at(tokenizer, trainer.base)
    options = MaskOptions(
        tokenizer=folder, system_prompt=prompt_of(system_prompt), verify=VerifyOptions(**named)
    )
    row = mask_line(target, line, trainer, options)
    if as_json:
        print_json(asdict(row))
    elif html is not None:
        write_atomically(html, mask_page(row).encode())
        click.echo(harmless(f"page      {html}"))
    else:
        click.echo(_shown(row.pieces, ids=ids))


def _shown(pieces: tuple[MaskedPiece, ...], *, ids: bool) -> str:
    parts, was_trained = [], False
    for piece in pieces:
        if piece.is_trained != was_trained:
            parts.append("⟦" if piece.is_trained else "⟧")
            was_trained = piece.is_trained
        number = f"·{piece.id} " if ids else ""
        text = "\n".join(harmless(part) for part in piece.text.split("\n")) + number
        colour = "black" if piece.is_trained else None
        ground = "green" if piece.is_trained else None
        parts.append(click.style(text, fg=colour, bg=ground, bold=piece.is_special))
    return "".join([*parts, "⟧" if was_trained else ""])

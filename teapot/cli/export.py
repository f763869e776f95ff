"""`teapot export`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from teapot.cli.app import harmless
from teapot.cli.options import common, progress_bars
from teapot.cli.show import print_json
from teapot.cli.signing_options import signing_options

if TYPE_CHECKING:
    from teapot.cli.signing_options import MakeSigner
    from teapot.usecases.export import ExportedModel

_PATH = click.Path(path_type=Path)


@click.command()
@click.argument("name", metavar="FORMAT")
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False),
                metavar="MODEL_DIR")  # fmt: skip
@click.option("-o", "--output", type=_PATH, metavar="DIR",
              help="The new folder; default MODEL_DIR-FORMAT.")  # fmt: skip
@click.option("--model", metavar="DIR", help="A folder with the base; default from the Hub, at the "
              "commit that was trained.")  # fmt: skip
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto",
              show_default=True, help="What computes.")  # fmt: skip
@click.option("--no-sign", is_flag=True, help="Sign neither statement nor folder.")
@signing_options
@click.option("--offline", is_flag=True, help="Never touch the network; use the cache.")
@click.option("--trust", type=_PATH, metavar="FILE", help="Believe this trust file only.")
@click.option("--allow-unsigned", is_flag=True, help="Take what nobody has signed.")
@common
def export(
    name: str, folder: Path, output: Path | None, no_sign: bool, trust: Path | None,
    allow_unsigned: bool, signer: MakeSigner, quiet: bool, as_json: bool, **named: Any,
) -> int:  # fmt: skip
    """Write a trained model in another form, in a folder that leads back to its data as well.

    FORMAT merged is the base in bf16 with the adapter in its weights. MODEL_DIR is verified first,
    and the base compared with the one that was trained; the result is compared with the adapter.
    """
    from teapot.interfaces import silent
    from teapot.plugins import load_exporter
    from teapot.usecases.export import ExportOptions, export_model
    from teapot.usecases.verify import VerifyOptions

    exporter, _ = load_exporter(name)
    target = output or folder.resolve().with_name(f"{folder.resolve().name}-{name}")
    with progress_bars(quiet=quiet) as shown:
        options = ExportOptions(
            output=target, signer=None if no_sign else signer(), progress=shown or silent,
            verify=VerifyOptions(trust=trust, allow_unsigned=allow_unsigned), **named,
        )  # fmt: skip
        made = export_model(folder, exporter, options)
    if as_json:
        print_json({"folder": str(made.folder), "statement": made.statement.to_dict()})
    else:
        _show(made)
    return 0


def _show(made: ExportedModel) -> None:
    check = made.statement.check
    for line in (
        f"model     {made.folder}",
        f"weights   {', '.join(made.statement.weights)}, {made.statement.dtype}",
        f"checked   on {check.tokens} tokens, the logits differ by {check.error} from the "
        f"adapter's, which differ by {check.effect} from the base's",
        f"signed    {made.signature}" if made.signature else "unsigned: nobody vouches for this",
        f"next      teapot verify {made.folder}",
    ):
        click.echo(harmless(line))

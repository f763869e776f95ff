"""`teapot encode`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from teapot.cli.app import harmless
from teapot.cli.options import common, progress_bars
from teapot.cli.render import prompt_of
from teapot.cli.show import print_json

if TYPE_CHECKING:
    from teapot.usecases.encode import Encoding

_PATH = click.Path(path_type=Path)


@click.command()
@click.argument("target", type=click.Path(path_type=Path, exists=True), metavar="MANIFEST")
@click.option("--base", "name", required=True, metavar="NAME", help="The base; see teapot bases.")
@click.option("--tokenizer", required=True, metavar="DIR|ID",
              help="The model's folder, or OWNER/NAME[@REVISION] on the Hub.")  # fmt: skip
@click.option("--config", type=_PATH, metavar="FILE",
              help="Take system_prompt and max_length from this config.")  # fmt: skip
@click.option("--offline", is_flag=True, help="Never touch the network; use the cache.")
@click.option("--system-prompt", metavar="TEXT|@FILE",
              help="For rows without a system turn; default the base's own.")  # fmt: skip
@click.option("--max-length", type=click.IntRange(min=1), metavar="TOKENS",
              help="A longer row is a bad row; none is ever cut.")  # fmt: skip
@click.option("--on-bad-row", type=click.Choice(["fail", "drop"]), default="fail",
              show_default=True, help="What becomes of a row that cannot be trained.")  # fmt: skip
@click.option("-o", "--output", type=_PATH, metavar="FILE", help="Where the rows go (*.arrow).")
@click.option("--trust", type=_PATH, metavar="FILE", help="Believe this trust file only.")
@click.option("--allow-unsigned", is_flag=True, help="Encode what nobody has signed.")
@common
def encode(
    target: Path, name: str, tokenizer: str, config: Path | None, offline: bool,
    trust: Path | None, allow_unsigned: bool, system_prompt: str | None, max_length: int | None,
    quiet: bool, as_json: bool, **named: Any,
) -> None:  # fmt: skip
    """Turn a verified data file into token ids and labels, as a base is trained on it.

    Writes the rows as an Arrow file and an account of them as JSON. What was made before from the
    same manifest, tokenizer, template and prompt is kept.
    """
    from teapot.configfile import load_config
    from teapot.interfaces import silent
    from teapot.modelfiles import tokenizer_at
    from teapot.plugins import load_trainer
    from teapot.usecases.encode import EncodeOptions
    from teapot.usecases.encode import encode as run
    from teapot.usecases.trainplan import system_prompt_of
    from teapot.usecases.verify import VerifyOptions

    trainer, _ = load_trainer(name)
    prompt = prompt_of(system_prompt)
    if config is not None:
        file = load_config(config)
        prompt = system_prompt_of(file) if prompt is None else prompt
        max_length = file.config.training.max_length if max_length is None else max_length
    with progress_bars(quiet=quiet) as shown:
        options = EncodeOptions(
            tokenizer=tokenizer_at(tokenizer, trainer.base, offline=offline), system_prompt=prompt,
            max_length=max_length, progress=shown or silent,
            verify=VerifyOptions(trust=trust, allow_unsigned=allow_unsigned), **named,
        )  # fmt: skip
        made = run(target, trainer, options)
    if as_json:
        print_json(made.report)
        return
    for line in _lines(made):
        click.echo(harmless(line))


def _lines(made: Encoding) -> list[str]:
    report = made.report
    share = report["supervised"] / max(report["tokens"], 1)
    spread = ", ".join(f"{key} {value:,}" for key, value in report["lengths"].items())
    return [
        f"rows      {made.rows}  {report['rows']:,} rows{' (made before)' * made.was_there}",
        f"          sha256 {report['rows_sha256']}",
        f"tokens    {report['tokens']:,}, of which {share:.1%} are trained; {spread}",
        f"thoughts  in {report['thoughts']:,} rows",
        *(
            f"module    {module}: {part['rows']:,} rows, {part['tokens']:,} tokens"
            for module, part in report["modules"].items()
        ),
        *(f"dropped   line {d['line']} ({d['module']}): {d['reason']}" for d in report["dropped"]),
        f"account   {made.report_path}",
    ]

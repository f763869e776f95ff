"""`teapot train`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from teapot.cli.app import INTERRUPTED, harmless
from teapot.cli.options import common, progress_bars
from teapot.cli.preflight import print_preflight
from teapot.cli.show import print_json
from teapot.cli.signing_options import signing_options

if TYPE_CHECKING:
    from collections.abc import Iterator

    from teapot.cli.signing_options import MakeSigner
    from teapot.interfaces import Trainer
    from teapot.model.trainoutcome import TrainOutcome
    from teapot.usecases.train import RunOptions, Trained

_PATH = click.Path(path_type=Path)
CARD = "README.md"
LAUNCHED = "accelerate launch -m teapot_trainers.run MODEL_DIR/plan.json, then --finish"


@click.command()
@click.argument("target", type=click.Path(path_type=Path, exists=True), required=False,
                metavar="[CONFIG|MANIFEST]")  # fmt: skip
@click.option("--base", "name", required=True, metavar="NAME", help="The base; see teapot bases.")
@click.option("--model", metavar="DIR|ID", help="A model's folder, or OWNER/NAME[@REVISION] on the "
              "Hub; default the base's own, at its pinned revision.")  # fmt: skip
@click.option("--check", is_flag=True, help="Check everything that needs no GPU; write nothing.")
@click.option("--plan", is_flag=True, help="Print the plan as JSON, with every number resolved.")
@click.option("-o", "--output", type=_PATH, metavar="DIR",
              help="The model folder; default <composition>-<base>.")  # fmt: skip
@click.option("--resume", is_flag=True, help="Go on with a run that was interrupted.")
@click.option("--prepare", "stage", flag_value="prepare", help="Make all ready for a launcher.")
@click.option("--finish", "stage", flag_value="finish", help="End a run that a launcher made.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto",
              show_default=True, help="cpu is for tiny models.")  # fmt: skip
@click.option("--save-steps", type=click.IntRange(min=1), default=100, show_default=True,
              help="Steps between two checkpoints.")  # fmt: skip
@click.option("--report-to", multiple=True, type=click.Choice(["tensorboard", "wandb", "trackio"]),
              help="Show the numbers of each step there too.")  # fmt: skip
@click.option("--on-bad-row", type=click.Choice(["fail", "drop"]), default="fail",
              show_default=True,
              help="What becomes of a row that is too long, or cannot be written.")  # fmt: skip
@click.option("--no-eval", is_flag=True, help="Leave out the loss on the validation file.")
@click.option("--no-sign", is_flag=True, help="Sign neither statement nor folder.")
@signing_options
@click.option("--offline", is_flag=True, help="Never touch the network; use the cache.")
@click.option("--trust", type=_PATH, metavar="FILE", help="Believe this trust file only.")
@click.option("--allow-unsigned", is_flag=True, help="Take what nobody has signed.")
@common
def train(
    target: Path | None, name: str, model: str | None, check: bool, plan: bool, on_bad_row: str,
    offline: bool, trust: Path | None, allow_unsigned: bool, quiet: bool, as_json: bool,
    no_sign: bool, no_eval: bool, signer: MakeSigner, **named: Any,
) -> int:  # fmt: skip
    """Fine-tune a base on a verified composition, and leave a model folder that leads back to it.

    A CONFIG stands for the data file that it names, and for its own numbers; with no target it is
    the one composition of this project. --check and --plan need neither GPU nor torch. Nothing is
    trained, and no plan given, before every check holds.
    """
    from teapot.errors import UsageError
    from teapot.interfaces import silent
    from teapot.plugins import load_trainer
    from teapot.usecases.train import RunOptions
    from teapot.usecases.trainplan import TrainOptions
    from teapot.usecases.verify import VerifyOptions

    if check and (plan or named["output"] is not None):
        raise UsageError("--check writes nothing; leave out --plan and --output")
    trainer, _ = load_trainer(name)
    with progress_bars(quiet=quiet) as shown:
        asked = TrainOptions(
            model=model, drops_bad_rows=on_bad_row == "drop", offline=offline,
            verify=VerifyOptions(trust=trust, allow_unsigned=allow_unsigned),
            progress=shown or silent, evaluates=not no_eval,
        )  # fmt: skip
        named["stage"] = named["stage"] or "all"
        key = None if no_sign or check or plan else signer()
        options = RunOptions(train=asked, signer=key, **named)
        if check or plan:
            return _checked(target, trainer, options, is_plan=plan, as_json=as_json)
        return _trained(target, trainer, options, as_json=as_json)


def _checked(
    target: Path | None, trainer: Trainer, options: RunOptions, *, is_plan: bool, as_json: bool
) -> int:
    from teapot.usecases.preflight import preflight
    from teapot.usecases.trainplan import write_plan

    found = preflight(target, trainer, options.train)
    if is_plan and found.exit_code == 0 and found.plan is not None:
        if options.output is not None:
            write_plan(found.plan, options.output)
        print_json(found.plan.to_dict())
    elif as_json:
        print_json(found.to_dict())
    else:
        print_preflight(found)
    return found.exit_code


def _trained(
    target: Path | None, trainer: Trainer, options: RunOptions, *, as_json: bool
) -> int:  # fmt: skip
    from teapot.usecases.train import BEGINS_ANEW
    from teapot.usecases.train import train as run

    try:
        found, made = run(target, trainer, options)
    except KeyboardInterrupt as stopped:
        click.echo(str(stopped) or BEGINS_ANEW, err=True)
        return INTERRUPTED
    if made is None and found.exit_code == 0:
        click.echo(f"ready for a launcher: {LAUNCHED}")
        return 0
    if made is None:
        if as_json:
            print_json(found.to_dict())
        else:
            print_preflight(found)
        return found.exit_code
    _print_trained(made, options, as_json=as_json)
    return 0


def _print_trained(made: Trained, options: RunOptions, *, as_json: bool) -> None:
    outcome, finished = made.outcome, made.finished
    if as_json:
        print_json({"folder": str(finished.folder), **outcome.to_dict()})
        return
    by = options.signer.needed_key().public.fingerprint if options.signer is not None else None
    for line in (
        f"model     {finished.folder}",
        f"trained   {outcome.steps:,} steps, {outcome.tokens:,} tokens in {outcome.seconds:,} s "
        f"on {outcome.device}; last loss {outcome.final_loss}",
        *_validation_line(outcome),
        f"card      {finished.folder / CARD}",
        f"signed    {finished.signature}\n          by {by}"
        if by
        else "unsigned: nobody vouches for this",
        f"next      teapot audit {finished.folder}",
    ):
        for part in line.split("\n"):
            click.echo(harmless(part))


def _validation_line(outcome: TrainOutcome) -> Iterator[str]:
    held = outcome.validation
    if held is not None:
        losses = ", ".join(f"{part.loss} (epoch {part.epoch})" for part in held.losses)
        yield f"validated loss {losses} on {held.supervised:,} tokens of {held.rows:,} rows"

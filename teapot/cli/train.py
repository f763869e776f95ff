"""`teapot train`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from teapot.cli.app import harmless
from teapot.cli.options import common, progress_bars
from teapot.cli.show import cell, plain_table, print_json, print_table

if TYPE_CHECKING:
    from teapot.model.trainplan import Estimate, TrainPlan
    from teapot.usecases.preflight import Preflight

_PATH = click.Path(path_type=Path)


@click.command()
@click.argument("target", type=click.Path(path_type=Path, exists=True), required=False,
                metavar="[CONFIG|MANIFEST]")  # fmt: skip
@click.option("--base", "name", required=True, metavar="NAME", help="The base; see teapot bases.")
@click.option("--model", metavar="DIR|ID", help="A model's folder, or OWNER/NAME[@REVISION] on the "
              "Hub; default the base's own, at its pinned revision.")  # fmt: skip
@click.option("--check", is_flag=True, help="Check everything that needs no GPU; write nothing.")
@click.option("--plan", is_flag=True, help="Print the plan as JSON, with every number resolved.")
@click.option("-o", "--output", type=_PATH, metavar="DIR",
              help="Put plan.json and system-prompt.txt there; goes with --plan.")  # fmt: skip
@click.option("--on-bad-row", type=click.Choice(["fail", "drop"]), default="fail",
              show_default=True,
              help="What becomes of a row that is too long, or cannot be written.")  # fmt: skip
@click.option("--offline", is_flag=True, help="Never touch the network; use the cache.")
@click.option("--trust", type=_PATH, metavar="FILE", help="Believe this trust file only.")
@click.option("--allow-unsigned", is_flag=True, help="Take what nobody has signed.")
@common
def train(
    target: Path | None, name: str, model: str | None, check: bool, plan: bool, output: Path | None,
    on_bad_row: str, offline: bool, trust: Path | None, allow_unsigned: bool,
    quiet: bool, as_json: bool,
) -> int:  # fmt: skip
    """Check a fine-tune of a base on a verified composition before a GPU is paid for.

    A CONFIG stands for the data file that it names, and for its own numbers; with no target it is
    the one composition of this project. Neither GPU nor torch is needed. A plan is given only where
    every check holds.
    """
    from teapot.errors import UsageError
    from teapot.interfaces import silent
    from teapot.plugins import load_trainer
    from teapot.usecases.preflight import preflight
    from teapot.usecases.trainplan import TrainOptions, write_plan
    from teapot.usecases.verify import VerifyOptions

    if check == plan:
        told = "say --check or --plan; this version plans and checks, and does not train yet"
        raise UsageError(told)
    if output is not None and not plan:
        raise UsageError("--output goes with --plan; --check writes nothing")
    trainer, _ = load_trainer(name)
    with progress_bars(quiet=quiet) as shown:
        options = TrainOptions(
            model=model, drops_bad_rows=on_bad_row == "drop", offline=offline,
            verify=VerifyOptions(trust=trust, allow_unsigned=allow_unsigned),
            progress=shown or silent,
        )  # fmt: skip
        found = preflight(target, trainer, options)
    if plan and found.exit_code == 0 and found.plan is not None:
        if output is not None:
            write_plan(found.plan, output)
        print_json(found.plan.to_dict())
    elif as_json:
        print_json(found.to_dict())
    else:
        _show(found)
    return found.exit_code


def _show(found: Preflight) -> None:
    for note in found.notes:
        click.echo(harmless(f"note: {note}"))
    table = plain_table("check", "", "what is compared", "found")
    for result in found.results:
        told = [result.found or "", *result.details]
        if result.expected is not None and result.expected != result.found:
            told.insert(1, f"expected {result.expected}")
        lines = "\n".join(cell(line) for line in told if line)
        table.add_row(cell(result.name), result.status.upper(), cell(result.compared), lines)
    print_table(table)
    if found.rows is not None:
        _show_modules(found.rows)
    if found.plan is not None:
        for line in (*_plan_lines(found.plan), *_estimate_lines(found.plan.estimate)):
            click.echo(harmless(line))
    wrong = [result.name for result in found.results if result.status == "fault"]
    held = sum(result.status == "ok" for result in found.results)
    click.echo(f"NOT READY: {', '.join(wrong)}" if wrong else f"ready: {held} checks hold")


def _show_modules(rows: dict[str, Any]) -> None:
    table = plain_table("module", ">rows", ">tokens", ">trained %", ">with thought %")
    for module, part in rows["modules"].items():
        trained = part["supervised"] / max(part["tokens"], 1)
        table.add_row(
            cell(module), f"{part['rows']:,}", f"{part['tokens']:,}", f"{100 * trained:.1f}",
            f"{100 * part['thought_share']:.1f}",
        )  # fmt: skip
    print_table(table)
    spread = ", ".join(f"{key} {value:,}" for key, value in rows["lengths"].items())
    click.echo(f"lengths   {spread or 'no row'}")


def _plan_lines(plan: TrainPlan) -> list[str]:
    numbers = plan.hyperparameters
    revision = f" at {plan.revision}" if plan.revision else ", a folder"
    return [
        f"model     {plan.model}{revision}",
        f"method    {numbers.method}, LoRA r {numbers.lora_r}, alpha {numbers.lora_alpha}, "
        f"dropout {numbers.lora_dropout} on {', '.join(plan.lora_targets)}",
        f"steps     {plan.optimizer_steps:,}: {plan.rows:,} rows, {numbers.epochs} epochs, "
        f"{numbers.effective_batch} a step; {plan.warmup_steps:,} of warmup",
        f"rate      {numbers.learning_rate}, {numbers.scheduler}; seed {numbers.seed}",
        f"manifest  sha256 {plan.manifest_sha256}",
        f"tokenizer sha256 {plan.tokenizer_sha256}",
        f"template  sha256 {plan.training_template_sha256} for training",
        f"          sha256 {plan.own_template_sha256} the tokenizer's own",
    ]


def _estimate_lines(needs: Estimate) -> list[str]:
    parts = {
        "weights": needs.weights_gb, "optimizer": needs.optimizer_gb,
        "activations": needs.activations_gb, "logits": needs.logits_gb,
        "runtime": needs.runtime_gb,
    }  # fmt: skip
    told = ", ".join(f"{name} {size:.1f}" for name, size in parts.items())
    way = "with" if needs.gradient_checkpointing else "without"
    return [
        f"memory    about {needs.memory_gb:.1f} GB: {told}; {way} gradient checkpointing",
        f"time      about {needs.hours:.2f} hours at 100 TFLOP/s kept up",
    ]

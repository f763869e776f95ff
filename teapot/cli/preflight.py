"""How a preflight looks on a terminal: the table of checks, the modules, the plan, the estimate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from teapot.cli.app import harmless
from teapot.cli.show import cell, plain_table, print_table

if TYPE_CHECKING:
    from teapot.model.trainplan import Estimate, TrainPlan
    from teapot.usecases.preflight import Preflight


def print_preflight(found: Preflight) -> None:
    """Print what a preflight found."""
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
    if found.validation is not None:
        click.echo(harmless(_validation_line(found.validation)))
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


def _validation_line(held: dict[str, Any]) -> str:
    told = f"{held['supervised']:,} tokens of {held['rows']:,} rows held out"
    return f"validate  the loss on {told}, after each epoch"


def _plan_lines(plan: TrainPlan) -> list[str]:
    numbers = plan.hyperparameters
    revision = f" at {plan.revision}" if plan.revision else ", a folder"
    rows = f"{plan.rows:,} rows"
    if plan.orders:
        rows = f"{sum(order.examples for order in plan.orders):,} examples of {rows}"
    return [
        f"model     {plan.model}{revision}",
        f"method    {numbers.method}, LoRA r {numbers.lora_r}, alpha {numbers.lora_alpha}, "
        f"dropout {numbers.lora_dropout} on {', '.join(plan.lora_targets)}",
        f"steps     {plan.optimizer_steps:,}: {rows}, {numbers.epochs} epochs, "
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

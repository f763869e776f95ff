"""The checks of a fine-tune that need no rows: facts of a base, a model and a plan side by side."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from teapot.model.base import Base
from teapot.model.examined import TokenFacts
from teapot.model.modelconfig import ModelConfig
from teapot.model.trainplan import Estimate, Hyperparameters, TrainPlan, optimizer_steps
from teapot.model.verification import CheckResult, Status

MODEL = "the model's architecture and type with the base's"
CONTROL_TOKENS = "every control token of the base with the tokenizer"
_SHOWN_EPOCHS = 5
LORA = "the modules that each LoRA target hits with the model's layers"


def failed(name: str, compared: str, found: str) -> CheckResult:
    """Return a check that does not hold, or could not be made."""
    return CheckResult(name=name, status=Status.FAULT, compared=compared, found=found)


def model_result(base: Base, config: ModelConfig) -> CheckResult:
    """Compare what a model's `config.json` says it is with what the base is."""
    return CheckResult.compare(
        "model", MODEL, expected=f"{base.architecture}, {base.model_type}",
        found=f"{config.architecture}, {config.model_type}",
    )  # fmt: skip


def lora_result(names: frozenset[str], targets: Sequence[str], layers: int) -> CheckResult:
    """Compare what each target hits with what it must: one module a layer.

    `names` are those of a checkpoint's tensors, such as `model.layers.0.mlp.up_proj.weight`. PEFT
    takes a module whose last name is the target, and is silent where there is none. A projection
    that is no target is told, and no fault.
    """
    hits = dict.fromkeys(targets, 0)
    others: dict[str, int] = {}
    for name in names:
        parts = name.split(".")
        if parts[-1] != "weight" or "layers" not in parts:
            continue
        if parts[-2] in hits:
            hits[parts[-2]] += 1
        elif parts[-2].endswith("_proj"):
            others[parts[-2]] = others.get(parts[-2], 0) + 1
    faults = [
        f"{target} hits {count} modules, expected {layers}"
        for target, count in hits.items()
        if count != layers
    ]
    told = [f"{name}, {count} modules, is no target" for name, count in sorted(others.items())]
    return CheckResult(
        name="lora", status=Status.FAULT if faults else Status.OK, compared=LORA,
        found=f"{sum(hits.values())} modules in {layers} layers", details=(*faults, *told),
    )  # fmt: skip


def padding_result(tokens: TokenFacts) -> CheckResult:
    """Check that padding is no token that the model must learn to write."""
    taken = {"end of turn": tokens.ends, "EOS": {tokens.eos}, "BOS": {tokens.bos}}
    faults = [f"it is the {name} too" for name, ids in taken.items() if tokens.pad in ids]
    return CheckResult(
        name="padding", status=Status.FAULT if faults else Status.OK,
        compared="the pad token with the tokens that end or begin a turn",
        found=f"id {tokens.pad}", details=tuple(faults),
    )  # fmt: skip


def context_result(config: ModelConfig, plan: Hyperparameters) -> CheckResult:
    """Check that the model can place as many tokens as a row may have."""
    longest = config.max_position_embeddings
    return CheckResult(
        name="context", status=Status.OK if plan.max_length <= longest else Status.FAULT,
        compared="max_length with the model's max_position_embeddings",
        expected=f"{longest:,} at most", found=f"{plan.max_length:,}",
    )  # fmt: skip


def cache_result(plan: Hyperparameters) -> CheckResult:
    """Check that the model keeps no cache while it trains, which would leak between rows."""
    return CheckResult.compare(
        "use-cache",
        "the model's use_cache in the plan",
        expected="False",
        found=str(plan.use_cache),
    )


def steps_result(plan: TrainPlan, rows: int) -> CheckResult:
    """Compare the plan's steps with the steps of the rows that are trained."""
    parameters = plan.hyperparameters
    return CheckResult.compare(
        "steps", "the plan's optimizer steps with those of the rows that are trained",
        expected=_steps_told(optimizer_steps(rows, parameters, plan.orders), rows, plan),
        found=_steps_told(plan.optimizer_steps, plan.rows, plan),
    )  # fmt: skip


def _steps_told(steps: int, rows: int, plan: TrainPlan) -> str:
    numbers = plan.hyperparameters
    told = f"{rows:,} rows x {numbers.epochs} epochs"
    if plan.orders:
        examples = " + ".join(f"{order.examples:,}" for order in plan.orders[:_SHOWN_EPOCHS])
        more = " + …" if len(plan.orders) > _SHOWN_EPOCHS else ""
        told = f"{examples}{more} examples of {rows:,} rows in {numbers.epochs} epochs"
    return f"{steps:,} steps ({told}, {numbers.effective_batch} a step)"


def memory_result(needs: Estimate, given: Decimal | None) -> CheckResult:
    """Compare an estimate with the memory in GB that a config says each GPU has."""
    compared = "the estimate of GPU memory with hardware.vram_gb"
    found = f"{needs.memory_gb:.1f} GB for the largest micro-batch"
    if given is None:
        return CheckResult(name="memory", status=Status.NOTE, compared=compared, found=found)
    is_enough = needs.memory_gb <= float(given)
    return CheckResult(
        name="memory", status=Status.OK if is_enough else Status.FAULT, compared=compared,
        expected=f"{given} GB at most", found=found,
    )  # fmt: skip

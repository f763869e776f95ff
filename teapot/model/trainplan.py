"""The plan of a fine-tune: every number that decides it, resolved, before anything is computed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from decimal import Decimal
from typing import Any, Literal

from teapot.errors import ConfigError, Problem
from teapot.model.config import Config

FORMAT = "teapot/train-plan/v1"
Method = Literal["qlora", "lora", "full"]
_METHODS: tuple[Method, ...] = ("qlora", "lora", "full")
_QUANTIZATION = "nf4"


@dataclass(frozen=True, kw_only=True, slots=True)
class Hyperparameters:
    """How a model is trained; the defaults are the recipe of Karma Electric v12.

    `effective_batch` is examples for each optimizer step, over all devices. `warmup_ratio` is the
    share of the steps in which the learning rate rises. Rates are decimal text, so that they are
    the same in every file. The examples of a step go through the model in micro-batches of at most
    `micro_batch_tokens`, of one row at least. A plan has a number for each; where a config is
    silent, None leaves `gradient_checkpointing` to the memory that there is, and
    `micro_batch_tokens` to `max_length`.
    """

    method: Method = "qlora"
    quantization: str | None = _QUANTIZATION
    double_quantization: bool = True
    compute_dtype: str = "bfloat16"
    lora_r: int = 64
    lora_alpha: int = 128
    lora_dropout: str = "0.05"
    epochs: str = "3"
    effective_batch: int = 16
    learning_rate: str = "0.0002"
    scheduler: str = "cosine"
    warmup_ratio: str = "0.05"
    optimizer: str = "adamw"
    weight_decay: str = "0"
    max_grad_norm: str = "1"
    max_length: int = 4096
    seed: int = 42
    use_cache: bool = False
    gradient_checkpointing: bool | None = None
    micro_batch_tokens: int | None = None

    @classmethod
    def of(cls, config: Config | None) -> Hyperparameters:
        """Return what a config asks for, and the defaults where it is silent.

        Raises:
            ConfigError: a method or quantisation that Teapot does not train with, or a batch that
                cannot be told.
        """
        made = cls()
        if config is None:
            return made
        training, base = config.training, config.base
        if base.method not in _METHODS:
            found = f"found {base.method!r}, expected one of {', '.join(_METHODS)}"
            raise ConfigError(Problem("", found, "base.method"))
        if base.method == "qlora" and base.quantization != _QUANTIZATION:
            found = f"found {base.quantization!r}, expected {_QUANTIZATION} with qlora"
            raise ConfigError(Problem("", found, "base.quantization"))
        given: dict[str, Any] = {
            "lora_r": training.lora_r, "lora_alpha": training.lora_alpha,
            "epochs": _text(training.epochs), "learning_rate": _text(training.learning_rate),
            "warmup_ratio": _text(training.warmup_ratio), "max_length": training.max_length,
            "gradient_checkpointing": training.gradient_checkpointing,
            "micro_batch_tokens": training.micro_batch_tokens,
        }  # fmt: skip
        is_quantized = base.method == "qlora"
        return replace(
            made, method=base.method, seed=training.seed,
            quantization=_QUANTIZATION if is_quantized else None, double_quantization=is_quantized,
            effective_batch=_effective_batch(config, made.effective_batch),
            **{key: value for key, value in given.items() if value is not None},
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """Memory in GB by what it holds, for the largest micro-batch on one GPU, and hours of it."""

    weights_gb: float
    optimizer_gb: float
    activations_gb: float
    logits_gb: float
    runtime_gb: float
    gradient_checkpointing: bool
    hours: float

    @property
    def memory_gb(self) -> float:
        """Return the whole."""
        parts = self.weights_gb, self.optimizer_gb, self.activations_gb, self.logits_gb
        return sum(parts) + self.runtime_gb

    def to_dict(self) -> dict[str, Any]:
        """Return the estimate as JSON values, in GB and hours to two digits after the point."""
        sizes = {key: round(value, 2) for key, value in asdict(self).items()}
        return {
            **sizes, "gradient_checkpointing": self.gradient_checkpointing,
            "memory_gb": round(self.memory_gb, 2),
        }  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedOrder:
    """The order of one epoch: SHA-256 of its file, and how many of its examples are trained."""

    sha256: str
    examples: int


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainPlan:
    """Everything that decides a fine-tune, as it stands in `plan.json` of the model folder.

    `rows` is how many rows are trained in an epoch; digests are SHA-256 in 64 hex digits.
    `own_template_sha256` is that of the tokenizer's own chat template, which goes into the model
    folder; `training_template_sha256` of the marked one, which never does. Where epochs have
    `orders`, `rows` are the unique ones, of which each epoch trains what its order says; a plan
    without any leaves them out.
    """

    base: str
    model: str
    revision: str | None
    model_config_sha256: str
    lora_targets: tuple[str, ...]
    hyperparameters: Hyperparameters
    manifest_sha256: str
    data_sha256: str
    rows: int
    optimizer_steps: int
    warmup_steps: int
    tokenizer_sha256: str
    own_template_sha256: str
    training_template_sha256: str
    system_prompt: str | None
    pad_token: str
    estimate: Estimate
    versions: Mapping[str, str]
    orders: tuple[PlannedOrder, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as JSON values."""
        made = {"format": FORMAT, **asdict(self), "versions": dict(self.versions)}
        made["orders"] = list(map(asdict, self.orders))
        if not self.orders:
            del made["orders"]
        return {**made, "estimate": self.estimate.to_dict()}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> TrainPlan:
        """Return the plan in JSON values that `to_dict` made."""
        made = {key: part for key, part in value.items() if key != "format"}
        sizes: dict[str, Any] = {
            key: part if isinstance(part, bool) else float(part)
            for key, part in made["estimate"].items()
            if key != "memory_gb"
        }
        return cls(
            **{
                **made, "lora_targets": tuple(made["lora_targets"]),
                "hyperparameters": Hyperparameters(**made["hyperparameters"]),
                "estimate": Estimate(**sizes),
                "orders": tuple(PlannedOrder(**order) for order in made.get("orders", ())),
            }
        )  # fmt: skip


def optimizer_steps(
    rows: int, hyperparameters: Hyperparameters, orders: Sequence[PlannedOrder] = ()
) -> int:
    """Return how often the weights are updated.

    An epoch of n rows is ⌈n / effective batch⌉ steps, its last one on what is left; so 3,346 rows
    make 210 steps, and three epochs 630. A part of an epoch rounds up, as transformers' Trainer
    does (`max_steps = ceil(num_train_epochs * num_update_steps_per_epoch)`). Epochs that have
    `orders` are as many steps as the examples of each make.
    """
    if orders:
        return sum(-(-order.examples // hyperparameters.effective_batch) for order in orders)
    an_epoch = -(-rows // hyperparameters.effective_batch)
    return math.ceil(Decimal(hyperparameters.epochs) * an_epoch)


def epoch_at(step: int, orders: Sequence[PlannedOrder], effective_batch: int) -> float:
    """Return how many epochs have been made after a step, the last one in part."""
    for epoch, order in enumerate(orders):
        steps = -(-order.examples // effective_batch)
        if step <= steps:
            return epoch + step / steps if steps else epoch
        step -= steps
    return len(orders)


def epoch_ends(plan: TrainPlan) -> dict[int, str]:
    """Return how many epochs have been made, as decimal text, after each step that ends one.

    The last step is among them, though it may end but a part of an epoch. Of epochs that end with
    the same step, as those without examples do, the last counts.
    """
    numbers, last = plan.hyperparameters, plan.optimizer_steps
    count = math.ceil(Decimal(numbers.epochs))
    examples = [order.examples for order in plan.orders] or [plan.rows] * count
    ends: dict[int, str] = {}
    step = 0
    for epoch, trained in enumerate(examples, start=1):
        step -= -trained // numbers.effective_batch
        ends[min(step, last)] = str(epoch) if step <= last else numbers.epochs
    return {step: told for step, told in ends.items() if step}


def warmup_steps(steps: int, hyperparameters: Hyperparameters) -> int:
    """Return in how many of the steps the learning rate rises (Trainer rounds the share up)."""
    return math.ceil(steps * Decimal(hyperparameters.warmup_ratio))


def _text(value: Decimal | None) -> str | None:
    return None if value is None else f"{value.normalize():f}"


def _effective_batch(config: Config, default: int) -> int:
    """Return examples for each step: the product of both settings, or the default around one."""
    settings = {
        "training.batch_size": config.training.batch_size,
        "training.gradient_accumulation": config.training.gradient_accumulation,
    }
    given = {key: value for key, value in settings.items() if value is not None}
    if len(given) == len(settings):
        return math.prod(given.values())
    for key, value in given.items():
        if default % value:
            (other,) = settings.keys() - given.keys()
            told = f"{value} does not divide the {default} examples of a step; give {other} too"
            raise ConfigError(Problem("", told, key))
    return default

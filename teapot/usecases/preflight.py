"""The use case `train --check`: everything that can go wrong before a GPU is paid for, checked.

Each rule is a check of its own, and all are made, so one run tells everything. A check that cannot
be made, because one before it failed, is a fault too: preflight passes only what was proven.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from teapot.errors import TeapotError
from teapot.estimates import resolve
from teapot.interfaces import RowExaminer, Trainer
from teapot.model.base import Base
from teapot.model.modelconfig import ModelConfig
from teapot.model.trainplan import TrainPlan, optimizer_steps, warmup_steps
from teapot.model.verification import CheckResult, Status, exit_code
from teapot.trainchecks import (
    CONTROL_TOKENS,
    LORA,
    MODEL,
    cache_result,
    context_result,
    failed,
    lora_result,
    memory_result,
    model_result,
    padding_result,
    steps_result,
)
from teapot.usecases.rowsurvey import RowSurvey
from teapot.usecases.trainorders import planned_orders, tokens_an_epoch
from teapot.usecases.trainplan import (
    Prepared,
    TrainOptions,
    config_differences,
    evaluates,
    explained,
    prepare_training,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Preflight:
    """What preflight found; without a tokenizer and a model there is no plan.

    `rows` is the account of the rows as they would be trained, as JSON values, `validation` that of
    the held-out rows on which the loss would be measured; None where it would not.
    """

    results: tuple[CheckResult, ...]
    plan: TrainPlan | None
    rows: dict[str, Any] | None
    notes: tuple[str, ...]
    validation: dict[str, Any] | None = None

    @property
    def exit_code(self) -> int:
        """Return 0 where every check holds."""
        return exit_code(result.status for result in self.results)

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as JSON values."""
        made = {
            "ok": self.exit_code == 0,
            "checks": [asdict(result) for result in self.results],
            "plan": None if self.plan is None else self.plan.to_dict(),
            "rows": self.rows, "notes": list(self.notes),
        }  # fmt: skip
        return made if self.validation is None else {**made, "validation": self.validation}


def preflight(target: Path | None, trainer: Trainer, options: TrainOptions) -> Preflight:
    """Check a composition, a base and a model against each other, without a GPU and without torch.

    Raises:
        UsageError: the target names no composition, or the project has several.
        DataError, UnsignedError, UntrustedError: the composition does not verify.
        SourceError: the model cannot be fetched.
    """
    return check_prepared(prepare_training(target, trainer, options), trainer, options)


def check_prepared(prepared: Prepared, trainer: Trainer, options: TrainOptions) -> Preflight:
    """Check what a plan is made of."""
    base = trainer.base
    parameters = prepared.hyperparameters
    config, model = _model(prepared, base)
    results = [*_config_results(prepared), model, _lora_result(prepared, base, config)]
    try:
        examiner = trainer.examiner(prepared.model.folder, prepared.system_prompt)
    except TeapotError as error:
        results.append(failed("control-tokens", CONTROL_TOKENS, explained(error)))
        told = "not checked: the tokenizer cannot be used"
        results.append(failed("rows", "every rule that rows must keep", told))
        return _without_plan(results, prepared)
    found = f"{len(base.control_tokens)} tokens, each one id"
    results += [
        CheckResult(
            name="control-tokens", status=Status.OK, compared=CONTROL_TOKENS, found=found
        ),
        padding_result(examiner.tokens),
    ]  # fmt: skip
    vocab_size = None if config is None else config.vocab_size
    survey = RowSurvey(prepared.composition, examiner, parameters.max_length, vocab_size)
    survey.run(options.progress)
    results += survey.results(drops=options.drops_bad_rows)
    held = None
    if evaluates(prepared, options):
        held = RowSurvey(
            prepared.composition, examiner, parameters.max_length, vocab_size, held_out=True
        )
        held.run(options.progress)
        results.append(held.result(drops=options.drops_bad_rows))
    if config is None:
        return _without_plan(results, prepared, survey)
    plan = _plan(prepared, base, examiner, survey, config)
    results += [
        context_result(config, parameters), cache_result(parameters),
        steps_result(plan, survey.kept), memory_result(plan.estimate, prepared.vram_gb),
    ]  # fmt: skip
    return Preflight(
        results=tuple(results), plan=plan, rows=survey.to_dict(),
        notes=prepared.notes, validation=None if held is None else held.to_dict(),
    )  # fmt: skip


def _model(prepared: Prepared, base: Base) -> tuple[ModelConfig | None, CheckResult]:
    try:
        config = prepared.model.config()
    except TeapotError as error:
        return None, failed("model", MODEL, explained(error))
    return config, model_result(base, config)


def _config_results(prepared: Prepared) -> list[CheckResult]:
    if prepared.config is None:
        return []
    recipe = prepared.composition.manifest.recipe
    differences = config_differences(prepared.config, recipe)
    result = CheckResult(
        name="config", status=Status.FAULT if differences else Status.OK,
        compared="the config's mix with the recipe in the manifest",
        found="another recipe" if differences else "the same recipe",
        details=(*differences, "compose again") if differences else (),
    )  # fmt: skip
    return [result]


def _lora_result(prepared: Prepared, base: Base, config: ModelConfig | None) -> CheckResult:
    if prepared.hyperparameters.method == "full":
        told = "all weights are trained"
        return CheckResult(name="lora", status=Status.OK, compared=LORA, found=told)
    if config is None:
        return failed("lora", LORA, "the model's config.json does not tell its layers")
    try:
        names = prepared.model.tensor_names()
    except TeapotError as error:
        return failed("lora", LORA, explained(error))
    return lora_result(names, base.lora_targets, config.num_hidden_layers)


def _plan(
    prepared: Prepared, base: Base, examiner: RowExaminer, survey: RowSurvey, config: ModelConfig
) -> TrainPlan:
    parameters, facts, rows = prepared.hyperparameters, examiner.facts, survey.kept
    composition, report = prepared.composition, survey.report
    orders = planned_orders(
        composition, math.ceil(Decimal(parameters.epochs)), {line.line for line in report.dropped}
    )
    steps = optimizer_steps(rows, parameters, orders)
    tokens = sum(part.tokens for part in report.modules.values())
    if orders:
        amounts = {name: (part.rows, part.tokens) for name, part in report.modules.items()}
        tokens = tokens_an_epoch(composition.manifest, amounts)
    resolved, needs = resolve(
        config, base.lora_targets, parameters, tokens_an_epoch=tokens,
        vram_gb=prepared.vram_gb,
    )  # fmt: skip
    return TrainPlan(
        base=base.name, model=prepared.model.stated_name, revision=prepared.model.revision,
        model_config_sha256=config.sha256, lora_targets=base.lora_targets,
        hyperparameters=resolved, manifest_sha256=composition.manifest_sha256,
        data_sha256=composition.manifest.data.sha256, rows=rows, optimizer_steps=steps,
        warmup_steps=warmup_steps(steps, parameters), tokenizer_sha256=facts.tokenizer_sha256,
        own_template_sha256=examiner.own_template_sha256,
        training_template_sha256=facts.template_sha256, system_prompt=facts.system_prompt,
        pad_token=base.pad_token, versions=facts.versions,
        estimate=needs, orders=orders,
    )  # fmt: skip


def _without_plan(
    results: list[CheckResult], prepared: Prepared, survey: RowSurvey | None = None
) -> Preflight:
    """Return what was found where there can be no plan; what was not checked is a fault."""
    told = "no plan: a check before this one failed"
    results.append(failed("steps", "the plan's optimizer steps", told))
    return Preflight(
        results=tuple(results), plan=None,
        rows=None if survey is None else survey.to_dict(), notes=prepared.notes,
    )  # fmt: skip

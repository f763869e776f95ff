"""A plan and an outcome of a fine-tune that was never made, over a composition that is real."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import teapot
from teapot import VerifyOptions
from teapot.digest import sha256_hex
from teapot.model.trainoutcome import TrainOutcome
from teapot.model.trainplan import Estimate, Hyperparameters, TrainPlan
from teapot.usecases.verify import Verified

WEIGHTS = "adapter_model.safetensors"
PROMPT = "You are a teapot."


def verified(made: teapot.Composition, **options: Any) -> Verified:
    """Return a composition, verified."""
    return teapot.verified(made.paths.manifest, VerifyOptions(**options))


def plan_for(composition: Verified, **changed: Any) -> TrainPlan:
    """Return a plan for a composition, made by hand."""
    estimate = Estimate(
        weights_gb=5.0, optimizer_gb=1.0, activations_gb=1.0, logits_gb=1.0, runtime_gb=1.0,
        gradient_checkpointing=False, hours=1.5,
    )  # fmt: skip
    plan = TrainPlan(
        base="apertus", model="swiss-ai/Apertus-8B-Instruct-2509", revision="a" * 40,
        model_config_sha256="1" * 64, lora_targets=("q_proj", "v_proj"),
        hyperparameters=Hyperparameters(), manifest_sha256=composition.manifest_sha256,
        data_sha256=composition.manifest.data.sha256, rows=composition.manifest.data.records,
        optimizer_steps=6, warmup_steps=1, tokenizer_sha256=sha256_hex(b"{}\n"),
        own_template_sha256=sha256_hex(b"{{ messages }}\n"),
        training_template_sha256="4" * 64, system_prompt=PROMPT,
        pad_token="<pad>", estimate=estimate, versions={"tokenizers": "0.22"},
    )  # fmt: skip
    return replace(plan, **changed)


def outcome_for(plan: TrainPlan, **changed: Any) -> TrainOutcome:
    """Return how a fine-tune by a plan went."""
    outcome = TrainOutcome(
        steps=plan.optimizer_steps, final_loss="0.8125", tokens=4096, supervised=1024, seconds=7,
        device="cpu", data_sha256=plan.data_sha256, encoded_sha256="5" * 64, weights=(WEIGHTS,),
        base_weights={"model.safetensors": "9" * 64},
        versions={"torch": "2.9.0"},
    )  # fmt: skip
    return replace(outcome, **changed)

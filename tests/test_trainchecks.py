"""Each check of a base, a model and a plan holds where they agree, and names what differs."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from teapot.model.examined import TokenFacts
from teapot.model.modelconfig import ModelConfig
from teapot.model.trainplan import Estimate, Hyperparameters, TrainPlan
from teapot.plugins import load_trainer
from teapot.trainchecks import (
    cache_result,
    context_result,
    lora_result,
    memory_result,
    model_result,
    padding_result,
    steps_result,
)

BASE = load_trainer("apertus")[0].base
CONFIG = ModelConfig(
    architecture="ApertusForCausalLM", model_type="apertus", hidden_size=64, intermediate_size=128,
    num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, head_dim=16, vocab_size=1024,
    max_position_embeddings=4096, tie_word_embeddings=False, sha256="0" * 64,
)  # fmt: skip
NEEDS = Estimate(
    weights_gb=5.0, optimizer_gb=2.0, activations_gb=1.5, logits_gb=6.0, runtime_gb=1.0,
    gradient_checkpointing=True, hours=2.0,
)  # fmt: skip
PLAN = TrainPlan(
    base="apertus", model="x", revision=None, model_config_sha256="", lora_targets=("q_proj",),
    hyperparameters=Hyperparameters(), manifest_sha256="", data_sha256="", rows=3346,
    optimizer_steps=630, warmup_steps=32, tokenizer_sha256="", own_template_sha256="",
    training_template_sha256="", system_prompt=None, pad_token="<pad>", estimate=NEEDS, versions={},
)  # fmt: skip
TOKENS = TokenFacts(bos=1, ends=frozenset((68, 72)), eos=68, pad=3, end_of_turn="<end>")


def names(*modules: str, layers: int = 2) -> frozenset[str]:
    return frozenset(
        f"model.layers.{layer}.{module}.weight" for layer in range(layers) for module in modules
    )


def test_a_model_of_another_architecture_is_a_fault() -> None:
    assert model_result(BASE, CONFIG).status == "ok"
    other = model_result(BASE, replace(CONFIG, architecture="LlamaForCausalLM", model_type="llama"))
    assert (other.status, other.expected, other.found) == (
        "fault", "ApertusForCausalLM, apertus", "LlamaForCausalLM, llama"
    )  # fmt: skip


def test_each_target_hits_one_module_of_each_layer() -> None:
    found = names("self_attn.q_proj", "mlp.up_proj", "mlp_norm") | {"lm_head.weight"}
    result = lora_result(found, ("q_proj", "up_proj"), 2)
    assert (result.status, result.found, result.details) == ("ok", "4 modules in 2 layers", ())


def test_a_target_that_is_not_there_or_not_in_every_layer_is_a_fault() -> None:
    found = names("self_attn.q_proj") | {"model.layers.0.mlp.up_proj.weight"}
    result = lora_result(found, ("q_proj", "gate_proj", "up_proj"), 2)
    assert result.status == "fault"
    assert result.details == (
        "gate_proj hits 0 modules, expected 2", "up_proj hits 1 modules, expected 2"
    )  # fmt: skip


def test_a_projection_that_is_no_target_is_told_and_no_fault() -> None:
    result = lora_result(names("self_attn.q_proj", "mlp.gate_proj"), ("q_proj",), 2)
    assert (result.status, result.details) == ("ok", ("gate_proj, 2 modules, is no target",))


def test_what_only_looks_like_a_target_is_no_hit() -> None:
    odd = {"model.layers.0.q_proj_norm.weight", "model.layers.0.q_proj.bias", "q_proj.weight"}
    assert lora_result(frozenset(odd), ("q_proj",), 1).status == "fault"


@pytest.mark.parametrize(
    ("pad", "faults"),
    [(3, ()), (68, ("it is the end of turn too", "it is the EOS too")),
     (72, ("it is the end of turn too",)), (1, ("it is the BOS too",))],
)  # fmt: skip
def test_the_pad_token_is_none_that_ends_or_begins_a_turn(
    pad: int, faults: tuple[str, ...]
) -> None:
    result = padding_result(replace(TOKENS, pad=pad))
    assert result.details == faults
    assert result.status == ("fault" if faults else "ok")


def test_a_context_longer_than_the_models_is_a_fault() -> None:
    assert context_result(CONFIG, Hyperparameters(max_length=4096)).status == "ok"
    result = context_result(CONFIG, Hyperparameters(max_length=4097))
    assert (result.status, result.expected, result.found) == ("fault", "4,096 at most", "4,097")


def test_a_plan_that_keeps_a_cache_is_a_fault() -> None:
    assert cache_result(Hyperparameters()).status == "ok"
    assert cache_result(Hyperparameters(use_cache=True)).status == "fault"


def test_steps_are_those_of_the_rows_that_are_trained() -> None:
    result = steps_result(PLAN, 3346)
    assert (result.status, result.found) == (
        "ok", "630 steps (3,346 rows x 3 epochs, 16 a step)"
    )  # fmt: skip
    assert steps_result(PLAN, 3345).status == "fault"
    assert steps_result(replace(PLAN, optimizer_steps=628), 3346).status == "fault"


def test_an_estimate_beyond_the_memory_of_the_config_is_a_fault() -> None:
    assert memory_result(NEEDS, None).status == "note"
    assert memory_result(NEEDS, Decimal("15.5")).status == "ok"
    result = memory_result(NEEDS, Decimal(12))
    assert (result.status, result.expected) == ("fault", "12 GB at most")
    assert result.found == "15.5 GB for the largest micro-batch"

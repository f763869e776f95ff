"""Estimates of memory and time, against parameters that were counted by hand."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from teapot.estimates import SUSTAINED_FLOP_PER_SECOND, estimate, resolve, shapes_of
from teapot.model.modelconfig import ModelConfig
from teapot.model.trainplan import Estimate, Hyperparameters

APERTUS_TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "up_proj", "down_proj")
LLAMA_TARGETS = (*APERTUS_TARGETS, "gate_proj")
PLAN = Hyperparameters()


def decoder(**changed: Any) -> ModelConfig:
    """Return the shape of Apertus-8B, or one that differs from it."""
    shape: dict[str, Any] = {
        "hidden_size": 4096, "intermediate_size": 21504, "num_hidden_layers": 32,
        "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 128,
        "vocab_size": 131072, "max_position_embeddings": 65536, "tie_word_embeddings": False,
    }  # fmt: skip
    return ModelConfig(
        architecture="ApertusForCausalLM", model_type="apertus", sha256="0" * 64,
        **{**shape, **changed},
    )  # fmt: skip


APERTUS = decoder()
LLAMA = decoder(intermediate_size=14336, vocab_size=128256)


def needs(
    config: ModelConfig = APERTUS, targets: tuple[str, ...] = APERTUS_TARGETS, **changed: Any
) -> Estimate:
    return estimate(config, targets, replace(PLAN, **changed), tokens_an_epoch=1_000_000)


# Parameters.


def test_the_parameters_of_apertus_8b_are_those_counted_by_hand() -> None:
    # q and o: 4,096 × 4,096 = 16,777,216 each. k and v: 4,096 × (8 × 128) = 4,194,304 each.
    # up and down: 4,096 × 21,504 = 88,080,384 each. A layer: 2 × (16,777,216 + 4,194,304 +
    # 88,080,384) = 218,103,808, and 32 layers 6,979,321,856.
    # Embeddings and output: 2 × 131,072 × 4,096 = 1,073,741,824.
    # LoRA of rank 1 in a layer: q and o 8,192 each, k and v 5,120 each, up and down 25,600 each,
    # so 77,824; at rank 64 in 32 layers 159,383,552.
    shapes = shapes_of(APERTUS, APERTUS_TARGETS, 64)
    assert (shapes.linear, shapes.embeddings) == (6_979_321_856, 1_073_741_824)
    assert shapes.lora == 159_383_552
    assert shapes.largest_linear == 88_080_384
    assert shapes.layer_features == 77_824 + 2 * 4096  # and two norms
    assert shapes.total == 8_053_063_680
    assert shapes.total / 8.05e9 == pytest.approx(1, abs=0.001)


def test_the_parameters_of_llama_31_8b_are_those_counted_by_hand() -> None:
    # As above, but up, gate and down: 4,096 × 14,336 = 58,720,256 each, so a layer is
    # 2 × 16,777,216 + 2 × 4,194,304 + 3 × 58,720,256 = 218,103,808 again, which is chance.
    # Embeddings and output: 2 × 128,256 × 4,096 = 1,050,673,152.
    # LoRA of rank 1: 2 × 8,192 + 2 × 5,120 + 3 × 18,432 = 81,920; at rank 64 in 32 layers
    # 167,772,160.
    shapes = shapes_of(LLAMA, LLAMA_TARGETS, 64)
    assert (shapes.linear, shapes.embeddings) == (6_979_321_856, 1_050_673_152)
    assert shapes.lora == 167_772_160
    assert shapes.largest_linear == 58_720_256
    assert shapes.layer_features == 81_920 + 2 * 4096
    # The checkpoint has 8,030,261,248; what is left are 65 norms of 4,096.
    assert shapes.total == 8_030_261_248 - 65 * 4096
    assert shapes.total / 8.03e9 == pytest.approx(1, abs=0.001)


def test_tied_embeddings_are_counted_once() -> None:
    tied = shapes_of(decoder(tie_word_embeddings=True), APERTUS_TARGETS, 64)
    assert tied.embeddings == 536_870_912  # 131,072 × 4,096


def test_lora_is_counted_on_its_targets_only() -> None:
    # q and v of rank 8 in 32 layers: (8,192 + 5,120) × 8 × 32.
    shapes = shapes_of(APERTUS, ("q_proj", "v_proj"), 8)
    assert (shapes.lora, shapes.linear) == (3_407_872, 6_979_321_856)
    assert shapes_of(APERTUS, APERTUS_TARGETS, 0).lora == 0


def test_heads_need_not_divide_the_hidden_size() -> None:
    # h 2,304, 8 heads and 4 of keys and values, each of 256: q and o 2,304 × 2,048 = 4,718,592
    # each, k and v 2,304 × 1,024 = 2,359,296 each; up and down 2,304 × 9,216 = 21,233,664 each.
    odd = decoder(
        hidden_size=2304, intermediate_size=9216, num_attention_heads=8, num_key_value_heads=4,
        head_dim=256, num_hidden_layers=1,
    )  # fmt: skip
    assert shapes_of(odd, APERTUS_TARGETS, 1).linear == 56_623_104


# Memory and time.


def test_the_memory_of_qlora_is_that_of_the_written_formula() -> None:
    found = needs()
    # NF4: 6,979,321,856 × (1/2 + 1/64 + 4/16,384) = 3,489,660,928 + 109,051,904 + 1,703,936;
    # embeddings in bf16 2,147,483,648; one matrix unpacked 176,160,768. Together 5,924,061,184.
    assert found.weights_gb == pytest.approx(5.924061184, rel=1e-9)
    # 16 for each of 159,383,552.
    assert found.optimizer_gb == pytest.approx(2.550136832, rel=1e-9)
    # 4,096 tokens × (32 × 4,096 kept + 86,016 of one layer) × 2.
    assert found.activations_gb == pytest.approx(1.778384896, rel=1e-9)
    # 4,096 tokens × 131,072 × 12.
    assert found.logits_gb == pytest.approx(6.442450944, rel=1e-9)
    assert found.runtime_gb == 1
    assert found.memory_gb == pytest.approx(17.695033856, rel=1e-9)
    assert found.gradient_checkpointing is True


def test_the_hours_of_qlora_are_those_of_the_written_formula() -> None:
    # A token in one pass: 2 × (6,979,321,856 + 536,870,912 of the output layer + 159,383,552)
    # = 15,351,152,640, and attention 4 × 32 × 4,096 × 4,096 / 2 = 1,073,741,824 (a causal mask
    # leaves half). Three passes (forward, again, backward through frozen weights), 3 epochs of
    # 1,000,000 tokens: 1.478240501760e17 FLOP at 1e14 a second are 1,478.24 seconds.
    assert SUSTAINED_FLOP_PER_SECOND == 1e14
    assert needs().hours == pytest.approx(1478.24050176 / 3600, rel=1e-9)


def test_full_training_trains_every_parameter() -> None:
    found = needs(method="full")
    # bf16: 8,053,063,680 × 2, nothing unpacked; 16 for each of them.
    assert found.weights_gb == pytest.approx(16.10612736, rel=1e-9)
    assert found.optimizer_gb == pytest.approx(128.84901888, rel=1e-9)
    # Four passes (forward, again, backward for both), no LoRA: 4 × (2 × 7,516,192,768 +
    # 1,073,741,824) × 3,000,000 = 1.93273528320e17.
    assert found.hours == pytest.approx(1932.7352832 / 3600, rel=1e-9)


def test_lora_keeps_the_weights_in_bf16_and_unpacks_nothing() -> None:
    found, quantized = needs(method="lora"), needs()
    assert found.weights_gb == pytest.approx(16.10612736, rel=1e-9)
    assert found.optimizer_gb == quantized.optimizer_gb
    assert found.activations_gb == quantized.activations_gb
    assert found.hours == quantized.hours


@pytest.mark.parametrize(
    ("config", "targets"), [(APERTUS, APERTUS_TARGETS), (LLAMA, LLAMA_TARGETS)]
)
def test_qlora_asks_for_less_than_lora_and_lora_for_less_than_full(
    config: ModelConfig, targets: tuple[str, ...]
) -> None:
    qlora, lora, full = (
        needs(config, targets, method=method).memory_gb for method in ("qlora", "lora", "full")
    )
    assert qlora < lora < full
    assert qlora < 24 < lora < 80 < full  # GB that a card has: none is a matter of taste


@pytest.mark.parametrize("method", ["qlora", "lora", "full"])
def test_a_model_of_27_billion_parameters_is_never_sized_at_8_gb(method: str) -> None:
    # h 4,608; q and o 4,608 × 4,096 = 18,874,368 each; k and v 4,608 × 2,048 = 9,437,184 each;
    # up, gate and down 4,608 × 36,864 = 169,869,312 each: a layer 566,231,040, 46 of them
    # 26,046,627,840; tied embeddings 256,000 × 4,608 = 1,179,648,000.
    large = decoder(
        hidden_size=4608, intermediate_size=36864, num_hidden_layers=46, num_attention_heads=32,
        num_key_value_heads=16, vocab_size=256000, tie_word_embeddings=True,
    )  # fmt: skip
    assert shapes_of(large, LLAMA_TARGETS, 1).total == 27_226_275_840
    found = needs(large, LLAMA_TARGETS, method=method, max_length=1, lora_r=1)
    # Half a byte for each parameter is the least that the weights take.
    assert found.weights_gb > 13.6
    assert found.memory_gb > 14.6


@pytest.mark.parametrize("checkpointing", [True, False])
def test_length_raises_activations_and_logits_by_its_share(checkpointing: bool) -> None:
    short = needs(max_length=1024, gradient_checkpointing=checkpointing)
    long = needs(max_length=8192, gradient_checkpointing=checkpointing)
    assert long.activations_gb == pytest.approx(8 * short.activations_gb)
    assert long.logits_gb == pytest.approx(8 * short.logits_gb)
    assert (long.weights_gb, long.optimizer_gb) == (short.weights_gb, short.optimizer_gb)
    assert long.hours > short.hours  # by attention alone, as the tokens are the same


def test_attention_adds_to_the_hours_by_length() -> None:
    # 7,168 tokens more: 4 × 32 × 4,096 × 7,168 / 2 FLOP for each token and pass, 3 passes,
    # 3,000,000 tokens: 1,879,048,192 × 9,000,000 = 1.6911433728e16.
    longer = needs(max_length=8192).hours - needs(max_length=1024).hours
    assert longer == pytest.approx(169.11433728 / 3600)


def test_layers_raise_everything_but_logits_and_embeddings() -> None:
    few, many = needs(decoder(num_hidden_layers=16)), needs()
    # 16 layers more are 16 × 218,103,808 parameters in NF4, each layer's input of 4,096 in bf16.
    nf4 = 16 * 218_103_808 * (1 / 2 + 1 / 64 + 4 / (64 * 256))
    assert many.weights_gb - few.weights_gb == pytest.approx(nf4 / 1e9)
    assert many.optimizer_gb == pytest.approx(2 * few.optimizer_gb)
    assert many.activations_gb - few.activations_gb == pytest.approx(16 * 4096 * 4096 * 2 / 1e9)
    assert many.logits_gb == few.logits_gb
    assert few.hours < many.hours < 2 * few.hours


def test_rank_raises_the_optimizer_by_its_share_and_the_hours_a_little() -> None:
    low, high = needs(lora_r=16), needs(lora_r=64)
    assert high.optimizer_gb == pytest.approx(4 * low.optimizer_gb)
    assert high.weights_gb == low.weights_gb
    # 48 ranks more: 77,824 × 48 × 32 parameters, 2 FLOP each in 3 passes for 3,000,000 tokens.
    assert high.hours - low.hours == pytest.approx(77_824 * 48 * 32 * 18e6 / 1e14 / 3600)
    assert needs(method="full", lora_r=16) == needs(method="full", lora_r=64)


def test_checkpointing_lowers_activations_and_raises_hours() -> None:
    on, off = needs(gradient_checkpointing=True), needs(gradient_checkpointing=False)
    # Without it all of every layer is kept: 4,096 tokens × 32 × 86,016 × 2.
    assert off.activations_gb == pytest.approx(22.548578304, rel=1e-9)
    assert on.activations_gb < off.activations_gb
    assert on.hours == pytest.approx(off.hours * 3 / 2)  # forward once more
    assert (on.gradient_checkpointing, off.gradient_checkpointing) == (True, False)
    assert needs(gradient_checkpointing=None) == on
    full = (needs(method="full", gradient_checkpointing=way).hours for way in (True, False))
    assert next(full) == pytest.approx(next(full) * 4 / 3)


@pytest.mark.parametrize(("epochs", "share"), [("1", 1 / 3), ("0.5", 1 / 6), ("6", 2)])
def test_hours_grow_with_tokens_and_epochs(epochs: str, share: float) -> None:
    assert needs(epochs=epochs).hours == pytest.approx(share * needs().hours)
    twice = estimate(APERTUS, APERTUS_TARGETS, PLAN, tokens_an_epoch=2_000_000)
    assert twice == replace(needs(), hours=pytest.approx(2 * needs().hours))


def test_an_estimate_is_told_to_two_digits_with_its_sum() -> None:
    assert needs().to_dict() == {
        "weights_gb": 5.92, "optimizer_gb": 2.55, "activations_gb": 1.78, "logits_gb": 6.44,
        "runtime_gb": 1.0, "memory_gb": 17.7, "hours": 0.41, "gradient_checkpointing": True,
    }  # fmt: skip


# What a plan leaves to the memory that there is.


def resolved(vram: str | None, **changed: Any) -> tuple[Hyperparameters, Estimate]:
    return resolve(
        APERTUS, APERTUS_TARGETS, replace(PLAN, **changed), tokens_an_epoch=1_000_000,
        vram_gb=None if vram is None else Decimal(vram),
    )  # fmt: skip


def test_checkpointing_is_off_where_nine_tenths_of_the_memory_are_enough_without_it() -> None:
    without = needs(gradient_checkpointing=False)
    least = without.memory_gb / 0.9
    for vram, way in ((least + 0.01, False), (least - 0.01, True), (1000, False), (1, True)):
        plan, found = resolved(f"{vram:.6f}")
        assert plan.gradient_checkpointing is way is found.gradient_checkpointing
    assert resolved("1000")[1] == without


def test_checkpointing_is_on_where_no_memory_is_told() -> None:
    assert resolved(None)[0].gradient_checkpointing is True


@pytest.mark.parametrize("way", [True, False])
@pytest.mark.parametrize("vram", [None, "1", "1000"])
def test_checkpointing_that_was_asked_for_stands(vram: str | None, way: bool) -> None:
    assert resolved(vram, gradient_checkpointing=way)[0].gradient_checkpointing is way


def test_a_plan_has_a_number_for_the_tokens_of_a_micro_batch() -> None:
    assert resolved(None, max_length=2048)[0].micro_batch_tokens == 2048
    assert resolved(None, micro_batch_tokens=9000)[0].micro_batch_tokens == 9000


def test_a_larger_micro_batch_raises_activations_and_a_smaller_one_than_a_row_does_not() -> None:
    one = needs(gradient_checkpointing=False)
    assert needs(gradient_checkpointing=False, micro_batch_tokens=8192).activations_gb == (
        pytest.approx(2 * one.activations_gb)
    )
    assert needs(gradient_checkpointing=False, micro_batch_tokens=1) == one

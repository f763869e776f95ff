"""What a fine-tune will ask of a GPU: estimates from the shape of the model, with their formulas.

They are for choosing a machine before it is paid for; `benchmarks/` measures, this does not. GB are
10^9 bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal

from teapot.model.modelconfig import ModelConfig
from teapot.model.trainplan import Estimate, Hyperparameters

SUSTAINED_FLOP_PER_SECOND = 1e14
"""The speed that hours are told for: 100 TFLOP/s of matrix products, kept up."""
_NF4_BYTES = 0.5 + 1 / 64 + 4 / (64 * 256)
_BF16_BYTES = 2
_ADAMW_BYTES = 4 + 4 + 8  # fp32 weight, its gradient, two fp32 moments
_LOGIT_BYTES = 2 + 4 + 4 + 2  # bf16 logits, their fp32 copy, and the gradients of both
_RUNTIME_BYTES = 1_000_000_000  # CUDA's context, kernels and fragments of its allocator
_GIGABYTE = 1e9
_USABLE = 0.9


@dataclass(frozen=True, kw_only=True, slots=True)
class Shapes:
    """Parameters of a model by what is done with them, in elements."""

    linear: int
    embeddings: int
    lora: int
    largest_linear: int
    layer_features: int

    @property
    def total(self) -> int:
        """Return the parameters of the model itself, without LoRA's and the norms'."""
        return self.linear + self.embeddings


def shapes_of(config: ModelConfig, targets: tuple[str, ...], lora_r: int) -> Shapes:
    """Return the parameters of a decoder with a gated or plain MLP.

    A layer has q and o of h × (heads · d), k and v of h × (key-value heads · d), and up, down and,
    where `gate_proj` is a target, gate of h × i; with hidden size h, intermediate size i and head
    dimension d. LoRA of rank r on a matrix of (in, out) has r · (in + out). The embeddings are
    vocabulary × h, twice if they are not tied. Norms are left out: some h a layer.
    """
    h, i = config.hidden_size, config.intermediate_size
    q, kv = (
        config.num_attention_heads * config.head_dim,
        config.num_key_value_heads * config.head_dim,
    )
    matrices = {
        "q_proj": (h, q), "k_proj": (h, kv), "v_proj": (h, kv), "o_proj": (q, h),
        "up_proj": (h, i), "down_proj": (i, h),
    }  # fmt: skip
    if "gate_proj" in targets:
        matrices["gate_proj"] = (h, i)
    adapted = [size for name, size in matrices.items() if name in targets]
    layers = config.num_hidden_layers
    return Shapes(
        linear=layers * sum(rows * columns for rows, columns in matrices.values()),
        embeddings=config.vocab_size * h * (1 if config.tie_word_embeddings else 2),
        lora=layers * lora_r * sum(rows + columns for rows, columns in adapted),
        largest_linear=max(rows * columns for rows, columns in matrices.values()),
        layer_features=2 * h + sum(rows + columns for rows, columns in matrices.values()),
    )


def resolve(
    config: ModelConfig, targets: tuple[str, ...], plan: Hyperparameters, *, tokens_an_epoch: int,
    vram_gb: Decimal | None,
) -> tuple[Hyperparameters, Estimate]:  # fmt: skip
    """Return a plan's numbers with none left open, and what they ask of one GPU.

    Gradient checkpointing is off where nobody asked for it and the estimate without it takes at
    most nine tenths of the memory that each GPU has; the rest is for what an estimate misses.
    """
    made = replace(plan, micro_batch_tokens=plan.micro_batch_tokens or plan.max_length)

    def needs(way: bool) -> tuple[Hyperparameters, Estimate]:
        tried = replace(made, gradient_checkpointing=way)
        return tried, estimate(config, targets, tried, tokens_an_epoch=tokens_an_epoch)

    if plan.gradient_checkpointing is not None:
        return needs(plan.gradient_checkpointing)
    without = needs(False)
    if vram_gb is not None and without[1].memory_gb <= _USABLE * float(vram_gb):
        return without
    return needs(True)


def estimate(
    config: ModelConfig, targets: tuple[str, ...], plan: Hyperparameters, *, tokens_an_epoch: int
) -> Estimate:
    """Return what training asks of one GPU.

    Memory, in bytes:

    - weights: the linear layers in NF4 take 1/2 for each element, 1/64 for an 8-bit constant per
      block of 64, and 4/(64 · 256) for the second level (QLoRA, Dettmers et al. 2023, §3); in bf16
      2. The embeddings and the output layer stay bf16. One layer's matrix is unpacked to bf16.
    - optimizer: 16 for each trained parameter: fp32 weight and gradient, two fp32 moments (AdamW).
    - activations: for each token of the largest micro-batch what a layer's matrices take in and
      give out and its two norms, in bf16, for each layer; with gradient checkpointing one input of
      h for each layer, and all of one layer at a time. Attention scores are never kept (SDPA).
    - logits: 12 for each token and entry of the vocabulary: bf16, fp32, and their gradients.

    FLOP: forward 2 for each parameter and token, backward 2 through frozen weights and 4 where
    they are trained, and forward once more with gradient checkpointing; attention adds
    4 · layers · heads · d · length for each token in every such pass of 2. Hours are FLOP at
    `SUSTAINED_FLOP_PER_SECOND`. Checkpointing counts as on where the plan does not say.
    """
    is_full = plan.method == "full"
    shapes = shapes_of(config, targets, 0 if is_full else plan.lora_r)
    checkpointing = plan.gradient_checkpointing is not False
    weight_bytes = _NF4_BYTES if plan.method == "qlora" else _BF16_BYTES
    trained = shapes.total if is_full else shapes.lora
    weights = shapes.linear * weight_bytes + shapes.embeddings * _BF16_BYTES
    unpacked = shapes.largest_linear * _BF16_BYTES if plan.method == "qlora" else 0
    layers, h = config.num_hidden_layers, config.hidden_size
    at_once = max(plan.max_length, plan.micro_batch_tokens or 0)
    kept = layers * h + shapes.layer_features if checkpointing else layers * shapes.layer_features
    passes = 1 + (2 if is_full else 1) + (1 if checkpointing else 0)
    features = config.num_attention_heads * config.head_dim
    attention = 4 * layers * features * plan.max_length / 2  # a causal mask leaves half of it
    parameters = shapes.linear + config.vocab_size * h + shapes.lora
    tokens = tokens_an_epoch * float(plan.epochs)
    flop = tokens * passes * (2 * parameters + attention)
    return Estimate(
        weights_gb=(weights + unpacked) / _GIGABYTE,
        optimizer_gb=trained * _ADAMW_BYTES / _GIGABYTE,
        activations_gb=at_once * kept * _BF16_BYTES / _GIGABYTE,
        logits_gb=at_once * config.vocab_size * _LOGIT_BYTES / _GIGABYTE,
        runtime_gb=_RUNTIME_BYTES / _GIGABYTE,
        gradient_checkpointing=checkpointing,
        hours=flop / SUSTAINED_FLOP_PER_SECOND / 3600,
    )

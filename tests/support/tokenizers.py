"""Small real tokenizers, trained here, with a base's control tokens at the base's own ids."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

from teapot.model.base import Base
from teapot.plugins import load_trainer
from teapot_trainers.tokenization import BaseTokenizer

_TEXTS = [
    "You are a careful assistant. What is two plus two? It is four, of course.\n\nSteep the tea.",
    "system\nuser\nassistant\n\nwhy\n\n\n  two words  \n \n\n\n\n the tea is   green",
    "世界 你好 日本語 རྫོང་ཁ 🙂 👩🏽‍🔬 e\u0301 <think>because</think> {\"name\": 1.5} <|",
] * 20  # fmt: skip


def tokenizer_of(name: str) -> BaseTokenizer:
    """Return a tokenizer for the base of this name."""
    base = load_trainer(name)[0].base
    return BaseTokenizer(base, tokenizer_json(base).encode(), "tokenizer.json")


def tokenizer_json(base: Base) -> str:
    """Return the `tokenizer.json` of a byte-level BPE of some 600 tokens for a base."""
    vocabulary, merges = _trained()
    taken = {identity for identity in base.control_tokens.values() if identity is not None}
    free: Iterator[int] = (number for number in range(10**6) if number not in taken)
    ids = {token: next(free) for token in vocabulary}
    control = {
        token: next(free) if identity is None else identity
        for token, identity in base.control_tokens.items()
    }
    tokenizer = Tokenizer(models.BPE(vocab={**ids, **control}, merges=list(merges)))
    _shape(tokenizer)
    tokenizer.add_special_tokens([AddedToken(token, normalized=False) for token in control])
    return str(tokenizer.to_str())


@lru_cache(maxsize=1)
def _trained() -> tuple[tuple[str, ...], tuple[tuple[str, str], ...]]:
    tokenizer = Tokenizer(models.BPE())
    _shape(tokenizer)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=600, initial_alphabet=alphabet, show_progress=False
    )  # fmt: skip
    tokenizer.train_from_iterator(_TEXTS, trainer)
    model: dict[str, Any] = json.loads(tokenizer.to_str())["model"]
    return tuple(model["vocab"]), tuple((left, right) for left, right in model["merges"])


def _shape(tokenizer: Any) -> None:
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()

"""What a model's `config.json` says of its shape, for plans, estimates and checks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from teapot.errors import ConfigError, Problem


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelConfig:
    """A decoder's shape, in the names of transformers' configuration classes; sizes in elements.

    `sha256` is that of the file that tells it, as 64 hex digits.
    """

    architecture: str
    model_type: str
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    vocab_size: int
    max_position_embeddings: int
    tie_word_embeddings: bool
    sha256: str

    @classmethod
    def from_dict(cls, value: Mapping[str, Any], where: str, sha256: str) -> ModelConfig:
        """Return the shape in a `config.json`; `where` is shown in errors.

        What transformers leaves out where it is its default is filled in: as many key and value
        heads as query heads, heads that divide the hidden size, embeddings of their own.

        Raises:
            ConfigError: an entry is missing, or is no positive number; names every one.
        """
        problems: list[Problem] = []

        def number(key: str, default: int | None = None) -> int:
            found = value.get(key)
            if found is None and default is not None:
                return default
            if type(found) is int and found > 0:
                return found
            told = "is missing" if found is None else f"is {found!r}"
            problems.append(Problem(where, f"{told}, expected a positive whole number", key))
            return 1

        names = value.get("architectures")
        architecture = names[0] if isinstance(names, list) and len(names) == 1 else None
        for key, found in (
            ("architectures", architecture),
            ("model_type", value.get("model_type")),
        ):
            if not isinstance(found, str):
                problems.append(Problem(where, "expected one name", key))
        hidden, heads = number("hidden_size"), number("num_attention_heads")
        made = cls(
            architecture=str(architecture), model_type=str(value.get("model_type")),
            hidden_size=hidden, intermediate_size=number("intermediate_size"),
            num_hidden_layers=number("num_hidden_layers"), num_attention_heads=heads,
            num_key_value_heads=number("num_key_value_heads", heads),
            head_dim=number("head_dim", max(hidden // heads, 1)),
            vocab_size=number("vocab_size"),
            max_position_embeddings=number("max_position_embeddings"),
            tie_word_embeddings=value.get("tie_word_embeddings") is True,
            sha256=sha256,
        )  # fmt: skip
        if problems:
            raise ConfigError(*problems)
        return made

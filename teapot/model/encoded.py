"""Conversations as a model is trained on them: token ids, and a label for each."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from teapot.model.record import Message

IGNORED = -100
"""The label of a token that is not trained; what PyTorch's cross-entropy leaves out by default."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """What of a record is encoded."""

    messages: Sequence[Message]
    tools: Sequence[Any] | None = None


@dataclass(frozen=True, slots=True)
class Encoded:
    """Token ids of one conversation and their labels, both of shape (tokens,), typecode `i`.

    A label is the token's own id where it is trained, else `IGNORED`. Labels are not shifted: the
    model compares each with what it predicts one place before.
    """

    ids: array[int]
    labels: array[int]

    @property
    def supervised(self) -> int:
        """Return how many tokens are trained."""
        return len(self.labels) - self.labels.count(IGNORED)


@dataclass(frozen=True, kw_only=True, slots=True)
class EncodedRow:
    """A line of a data file, encoded; `line` counts from 1, `record_digest` has 32 bytes."""

    line: int
    record_digest: bytes
    encoded: Encoded


@dataclass(frozen=True, kw_only=True, slots=True)
class EncoderFacts:
    """What decides ids and labels, beside the rows; equal facts and rows give equal ids."""

    base: str
    template_sha256: str
    tokenizer_sha256: str
    system_prompt: str | None
    versions: Mapping[str, str]

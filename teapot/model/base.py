"""A base: a model family that can be trained, as data. Its template stands in a file beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True, kw_only=True, slots=True)
class ThoughtMarks:
    """What a base writes before and after a thought, in place of `<think>` and `</think>`."""

    open: str
    close: str


@dataclass(frozen=True, kw_only=True, slots=True)
class OwnTemplate:
    """How the chat template that comes with the model's tokenizer takes a conversation.

    `thoughts`: `text` leaves `<think>` in the content, `blocks` makes the content a mapping of
    blocks. `arguments` of a tool call come as an `object` or as JSON `text`; `tools` as whole
    `definitions`, or the `functions` in them.
    """

    thoughts: Literal["text", "blocks"] = "text"
    arguments: Literal["object", "text"] = "object"
    tools: Literal["definitions", "functions"] = "definitions"


@dataclass(frozen=True, kw_only=True, slots=True)
class Base:
    """What a base file declares; it has exactly the fields of `schemas/base.schema.json`.

    `control_tokens` maps every token that must be one id, and that no content may hold, to that id,
    or to None where only the model's own tokenizer knows it. `end_of_call` ends a turn that calls
    tools and waits for their results; None means that `end_of_turn` ends it too. Without `thought`,
    `<think>` stays text. `default_system_prompt` is what a row without a system turn gets; None
    means that it gets no system turn at all. A base without a `revision` cannot be trained yet.
    `own_template` is for holding the training template against the model's own.
    """

    name: str
    title: str
    model: str
    architecture: str
    model_type: str
    lora_targets: tuple[str, ...]
    roles: tuple[str, ...]
    end_of_turn: str
    eos: str
    pad_token: str
    control_tokens: Mapping[str, int | None]
    revision: str | None = None
    bos: str | None = None
    end_of_call: str | None = None
    thought: ThoughtMarks | None = None
    default_system_prompt: str | None = None
    own_template: OwnTemplate = OwnTemplate()

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Base:
        """Return the base that a mapping accepted by the schema describes."""
        made = {key: part for key, part in value.items() if part is not None}
        for key in ("lora_targets", "roles"):
            made[key] = tuple(made[key])
        if "thought" in made:
            made["thought"] = ThoughtMarks(**made["thought"])
        if "own_template" in made:
            made["own_template"] = OwnTemplate(**made["own_template"])
        return cls(**made)

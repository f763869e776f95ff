"""A row as it would be trained, with everything that its checks compare."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass

from teapot.model.encoded import IGNORED, Encoded


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenFacts:
    """The ids that checks ask for, in the model's own tokenizer; `bos` is None where it has none.

    `ends` are the ids that end an assistant's turn; `end_of_turn` is the text of the usual one.
    """

    bos: int | None
    ends: frozenset[int]
    eos: int
    pad: int
    end_of_turn: str


@dataclass(frozen=True, slots=True)
class Said:
    """What an assistant says in a turn, and the names of the tools it calls, both from the record.

    `parts` are the marks of a thought in the base's own words, the thought and the answer, each
    without white space around it; or the whole content, where `<think>` is text.
    """

    parts: tuple[str, ...]
    calls: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Examined:
    """A conversation rendered, encoded and decoded again.

    `trained` is what the tokenizer makes of each run of trained ids, `said` what each turn of the
    assistant says. `own_text` is what the tokenizer's own chat template writes; None means that it
    refuses, and `own_fault` says why.
    """

    text: str
    encoded: Encoded
    trained: tuple[str, ...]
    said: tuple[Said, ...]
    own_text: str | None
    own_fault: str = ""


def runs_of(labels: Sequence[int] | array[int]) -> list[range]:
    """Return the runs of labels that are trained, as ranges of places."""
    runs: list[range] = []
    start: int | None = None
    for place, label in enumerate(labels):
        if label != IGNORED and start is None:
            start = place
        elif label == IGNORED and start is not None:
            runs.append(range(start, place))
            start = None
    if start is not None:
        runs.append(range(start, len(labels)))
    return runs

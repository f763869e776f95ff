"""From a row of an evaluation set to its texts. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from teapot.leakindex import EvaluationRow
from teapot.model.module import FieldMap
from teapot.model.record import Fault, Row
from teapot.records import turns_of
from teapot.texts import texts_of, texts_of_turn
from teapot.thinking import has_thought

_BESIDE = frozenset((
    "id", "_id", "uuid", "idx", "license", "category", "module", "source", "subject", "split",
    "dataset", "language",
))  # fmt: skip
"""Columns that say something of a row; nobody would copy them with it."""
_SPEAKERS = ("role", "from")
_SPOKEN = ("content", "value")


def row_of_columns(fields: tuple[str, ...]) -> Callable[[int, Row], EvaluationRow | Fault]:
    """Return what takes the texts of a row from some columns; from all where none are named.

    Of a chat the turns are taken, but not what the system says, which is the same in every row.
    """

    def made(number: int, row: Row) -> EvaluationRow | Fault:
        missing = [column for column in fields if column not in row]
        if missing:
            keys = ", ".join(sorted(map(str, row)))[:120]
            return Fault("schema", f"no column {missing[0]!r}; the row has {keys}")
        own = fields or [column for column in row if column not in _BESIDE]
        beside = () if fields else [column for column in row if column in _BESIDE]
        return EvaluationRow(
            number,
            tuple(text for column in own for text in texts_of(_without_speakers(row[column]))),
            tuple(text for column in beside for text in texts_of(row[column])),
            asks=bool(fields),
        )

    return made


def row_of_turns(
    fields: FieldMap, ignored: frozenset[str]
) -> Callable[[int, Row], EvaluationRow | Fault]:
    """Return what takes the texts of a row from the turns that a module says it has.

    Thoughts lie beside: a mix may have the row without them.
    """

    def made(number: int, row: Row) -> EvaluationRow | Fault:
        turns = turns_of(row, fields, ignored)
        if turns.faults:
            return turns.faults[0]
        said: list[str] = []
        thought = [*texts_of(row.get(fields.reasoning) if fields.reasoning else None)]
        for message in turns.messages:
            if message["role"] != "system":
                texts = [*texts_of_turn(message)]
                own = has_thought(message["content"])
                thought.extend(texts[:own])
                said.extend(texts[own:])
        asked = [message["role"] for message in turns.messages].count("user")
        return EvaluationRow(number, tuple(said), tuple(thought), asks=asked == 1)

    return made


def _without_speakers(value: Any) -> Any:
    """Return a JSON value without the roles in it, and without the turns of a system."""
    if isinstance(value, list | tuple):
        return [_without_speakers(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    is_turn = any(key in value for key in _SPEAKERS) and any(key in value for key in _SPOKEN)
    if is_turn and any(value.get(key) == "system" for key in _SPEAKERS):
        return None
    return {
        key: _without_speakers(item)
        for key, item in value.items()
        if not (is_turn and key in _SPEAKERS)
    }

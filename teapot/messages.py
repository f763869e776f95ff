"""From the turns a row holds to messages in Teapot's form.

Accepted are `role`/`content` and ShareGPT's `from`/`value`, not both in one row; tool calls as
OpenAI writes them, with arguments as JSON text or as an object. Every other key is a fault unless
the module knowingly ignores it, so that nothing is lost in silence.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from typing import Any, cast

from teapot.canonical import CanonicalError, dumps, kind_of, loads, plain
from teapot.model.record import Fault, Message, ToolCall

ROLES = frozenset(("system", "user", "assistant", "tool"))
SHAREGPT_ROLES: Mapping[str, str] = {
    "system": "system",
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
    "tool": "tool",
    "function": "tool",
    "observation": "tool",
}
_KEYS = frozenset(("role", "content", "name", "tool_calls", "tool_call_id"))
_OPTIONAL = ("name", "tool_call_id")


@dataclass(slots=True)
class Turns:
    """The messages of one row as far as they could be read, and what was wrong with them."""

    messages: list[Message] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)


def read_turns(value: object, ignored: Set[str] = frozenset()) -> Turns:
    """Return the messages that a row's `messages` or `conversations` value holds.

    Text is read as JSON, as databases and CSV files keep it.
    """
    if isinstance(value, str):
        try:
            value = loads(value.encode())
        except (CanonicalError, UnicodeEncodeError) as error:
            return Turns(faults=[Fault("schema", "messages are not JSON text", hint=str(error))])
    if not isinstance(value, list) or not value:
        found = "an empty list" if value == [] else kind_of(value)
        return Turns(faults=[Fault("schema", f"messages are {found}, expected a list of turns")])
    turns = Turns()
    if all(map(is_plain_turn, value)):
        turns.messages.extend(value)
        return turns
    for index, item in enumerate(value):
        _read_turn(item, index, ignored, turns)
    turns.faults.extend(_mixed_keys(value))
    return turns


def is_plain_turn(item: Any) -> bool:
    """Tell whether a turn already is a message, which is the common case."""
    return (
        type(item) is dict
        and len(item) == 2
        and type(item.get("content")) is str
        and type(item.get("role")) is str
        and item["role"] in ROLES
    )


def _read_turn(item: object, index: int, ignored: Set[str], turns: Turns) -> None:
    if not isinstance(item, Mapping):
        turns.faults.append(
            Fault("schema", f"a turn is {kind_of(item)}, expected an object", index)
        )
        return
    turn = {key: part for key, part in item.items() if key not in ignored and part is not None}
    faults: list[Fault] = []
    message: dict[str, Any] = {"role": _role(turn, index, faults)}
    calls = _tool_calls(turn.pop("tool_calls", None), index, faults)
    if calls:
        message["tool_calls"] = calls
    message["content"] = _content(turn, item, index, bool(calls), faults)
    for key in _OPTIONAL:
        if key in turn:
            message[key] = _text(turn.pop(key), key, index, faults)
    faults.extend(_unknown_key(key, index) for key in turn)
    turns.faults.extend(faults)
    if not faults:
        turns.messages.append(cast(Message, message))


def _role(turn: dict[str, Any], index: int, faults: list[Fault]) -> str:
    named = turn.pop("role", None)
    role = named if named is not None else SHAREGPT_ROLES.get(str(turn.get("from")))
    found = named if named is not None else turn.pop("from", None)
    if isinstance(role, str) and role in ROLES:
        return role
    if found is None:
        faults.append(Fault("schema", "a turn has neither role nor from", index))
    else:
        known = ", ".join(sorted(ROLES))
        faults.append(Fault("unknown-role", f"the role {found!r}, expected one of {known}", index))
    return "user"


def _content(
    turn: dict[str, Any], item: Mapping[str, Any], index: int, calls: bool, faults: list[Fault]
) -> str:
    key = "content" if "content" in item else "value"
    if key not in turn:
        if not calls:
            found = f"{key} is null" if key in item else "a turn has neither content nor value"
            faults.append(Fault("content-null" if key in item else "schema", found, index))
        return ""
    return _text(turn.pop(key), key, index, faults)


def _text(value: object, key: str, index: int, faults: list[Fault]) -> str:
    if isinstance(value, str):
        return value
    faults.append(Fault("schema", f"{key} is {kind_of(value)}, expected text", index))
    return ""


def _tool_calls(value: object, index: int, faults: list[Fault]) -> list[ToolCall]:
    if value is None or value == []:
        return []
    if not isinstance(value, list):
        faults.append(Fault("schema", f"tool_calls is {kind_of(value)}, expected a list", index))
        return []
    calls = [_tool_call(call, index, faults) for call in value]
    return [call for call in calls if call is not None]


def _tool_call(call: object, index: int, faults: list[Fault]) -> ToolCall | None:
    padded = call.get("function") if isinstance(call, Mapping) else None
    if not isinstance(call, Mapping) or not isinstance(padded, Mapping):
        faults.append(Fault("schema", "a tool call without a function", index))
        return None
    call, function = _without_nulls(call), _without_nulls(padded)
    extra = [
        *(key for key in call if key not in ("id", "type", "function")),
        *(key for key in function if key not in ("name", "arguments")),
    ]
    faults.extend(Fault("unknown-key", f"the key {key!r} in a tool call", index) for key in extra)
    if call.get("type", "function") != "function":
        faults.append(Fault("schema", f"a tool call of type {call['type']!r}", index))
    made: ToolCall = {
        "type": "function",
        "function": {
            "name": _call_name(function.get("name"), index, faults),
            "arguments": _arguments(function.get("arguments"), index, faults),
        },
    }
    if call.get("id") is not None:
        made["id"] = _text(call["id"], "a tool call's id", index, faults)
    return made


def _without_nulls(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return a mapping without the nulls that columnar formats pad it with."""
    return {key: part for key, part in value.items() if part is not None}


def _call_name(value: object, index: int, faults: list[Fault]) -> str:
    if value == "":
        faults.append(Fault("schema", "a tool call's name is empty", index))
    return _text(value, "a tool call's name", index, faults)


def _arguments(value: object, index: int, faults: list[Fault]) -> str:
    """Return arguments as JSON text: text as it stands, an object as canonical JSON."""
    try:
        if isinstance(value, Mapping):
            return dumps(value).decode()
        parsed = loads(value.encode()) if isinstance(value, str) else None
        plain(parsed)
    except (CanonicalError, UnicodeEncodeError) as error:
        faults.append(Fault("tool-arguments", "arguments are not strict JSON", index, str(error)))
        return ""
    if isinstance(value, str) and isinstance(parsed, Mapping):
        return value
    found = kind_of(parsed if isinstance(value, str) else value)
    faults.append(Fault("tool-arguments", f"arguments are {found}, expected an object", index))
    return ""


def _mixed_keys(value: list[Any]) -> list[Fault]:
    named = {
        style
        for item in value
        if isinstance(item, Mapping)
        for style, keys in (
            ("role/content", ("role", "content")),
            ("from/value", ("from", "value")),
        )
        if any(item.get(key) is not None for key in keys)
    }
    if len(named) < 2:
        return []
    return [Fault("mixed-keys", "role/content and from/value in one row: which one holds?")]


def _unknown_key(key: str, index: int) -> Fault:
    near = difflib.get_close_matches(key, _KEYS, n=1)
    hint = f"did you mean {near[0]}?" if near else "list it in ignore_message_keys to leave it out"
    return Fault("unknown-key", f"the key {key!r} in a turn; {hint}", index)

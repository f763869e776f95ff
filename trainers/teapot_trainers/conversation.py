"""From messages to what a training template gets, and every reason why a base cannot write them.

The shape that templates see is fixed, so that they need no guesses about missing keys. A message
has `index` (its place in the row; None for a system turn that was added), `role`, `content`,
`thought` (None without one), `answer` (the content without its thought) and `tool_calls`, a list of
`{name, arguments, arguments_text}` that is empty where no tool is called.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Any

from teapot.canonical import CanonicalError, dumps, kind_of, loads
from teapot.errors import DataError, Problem
from teapot.model.base import Base
from teapot.thinking import split_thought

_MAY_FOLLOW = {
    "start": ("system", "user", "assistant"),
    "system": ("user", "assistant"),
    "user": ("user", "assistant"),
    "assistant": ("user",),
    "a tool call": ("tool",),
    "tool": ("tool", "assistant"),
}


@dataclass(frozen=True, slots=True)
class Conversation:
    """A conversation in the shape that templates get; `thinks` says that any turn has a thought."""

    messages: list[dict[str, Any]]
    tools: list[Any]
    thinks: bool


def prepare(
    base: Base,
    messages: Sequence[Mapping[str, Any]],
    tools: Sequence[Any] | None,
    system_prompt: str | None,
) -> Conversation:
    """Return the conversation as the base's template gets it.

    Raises:
        DataError: the base cannot write it; one problem for each fault.
    """
    problems = [*_message_faults(base, messages), *_tool_faults(base, tools)]
    prompt = _prompt_for(base, messages, system_prompt)
    if prompt is not None:
        problems.extend(_token_faults(base, prompt, "the system prompt"))
        if "system" not in base.roles:
            problems.append(_problem("the system prompt", f"{base.name} has no system turn"))
    if problems:
        raise DataError(*problems)
    turns = [_turn(message, index) for index, message in enumerate(messages)]
    if prompt is not None:
        turns.insert(0, _turn({"role": "system", "content": prompt}, None))
    thinks = any(turn["thought"] is not None for turn in turns)
    return Conversation(turns, [_floats(tool) for tool in tools or ()], thinks)


def _prompt_for(base: Base, messages: Sequence[Mapping[str, Any]], given: str | None) -> str | None:
    if messages and messages[0].get("role") == "system":
        return None
    return base.default_system_prompt if given is None else given


def _turn(message: Mapping[str, Any], index: int | None) -> dict[str, Any]:
    role, content = message["role"], message.get("content", "")
    thought, answer = split_thought(content) if role == "assistant" else (None, content)
    return {
        "index": index,
        "role": role,
        "content": content,
        "thought": thought,
        "answer": answer,
        "tool_calls": [_call(call["function"]) for call in message.get("tool_calls", ())],
    }


def _call(function: Mapping[str, Any]) -> dict[str, Any]:
    text = function["arguments"]
    return {
        "name": function["name"],
        "arguments": _floats(loads(text.encode())),
        "arguments_text": text,
    }


def _floats(value: Any) -> Any:
    """Return JSON with plain floats: transformers shows a template nothing of a Decimal."""
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, Mapping):
        return {key: _floats(part) for key, part in value.items()}
    return [_floats(part) for part in value] if isinstance(value, list | tuple) else value


def _message_faults(base: Base, messages: Sequence[Mapping[str, Any]]) -> Iterator[Problem]:
    if not messages:
        yield _problem("messages", "there are none")
    before = "start"
    for index, message in enumerate(messages):
        yield from _order_faults(base, message.get("role"), before, index)
        yield from _turn_faults(base, message, index)
        before = str(message.get("role"))
        if before == "assistant" and message.get("tool_calls"):
            before = "a tool call"
    if before == "tool":
        yield _at(len(messages) - 1, "the row ends on a tool's result, expected an answer to it")


def _order_faults(base: Base, role: object, before: str, index: int) -> Iterator[Problem]:
    expected = _MAY_FOLLOW.get(before, base.roles)  # nothing is expected after an unknown role
    if role not in base.roles:
        known = ", ".join(base.roles)
        yield _at(index, f"{base.name} cannot write the role {role!r}, only {known}")
    elif role not in expected:
        after = "at the start" if before == "start" else f"after {before}"
        yield _at(index, f"{role} {after}, expected {' or '.join(expected)}")


def _turn_faults(base: Base, message: Mapping[str, Any], index: int) -> Iterator[Problem]:
    calls = message.get("tool_calls") or ()
    content = message.get("content", "" if calls else None)
    if not isinstance(content, str):
        yield _at(index, f"the content is {kind_of(content)}, expected text")
    else:
        yield from _token_faults(base, content, f"messages[{index}]")
    if calls and message.get("role") != "assistant":
        yield _at(index, f"tool calls in a turn of {message.get('role')}, expected none")
    elif calls and "tool" not in base.roles:
        yield _at(index, f"{base.name} cannot write tool calls; leave such rows out")
    for call in calls:
        yield from _call_faults(base, call, index)


def _call_faults(base: Base, call: Any, index: int) -> Iterator[Problem]:
    function = call.get("function") if isinstance(call, Mapping) else None
    named = function if isinstance(function, Mapping) else {}
    name, text = named.get("name"), named.get("arguments")
    if not isinstance(name, str) or not isinstance(text, str):
        yield _at(index, "a tool call needs a function with a name and arguments as JSON text")
        return
    try:
        arguments = loads(text.encode())
        told = dumps(arguments).decode()
    except (CanonicalError, UnicodeEncodeError) as error:
        yield _at(index, f"the arguments of {name} are not strict JSON: {error}")
        return
    if not isinstance(arguments, Mapping):
        yield _at(index, f"the arguments of {name} are {kind_of(arguments)}, expected an object")
    # Escapes count too: a template may write \u003c as a real <.
    yield from _token_faults(base, "\n".join((name, text, told)), f"messages[{index}]")


def _tool_faults(base: Base, tools: Sequence[Any] | None) -> Iterator[Problem]:
    if not tools:
        return
    if "tool" not in base.roles:
        told = f"{base.name} cannot write tool definitions; leave such rows out"
        yield _problem("tools", told)
    for index, tool in enumerate(tools):
        function = tool.get("function", tool) if isinstance(tool, Mapping) else None
        if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
            yield _problem(f"tools[{index}]", "not a tool definition with a function and its name")
        else:
            yield from _token_faults(base, dumps(tool).decode(), f"tools[{index}]")


def _token_faults(base: Base, text: str, where: str) -> Iterator[Problem]:
    found = _control_tokens(tuple(base.control_tokens)).search(text)
    if found:
        told = f"holds {found[0]!r}, which {base.name} would take for its control token"
        yield _problem(where, told)


@lru_cache(maxsize=16)
def _control_tokens(tokens: tuple[str, ...]) -> re.Pattern[str]:
    longest_first = sorted(tokens, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first)))


def _at(index: int, message: str) -> Problem:
    return _problem(f"messages[{index}]", message)


def _problem(path: str, message: str) -> Problem:
    return Problem("", message, path)

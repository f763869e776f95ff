"""All texts of a turn or of a row, one by one, also those that lie in JSON text. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from teapot.canonical import CanonicalError, loads
from teapot.model.record import Message
from teapot.thinking import CLOSE, OPEN, has_thought

_ROLES = ("role", "from")


def texts_of_turn(message: Message) -> Iterator[str]:
    """Yield the texts of a turn in order: thought, answer, and what its tool calls say."""
    content = message["content"]
    if has_thought(content) and CLOSE in content:
        thought, _, content = content[len(OPEN) :].partition(CLOSE)
        yield thought
    yield from texts_in(content)
    for call in message.get("tool_calls", ()):
        yield from texts_in(call["function"]["arguments"])


def texts_in(text: str) -> Iterator[str]:
    """Yield the texts in JSON text, where it is an object or a list; else the text itself."""
    if text[:1] in ("{", "[") or text.lstrip()[:1] in ("{", "["):
        try:
            value = loads(text.encode())
        except (CanonicalError, UnicodeEncodeError):
            yield text
        else:
            yield from texts_of(value)
    elif text:
        yield text


def texts_of(value: Any) -> Iterator[str]:
    """Yield every text in a JSON value, in order, but for keys, roles and what a system says."""
    if isinstance(value, str):
        yield from texts_in(value)
    elif isinstance(value, Mapping):
        if any(value.get(key) == "system" for key in _ROLES):
            return
        is_turn = any(key in value for key in ("content", "value"))
        for key, item in value.items():
            if not (is_turn and key in _ROLES):
                yield from texts_of(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from texts_of(item)

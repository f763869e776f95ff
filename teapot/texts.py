"""All texts of a turn or of a row, one by one, also those that lie in JSON text. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from teapot.canonical import CanonicalError, loads
from teapot.jsonleaves import leaves
from teapot.model.record import Message
from teapot.thinking import CLOSE, OPEN, has_thought


def texts_of_turn(message: Message) -> Iterator[str]:
    """Yield the texts of a turn in order: thought, answer, and what its tool calls say."""
    content = message["content"]
    if has_thought(content):
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
    """Yield every text in a JSON value, in order, but for keys."""
    for leaf in leaves(value):
        if isinstance(leaf.value, str) and not leaf.is_key:
            yield from texts_in(leaf.value)

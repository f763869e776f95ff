"""Named repairs a module may opt into; each is a pure function on one turn's content.

Nothing is ever repaired unasked. What a repair changed is in the ledger, by its name and with the
content digest before.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from teapot.model.record import Message
from teapot.thinking import CLOSE, OPEN

Repair = Callable[[str, str], str]

_THINKING_TAG = re.compile(r"<(/?)\s*(?:thinking|thought|think)\s*>", re.IGNORECASE)
_DOUBLE_CLOSE = re.compile(r"</think>(?:\s*</think>)+")
_EMPTY_BLOCK = re.compile(r"^(?:<think>\s*</think>\s*)+")


def outer_whitespace(content: str, role: str) -> str:
    """Remove white space before and after any turn's content."""
    return content.strip()


def thinking_tag(content: str, role: str) -> str:
    """Spell `<thinking>`, `<thought>` and `<Think>` of an assistant turn as `<think>`."""
    return _THINKING_TAG.sub(r"<\1think>", content) if role == "assistant" else content


def double_close(content: str, role: str) -> str:
    """Make `</think></think>` of an assistant turn one `</think>`."""
    return _DOUBLE_CLOSE.sub(CLOSE, content) if role == "assistant" else content


def orphan_close(content: str, role: str) -> str:
    """Open the thought of an assistant turn whose first mark, and only one, is `</think>`.

    This is what a chat template leaves that writes the opening mark itself.
    """
    if role == "assistant" and content.count(CLOSE) == 1 and OPEN not in content:
        return OPEN + content
    return content


def empty_think(content: str, role: str) -> str:
    """Remove a leading thought of an assistant turn that holds nothing."""
    return _EMPTY_BLOCK.sub("", content) if role == "assistant" else content


REPAIRS: Mapping[str, Repair] = {
    "outer-whitespace": outer_whitespace,
    "thinking-tag": thinking_tag,
    "double-close": double_close,
    "orphan-close": orphan_close,
    "empty-think": empty_think,
}


def repair_messages(
    messages: Sequence[Message], names: Sequence[str]
) -> tuple[list[Message], tuple[str, ...]]:
    """Return the messages after the named repairs, and the names of those that changed one."""
    repaired, used = list(messages), []
    for name in names:
        changed = [_with_repair(message, REPAIRS[name]) for message in repaired]
        if changed != repaired:
            repaired = changed
            used.append(name)
    return repaired, tuple(used)


def _with_repair(message: Message, repair: Repair) -> Message:
    content = repair(message["content"], message["role"])
    if content == message["content"]:
        return message
    changed = message.copy()
    changed["content"] = content
    return changed

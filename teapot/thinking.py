"""The thought of an assistant turn: one leading `<think>…</think>` block, or none.

The same scanner serves the think check, the reasoning policy and the repairs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from teapot.model.record import Fault

OPEN, CLOSE = "<think>", "</think>"
LOOK_ALIKE = re.compile(
    r"<\s*/?\s*(?:(?:ant|[\w.-]{1,20}[:_-])?think(?:ing)?(?:[_-]\w{1,20})?"
    r"|thoughts?|reasoning|reflection|scratchpad)\b[^<>]{0,20}>"
    r"|\[/?think(?:ing)?\]|◁/?think▷|＜/?think(?:ing)?＞",
    re.IGNORECASE,
)
_MARK = re.compile(r"</?think>")
_LEADING_BLOCK = re.compile(r"<think>(.*?)</think>\s*", re.DOTALL)


def has_thought(content: str) -> bool:
    """Return whether a checked assistant content opens with a thought."""
    return content.startswith(OPEN)


def is_quiet(content: str) -> bool:
    """Tell, quickly, that a content holds no mark or token that any check would look at.

    True means: but for the marks of one well-formed leading thought it has none of `<`, `[`, `◁`
    and `＜`, and every mark, look-alike and control token has one. False means: look at it.
    """
    if content.startswith(OPEN):
        end = content.find(CLOSE, len(OPEN))
        thought = content[len(OPEN) : end]
        if end < 0 or not thought.strip() or not is_bare(thought):
            return False
        content = content[end + len(CLOSE) :]
    return is_bare(content)


def is_bare(text: str) -> bool:
    """Tell that a text has none of the characters that a mark, look-alike or token begins with."""
    return "<" not in text and "[" not in text and "◁" not in text and "＜" not in text


def strip_thought(content: str) -> str:
    """Return a checked assistant content without its thought and the space after it."""
    return _LEADING_BLOCK.sub("", content, count=1) if has_thought(content) else content


def answer_of(content: str) -> str:
    """Return what follows the thought of a checked assistant content."""
    return content.split(CLOSE, 1)[1] if has_thought(content) and CLOSE in content else content


def thinks(messages: Iterable[Mapping[str, Any]]) -> bool:
    """Tell whether any turn of the assistant has a thought."""
    return any(
        split_thought(message.get("content", ""))[0] is not None
        for message in messages
        if message["role"] == "assistant"
    )


def split_thought(content: str) -> tuple[str | None, str]:
    """Return the leading thought of any assistant content, and the answer that follows it.

    The white space around the thought goes, and that before the answer. Without a leading closed
    block there is no thought (None), and the content stays as it is, stray marks and all.
    """
    block = _LEADING_BLOCK.match(content)
    if block is None:
        return None, content
    return block[1].strip(), content[block.end() :]


def with_thought(reasoning: str, answer: str) -> str:
    """Return an assistant content that opens with `reasoning` as its thought."""
    return f"{OPEN}\n{reasoning.strip()}\n{CLOSE}\n\n{answer}"


def think_faults(content: str, role: str, index: int) -> Iterator[Fault]:
    """Yield every fault in the think structure of one turn."""
    if role != "assistant":
        if OPEN in content or CLOSE in content:
            yield Fault("think-wrong-role", f"a think mark in a {role} turn", index)
        return
    yield from _look_alikes(content, index)
    marks = list(_MARK.finditer(content))
    if not marks:
        return
    yield from _order_faults([(mark.group(), mark.start()) for mark in marks], index)
    if marks[0].group() == OPEN and marks[0].start() > 0:
        before = content[: marks[0].start()].strip()
        found = repr(before[:40]) if before else "white space"
        yield Fault("think-text-before", f"{found} stands before {OPEN}", index)
    block = _LEADING_BLOCK.match(content)
    if block and not block.group().strip()[len(OPEN) : -len(CLOSE)].strip():
        yield Fault("think-empty", "the thought holds nothing", index)


def _look_alikes(content: str, index: int) -> Iterator[Fault]:
    for match in LOOK_ALIKE.finditer(content):
        if match.group() not in (OPEN, CLOSE):
            message = f"{match.group()!r} looks like a think mark but is not {OPEN} or {CLOSE}"
            yield Fault("think-look-alike", message, index)
            return


def _order_faults(marks: list[tuple[str, int]], index: int) -> Iterator[Fault]:
    """Walk the marks in order; `open_at` is where the open thought began, if one is open."""
    open_at: int | None = None
    closed = 0
    for mark, start in marks:
        if mark == OPEN and open_at is not None:
            yield Fault(
                "think-nested", f"{OPEN} at character {start} inside an open thought", index
            )
        elif mark == OPEN:
            if closed:
                yield Fault("think-second-block", f"a second thought at character {start}", index)
            open_at = start
        elif open_at is None:
            yield Fault("think-orphan-close", f"{CLOSE} at character {start} closes nothing", index)
        else:
            open_at, closed = None, closed + 1
    if open_at is not None:
        yield Fault("think-unclosed", f"{OPEN} at character {open_at} is never closed", index)

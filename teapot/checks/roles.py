"""Turns alternate as every base can render them, and the assistant has the last word."""

from __future__ import annotations

from collections.abc import Sequence

from teapot.model.record import Fault, Message, Record
from teapot.thinking import answer_of

_MAY_FOLLOW = {
    "start": ("system", "user"),
    "system": ("user",),
    "user": ("assistant",),
    "assistant": ("user",),
    "tool": ("assistant", "tool"),
}


class RolesCheck:
    """Order of the turns, an answer in every assistant turn, text in every user turn."""

    name = "roles"

    def run(self, record: Record) -> Sequence[Fault]:
        """Return the faults of order and emptiness."""
        faults: list[Fault] = []
        before, called = "start", False
        for index, message in enumerate(record.messages):
            role = message["role"]
            expected = ("tool",) if called else _MAY_FOLLOW[before]
            if role not in expected:
                faults.append(_order_fault(role, before, expected, index))
            if "tool_calls" in message and role != "assistant":
                faults.append(Fault("calls-wrong-role", f"tool calls in a {role} turn", index))
            faults.extend(_content_faults(message, index))
            called = "tool_calls" in message
            before = role
        faults.extend(_ending_faults(record.messages))
        return faults


def _order_fault(role: str, before: str, expected: tuple[str, ...], index: int) -> Fault:
    after = "at the start" if before == "start" else f"after {before}"
    return Fault("role-order", f"{role} {after}, expected {' or '.join(expected)}", index)


def _content_faults(message: Message, index: int) -> list[Fault]:
    role, content = message["role"], message["content"]
    if role == "assistant":
        if "tool_calls" not in message and not answer_of(content).strip():
            return [Fault("empty-answer", "the assistant's answer is empty", index)]
    elif role != "tool" and not content.strip():
        return [Fault("empty-content", f"the {role} turn is empty", index)]
    return []


def _ending_faults(messages: Sequence[Message]) -> list[Fault]:
    if not any(message["role"] == "assistant" for message in messages):
        return [Fault("no-assistant", "no assistant turn: there is nothing to learn")]
    last = messages[-1]
    if last["role"] != "assistant":
        found = f"the last turn is {last['role']}'s, expected assistant's"
        return [Fault("role-order", found, len(messages) - 1)]
    return []

"""The checks that every record goes through."""

from __future__ import annotations

from collections.abc import Sequence

from teapot.checks.control_tokens import ControlTokensCheck
from teapot.checks.length import LengthCheck
from teapot.checks.roles import RolesCheck
from teapot.checks.think import ThinkCheck
from teapot.interfaces import Check
from teapot.model.record import Message
from teapot.thinking import is_bare, is_quiet


def builtin_checks(max_characters: int | None = None) -> list[Check]:
    """Return the checks of a module; the length is checked where the module names one."""
    checks: list[Check] = [RolesCheck(), ThinkCheck(), ControlTokensCheck()]
    return checks if max_characters is None else [*checks, LengthCheck(max_characters)]


_COVERED = (RolesCheck, ThinkCheck, ControlTokensCheck)


def uncovered(checks: Sequence[Check]) -> list[Check]:
    """Return the checks that must run even on messages that `is_clean` holds clean."""
    return [check for check in checks if not isinstance(check, _COVERED)]


def is_clean(messages: Sequence[Message]) -> bool:
    """Tell, quickly, that the roles, think and control-token checks have nothing to find.

    True is certain: an optional system turn, then user and assistant in turn, the assistant last,
    nothing but role and content, no empty turn or answer, and no character that a mark or a token
    begins with but in one well-formed leading thought. False means only that the checks must say.
    """
    expected = "user"
    for place, message in enumerate(messages):
        role, content = message["role"], message["content"]
        if len(message) != 2 or not content or content[-1].isspace() or content[-1] == ">":
            return False
        if role == "assistant":
            if expected != role or not is_quiet(content):
                return False
            expected = "user"
        elif not is_bare(content):
            return False
        elif role == "user" and expected == role:
            expected = "assistant"
        elif role != "system" or place:
            return False
    return bool(messages) and expected == "user" and messages[-1]["role"] == "assistant"

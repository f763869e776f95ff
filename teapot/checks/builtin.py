"""The checks that every record goes through."""

from __future__ import annotations

from teapot.checks.control_tokens import ControlTokensCheck
from teapot.checks.length import LengthCheck
from teapot.checks.roles import RolesCheck
from teapot.checks.think import ThinkCheck
from teapot.interfaces import Check


def builtin_checks(max_characters: int | None = None) -> list[Check]:
    """Return the checks of a module; the length is checked where the module names one."""
    checks: list[Check] = [RolesCheck(), ThinkCheck(), ControlTokensCheck()]
    return checks if max_characters is None else [*checks, LengthCheck(max_characters)]

"""What a scan finds in a text, and the text without it: kinds and places, never what it was."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

MARK = re.compile(r"\[REDACTED:[a-z0-9-]+\]")
"""What stands in the place of a finding."""

SECRET, PERSONAL = "secret", "personal-data"
"""Reasons of findings, which are those of the ledger's rows that leave for them."""


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One secret or personal datum in a text: characters `start` up to `end`, from 0."""

    start: int
    end: int
    kind: str
    reason: str


def apart(findings: Iterable[Finding]) -> list[Finding]:
    """Return findings in the order of the text, overlapping ones as one by the name of the first.

    A secret gives its name before personal data: what follows a password and `@` is no address.
    """
    kept: list[Finding] = []
    for found in sorted(findings):
        if not kept or found.start >= kept[-1].end:
            kept.append(found)
            continue
        last = kept[-1]
        named = found if (last.reason, found.reason) == (PERSONAL, SECRET) else last
        kept[-1] = Finding(last.start, max(last.end, found.end), named.kind, named.reason)
    return kept


def redacted(text: str, findings: Iterable[Finding]) -> str:
    """Return a text with a mark such as `[REDACTED:email]` in the place of each finding."""
    parts, at = [], 0
    for found in apart(findings):
        parts += [text[at : found.start], f"[REDACTED:{found.kind}]"]
        at = found.end
    return "".join([*parts, text[at:]])

"""Screens that scan records: one for secrets, one for personal data, each with its policy.

What a screen says of a record, which the ledger keeps, is kinds and places, never the text itself.
Definitions of tools are not redacted: a record is left out rather than let in with a secret.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from teapot.errors import UsageError
from teapot.findings import PERSONAL, SECRET
from teapot.model.config import Scan
from teapot.model.recipe import RecipeScan
from teapot.scanning import Scanner, detectors, told
from teapot.screens import Candidate, Changed, Left, Noted, Outcome, ScreenSpec

Kind = Literal["secrets", "personal"]
KINDS: tuple[Kind, ...] = ("secrets", "personal")
REASONS: Mapping[str, str] = {"secrets": SECRET, "personal": PERSONAL}


def scan_of(asked: Scan) -> RecipeScan | None:
    """Return what a recipe says of a scan; None where nothing is scanned.

    Raises:
        MissingExtraError: a scan is asked for without the extra `scan`.
    """
    policies = {kind: getattr(asked, kind) or "off" for kind in KINDS}
    wanted = {kind: policy != "off" for kind, policy in policies.items()}
    return RecipeScan(**policies, detectors=detectors(**wanted)) if any(wanted.values()) else None


def scan_screens(scan: RecipeScan | None) -> tuple[ScreenSpec, ...]:
    """Return the screens of a scan: secrets are looked for first."""
    if scan is None:
        return ()
    versions = tuple(sorted(scan.detectors.items()))
    policies = {kind: getattr(scan, kind) for kind in KINDS}
    return tuple(
        ScanSpec(kind, policy, versions) for kind, policy in policies.items() if policy != "off"
    )


@dataclass(frozen=True, slots=True)
class ScanSpec:
    """A scan for one kind, by detectors of the versions that the recipe states."""

    kind: Kind
    policy: str
    versions: tuple[tuple[str, str], ...]

    def open(self) -> ScanScreen:
        """Return the screen.

        Raises:
            MissingExtraError: the extra `scan` is not installed here.
            UsageError: it is, in another version than where the mix was asked for.
        """
        wants = {kind: kind == self.kind for kind in KINDS}
        asked = dict(self.versions)
        unlike = [
            f"{name} {here} here, expected {asked.get(name)}"
            for name, here in detectors(**wants).items()
            if here != asked.get(name)
        ]
        if unlike:
            raise UsageError(f"the scan would not find the same: {'; '.join(unlike)}")
        return ScanScreen(Scanner(**wants), self.kind, self.policy)


@dataclass(frozen=True, slots=True)
class ScanScreen:
    """Scans records for one kind; may be used by several threads."""

    scanner: Scanner
    kind: Kind
    policy: str

    @property
    def changes(self) -> bool:
        """Tell whether it may change a record."""
        return self.policy == "redact"

    def screen(self, candidate: Candidate) -> Outcome:
        """Return what becomes of a record; None where nothing is found in it."""
        found = self.scanner.of_record(candidate.messages, candidate.tools)
        if not found:
            return None
        reason, words = REASONS[self.kind], told(found)
        if self.policy == "report":
            return Noted(f"found: {words}", (reason,))
        if self.policy == "drop":
            return Left(reason, words)
        if any(one.is_in_tools for one in found):
            return Left(reason, f"{words}; definitions of tools are not redacted")
        messages = self.scanner.redacted(candidate.messages, frozenset((reason,)))
        return Changed(messages, (f"redact-{self.kind}",), f"redacted: {words}")

"""What a verification found: one result for each claim, and the exit code that sums them up."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Status(StrEnum):
    """What became of one check.

    `NOTE` says something that neither proves nor disproves a claim; `SKIPPED` that a check could
    not be made, and why.
    """

    OK = "ok"
    FAULT = "fault"
    UNTRUSTED = "untrusted"
    UNSIGNED = "unsigned"
    UNREACHABLE = "unreachable"
    SKIPPED = "skipped"
    NOTE = "note"


_EXIT_CODES = (
    (Status.FAULT, 1),
    (Status.UNTRUSTED, 5),
    (Status.UNSIGNED, 4),
    (Status.UNREACHABLE, 3),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckResult:
    """One check: what was compared, what was expected and found, and what more there is to say.

    `details` are whole sentences, such as the records that differ, the first ones at most.
    """

    name: str
    status: Status
    compared: str
    expected: str | None = None
    found: str | None = None
    details: tuple[str, ...] = ()

    @classmethod
    def compare(
        cls, name: str, compared: str, *, expected: str, found: str, details: Sequence[str] = ()
    ) -> CheckResult:
        """Return a check that holds if the expected was found, and no detail says otherwise."""
        is_ok = expected == found and not details
        return cls(
            name=name, status=Status.OK if is_ok else Status.FAULT, compared=compared,
            expected=expected, found=found, details=tuple(details),
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Verification:
    """All results of one target, in the order the checks were made."""

    target: str
    manifest_sha256: str | None
    results: tuple[CheckResult, ...]

    @property
    def exit_code(self) -> int:
        """Return the exit code: a fault weighs most, then no trust, no signature, no source."""
        return exit_code(result.status for result in self.results)

    @property
    def is_ok(self) -> bool:
        """Tell whether every check that was made has passed, and trust is there."""
        return self.exit_code == 0

    def to_dict(self) -> dict[str, Any]:
        """Return the verification as JSON values."""
        return {
            "target": self.target,
            "ok": self.is_ok,
            "exit_code": self.exit_code,
            "manifest_sha256": self.manifest_sha256,
            "checks": [asdict(result) for result in self.results],
        }


def exit_code(statuses: Iterable[Status]) -> int:
    """Return the exit code of the gravest status; 0 where none is grave."""
    found = set(statuses)
    return next((code for status, code in _EXIT_CODES if status in found), 0)


def gravest(statuses: Iterable[Status]) -> Status:
    """Return the status that decides the exit code; OK where none is grave."""
    found = set(statuses)
    return next((status for status, _ in _EXIT_CODES if status in found), Status.OK)

"""From what reviewers said to what is done: one decision for each record, or a conflict.

The last word of a reviewer stands for the ones before. Where reviewers differ, nobody is right by
coming later: that is a conflict, until a line says whose verdicts it supersedes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from teapot.model.verdict import Decision, IdVerdict, Verdict


@dataclass(frozen=True, slots=True)
class Conflict:
    """Verdicts on one record that differ: what each reviewer said, by the record's key."""

    key: str
    said: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        told = " and ".join(f"{reviewer} says {verdict}" for reviewer, verdict in self.said)
        return f"{self.key}: {told}; `teapot curate merge` settles it, or a line with `supersedes`"


@dataclass(frozen=True, slots=True)
class Settled:
    """The decisions by content digest (64 hex digits) or id, and what is in conflict."""

    decisions: Mapping[str, Decision]
    conflicts: tuple[Conflict, ...]


def standing(verdicts: Iterable[Verdict]) -> dict[str, dict[str, Verdict]]:
    """Return the verdicts that stand, by content digest and then by reviewer."""
    found: dict[str, dict[str, Verdict]] = {}
    for verdict in verdicts:
        own = found.setdefault(verdict.content_digest, {})
        for name in (*verdict.supersedes, verdict.reviewer):
            own.pop(name, None)
        own[verdict.reviewer] = verdict
    return found


def settle(verdicts: Iterable[Verdict]) -> Settled:
    """Return what the verdicts come to."""
    found = {key: tuple(own.values()) for key, own in standing(verdicts).items()}
    return _settled({key: [_decision(one) for one in own] for key, own in found.items()})


def settle_ids(verdicts: Iterable[IdVerdict]) -> Settled:
    """Return what verdicts by id come to; the same reviewer's last word stands."""
    found: dict[str, dict[str, Decision]] = {}
    for verdict in verdicts:
        own = found.setdefault(verdict.id, {})
        own.pop(verdict.reviewer, None)
        own[verdict.reviewer] = Decision(
            verdict=verdict.verdict, reviewers=(verdict.reviewer,), reason=verdict.reason
        )
    return _settled({key: list(own.values()) for key, own in found.items()})


def _decision(verdict: Verdict) -> Decision:
    return Decision(
        verdict=verdict.verdict, reviewers=(verdict.reviewer,), reason=verdict.reason,
        category=verdict.category, module=verdict.module, messages=verdict.messages,
    )  # fmt: skip


def _settled(found: Mapping[str, Sequence[Decision]]) -> Settled:
    decisions: dict[str, Decision] = {}
    conflicts: list[Conflict] = []
    for key, own in found.items():
        first = own[0]
        if any(not _agree(first, other) for other in own[1:]):
            said = tuple((one.reviewers[0], one.verdict) for one in own)
            conflicts.append(Conflict(key, said))
            continue
        reasons = dict.fromkeys(one.reason for one in own if one.reason)
        decisions[key] = Decision(
            verdict=first.verdict, reviewers=tuple(one.reviewers[0] for one in own),
            reason="; ".join(reasons) or None, category=first.category, module=first.module,
            messages=first.messages,
        )  # fmt: skip
    return Settled(decisions, tuple(conflicts))


def _agree(one: Decision, other: Decision) -> bool:
    return (one.verdict, one.category, one.module, one.messages) == (
        other.verdict, other.category, other.module, other.messages,
    )  # fmt: skip

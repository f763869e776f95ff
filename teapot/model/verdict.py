"""What reviewers said of records: verdicts, each bound to the content that was read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from decimal import Decimal
from typing import Any, Literal

from teapot.model.record import Message

Kind = Literal["keep", "drop", "move", "edit"]
KINDS: tuple[Kind, ...] = ("keep", "drop", "move", "edit")


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """One line of a curation file; it has exactly the fields of `schemas/curation.schema.json`.

    It speaks of the record whose content has `content_digest`, and of no other. `time` is when the
    reviewer's tool wrote it (RFC 3339). `supersedes` names reviewers whose earlier verdicts on the
    same content no longer stand.
    """

    content_digest: str
    verdict: Kind
    reviewer: str
    time: str
    reason: str | None = None
    tags: tuple[str, ...] = ()
    score: Decimal | None = None
    category: str | None = None
    module: str | None = None
    messages: tuple[Message, ...] | None = None
    supersedes: tuple[str, ...] = ()

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Verdict:
        """Return the verdict in JSON values that fit the schema."""
        made = dict(value)
        for name in ("tags", "supersedes", "messages"):
            if name in made:
                made[name] = tuple(made[name])
        if "score" in made:
            made["score"] = Decimal(made["score"])
        return cls(**made)

    def to_dict(self) -> dict[str, Any]:
        """Return the verdict as JSON values, without what it does not say."""
        made = {part.name: getattr(self, part.name) for part in fields(self)}
        return {name: value for name, value in made.items() if value not in (None, ())}


@dataclass(frozen=True, kw_only=True, slots=True)
class IdVerdict:
    """A verdict of the prototype's files, which is bound to an id that another row may get."""

    id: str
    verdict: Kind
    reviewer: str
    reason: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """What is done with a record, after all that its reviewers said; `reviewers` agree."""

    verdict: Kind
    reviewers: tuple[str, ...]
    reason: str | None = None
    category: str | None = None
    module: str | None = None
    messages: tuple[Message, ...] | None = None

    def told(self, use: str) -> str:
        """Return the decision as the ledger tells it."""
        by = ", ".join(self.reviewers)
        return f"{self.verdict} by {by} ({use})" + (f": {self.reason}" if self.reason else "")

"""A module: a named, versioned, licensed dataset, and how its rows become records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal

from teapot.model.config import BadRowPolicy, decimal_of

MIXED = "mixed"
"""The licence of a module whose rows each name their own."""

ReasoningPolicy = Literal["require", "allow", "forbid", "strip"]


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceSpec:
    """One place rows are read from, as the module declares it; `kind` names a source plug-in."""

    id: str
    kind: str
    license: str | None = None
    examples: int | None = None
    path: str | None = None
    url: str | None = None
    sha256: str | None = None
    repo: str | None = None
    file: str | None = None
    revision: str | None = None
    config: str | None = None
    split: str | None = None
    query: str | None = None
    format: str | None = None

    @property
    def uri(self) -> str:
        """Return the declared identity: where the rows come from, never a path of a machine."""
        if self.repo is not None:
            inside = (
                self.file if self.file is not None else f"{self.config or 'default'}/{self.split}"
            )
            return f"hf://datasets/{self.repo}/{inside}"
        return _without_credentials(self.url) if self.url else self.path or self.id


def _without_credentials(url: str) -> str:
    """Return an address without user and password, and without a web address's signed query."""
    scheme, mark, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    if scheme in ("http", "https"):
        path = path.partition("?")[0].partition("#")[0]
    return f"{scheme}{mark}{host.rpartition('@')[2]}{slash}{path}"


@dataclass(frozen=True, kw_only=True, slots=True)
class FieldMap:
    """Which columns of a row hold what; None means the usual name is tried, if there is one.

    `messages` is `messages` or `conversations`, a list or JSON text. `user` and `assistant` build a
    single exchange from plain columns instead. `system` comes first in both.
    """

    messages: str | None = None
    id: str | None = None
    license: str | None = None
    category: str | None = None
    tools: str | None = None
    reasoning: str | None = None
    user: str | None = None
    assistant: str | None = None
    system: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class SystemPrompt:
    """A system turn given to rows: to those that have none (`missing`), or to all (`replace`)."""

    text: str
    mode: Literal["missing", "replace"] = "missing"


@dataclass(frozen=True, kw_only=True, slots=True)
class Module:
    """What a module file declares; it has exactly the fields of `schemas/module.schema.json`."""

    name: str
    version: str
    description: str
    license: str
    sources: tuple[SourceSpec, ...]
    maintainer: str | None = None
    depends: tuple[str, ...] = ()
    recommends: tuple[str, ...] = ()
    conflicts: tuple[str, ...] = ()
    provides: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    fields: FieldMap = field(default_factory=FieldMap)
    ignore_message_keys: tuple[str, ...] = ()
    system_prompt: SystemPrompt | None = None
    reasoning: ReasoningPolicy = "allow"
    repair: tuple[str, ...] = ()
    checks: tuple[str, ...] = ()
    on_bad_row: BadRowPolicy | None = None
    max_bad_rows: int | None = None
    min_examples: int | None = None
    suggested_weight: Decimal | None = None
    max_length: int | None = None

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Module:
        """Return the module that a mapping accepted by the schema describes."""
        made = dict(value)
        for key in _LISTS & made.keys():
            made[key] = tuple(made[key])
        made["sources"] = tuple(SourceSpec(**source) for source in made["sources"])
        made["fields"] = FieldMap(**made.get("fields", {}))
        if "system_prompt" in made:
            made["system_prompt"] = _system_prompt(made["system_prompt"])
        if "suggested_weight" in made:
            made["suggested_weight"] = decimal_of(made["suggested_weight"])
        return cls(**made)


_LISTS = frozenset((
    "depends", "recommends", "conflicts", "provides", "languages", "ignore_message_keys", "repair",
    "checks",
))  # fmt: skip


def _system_prompt(value: str | Mapping[str, Any]) -> SystemPrompt:
    return SystemPrompt(text=value) if isinstance(value, str) else SystemPrompt(**value)

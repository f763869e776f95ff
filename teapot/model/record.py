"""Rows, records and the reasons why a row is not a record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, NotRequired, TypedDict

Row = Mapping[str, Any]


class Function(TypedDict):
    """The function a tool call names, with its arguments as JSON text."""

    name: str
    arguments: str


class ToolCall(TypedDict):
    """One call of a tool by the assistant."""

    type: str
    function: Function
    id: NotRequired[str]


class Message(TypedDict):
    """One turn of a record, JSON-shaped: the only mapping that crosses function borders."""

    role: str
    content: str
    name: NotRequired[str]
    tool_calls: NotRequired[list[ToolCall]]
    tool_call_id: NotRequired[str]


@dataclass(frozen=True, slots=True)
class Fault:
    """One named thing wrong with a row; `message_index` counts turns from 0.

    The text of a fault enters the ledger, whose digest two machines must agree on. What a library
    says in its own words, which change with its version, is a `hint`: shown, but never recorded.
    """

    code: str
    message: str
    message_index: int | None = None
    hint: str = ""

    def __str__(self) -> str:
        return self._told(self.message)

    @property
    def words(self) -> str:
        """Return message and hint, without place and code."""
        return f"{self.message}: {self.hint}" if self.hint else self.message

    def shown(self) -> str:
        """Return the fault as people see it, with its hint."""
        return self._told(self.words)

    def _told(self, message: str) -> str:
        at = "" if self.message_index is None else f"messages[{self.message_index}]: "
        return f"{at}{message} [{self.code}]"


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """One training example; it has exactly the fields of `schemas/record.schema.json`."""

    id: str
    license: str
    messages: list[Message]
    module: str
    source: str
    category: str | None = None
    tools: list[Any] | None = None


class Example(NamedTuple):
    """A record that has passed every check, as bytes; a tuple, because one is made for every row.

    `line` is the output line without its LF; `content_digest` the SHA-256 of the canonical
    `{messages, tools}`; `characters` counts the code points of all contents.
    """

    id: str
    license: str
    line: bytes
    content_digest: bytes
    characters: int
    messages: list[Message]
    repairs: tuple[str, ...] = ()
    digest_before: bytes | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Dropped:
    """A row that does not enter the mix, with the reason's code and its detail.

    `shown` is the detail with the hints that are not recorded.
    """

    reason: str
    detail: str
    shown: str
    id: str | None = None
    license: str | None = None
    content_digest: bytes | None = None
    bad: bool = True

"""The short way for the common row, which must end exactly where the long way of `records` ends.

A common row holds nothing that needs a second look: plain turns that are clean at a glance, an id,
an allowed licence, no tools. Every other row, and every row of a module that asks for more, goes
the long way. A property test compares the two on any row.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from hashlib import sha256

from teapot.canonical import dumps_plain
from teapot.checks.builtin import is_clean, uncovered
from teapot.interfaces import Check
from teapot.licensing import LicenseJudge, LicenseVerdict
from teapot.messages import is_plain_turn
from teapot.model.module import Module
from teapot.model.record import Example, Row

quoted = lru_cache(maxsize=4096)(dumps_plain)


def record_line(
    named: tuple[str | None, str, str], messages: bytes, tail: bytes, tools: bytes | None = None
) -> bytes:
    """Return a record's canonical bytes from its parts; the keys stand here in their sorted order.

    `named` is category, id and licence; `messages` and `tools` are canonical already; `tail` is the
    text of module and source, which all rows of a source share.
    """
    category, identity, license_text = named
    head = b"{" if category is None else b'{"category":' + quoted(category) + b","
    names = b'"id":%b,"license":%b,"messages":' % (dumps_plain(identity), quoted(license_text))
    end = b"}" if tools is None else b',"tools":' + tools + b"}"
    return b"".join((head, names, messages, tail, end))


def takes_the_short_way(module: Module, checks: list[Check], *, strip_think: bool) -> bool:
    """Tell whether a module asks nothing of its rows that only the long way does."""
    fields = module.fields
    return (
        not (module.repair or module.system_prompt or strip_think or uncovered(checks))
        and module.reasoning == "allow"
        and fields.user is None
        and fields.reasoning is None
    )


class CommonRowMaker:
    """Makes the examples of common rows."""

    def __init__(
        self, module: Module, tail: bytes, judge: LicenseJudge, license_of: Callable[[Row], object]
    ) -> None:
        fields = module.fields
        self._messages = fields.messages or "messages"
        self._other = fields.messages or "conversations"
        self._tools, self._system = fields.tools or "tools", fields.system or "system"
        self._id, self._category = fields.id or "id", fields.category or "category"
        self._tail, self._judge, self._license_of = tail, judge.judge, license_of

    def make(self, row: Row) -> Example | None:
        """Return the example of a common row; None for any other, which must go the long way.

        Raises:
            CanonicalError: a text cannot be written as strict JSON.
        """
        messages, other = row.get(self._messages), row.get(self._other)
        if messages is None:
            messages = other
        elif other is not messages and self._other in row:
            return None
        identity, category = row.get(self._id), row.get(self._category)
        if type(identity) is not str or not identity:
            return None
        if category is not None and (type(category) is not str or not category):
            return None
        beside = row.get(self._tools) is not None or row.get(self._system) is not None
        if beside or type(messages) is not list or not all(map(is_plain_turn, messages)):
            return None
        verdict = self._judge(self._license_of(row))
        if type(verdict) is not LicenseVerdict or not verdict.allowed or not is_clean(messages):
            return None
        turns = dumps_plain(messages)
        return Example(
            id=identity,
            license=verdict.text,
            line=record_line((category, identity, verdict.text), turns, self._tail),
            content_digest=sha256(b'{"messages":' + turns + b"}").digest(),
            characters=sum([len(message["content"]) for message in messages]),
            messages=messages,
        )

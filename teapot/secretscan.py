"""Finds secrets in a text: keys, tokens and passwords that give access to something.

The rules are Kingfisher's, which come with the extra `scan` and ask no network; here is only what
they leave open. A finding is the whole secret: where a rule knows a part of a longer run of
characters, the run is taken. Private keys are found here, because they may have lost their end.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterator
from functools import cache
from threading import Lock
from typing import TYPE_CHECKING

from teapot.errors import MissingExtraError
from teapot.findings import MARK, SECRET, Finding

if TYPE_CHECKING:
    from kingfisher_sdk import Scanner

DETECTOR = "kingfisher-secret-scanner"
"""The distribution whose version decides what is found."""

_PRIVATE_KEY = "private-key"
_KEY_BEGIN = re.compile(r"-{0,5}BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-{4,5}")
_KEY_END = re.compile(r"-{0,5}END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?(?:-{1,5}|(?!-))")
_LINE_BREAK = re.compile(r'(?:\s|\\[nr]|["\'+,>|])*')
_KEY_HEADER = re.compile(r"[A-Z][A-Za-z-]{2,30}: [^\n\\<]{0,200}")
_KEY_LINE = re.compile(r"[A-Za-z0-9+/]+={0,2}")
_MOST_HEADERS = 8
_SURE_LENGTH, _SHORT_LENGTH = 40, 16
_LETTERS_ONLY = re.compile(r"[A-Za-z]+")
_TOKEN_BEFORE = frozenset(string.ascii_letters + string.digits + "_-")
_TOKEN_AFTER = re.compile(r"[A-Za-z0-9_+/=-]*")
_LONGEST_TOKEN = 4096
_LEAST_TOKEN = 16
_PUNCTUATION = re.compile(
    rf"(?<=[\w+/=-]{{{_LEAST_TOKEN}}})(?:[^\w\s+/=.:@\\-]|[.:](?!\w))", re.ASCII
)
_IDENTIFIES_ONLY = re.compile(r"(?:-id|-name|-url|-host|-domain|-address|-repository|-username)$")
"""Ends of rules of what stands beside a secret and is none: account names, hosts."""

_building = Lock()


class SecretScanner:
    """Finds secrets; one does for a process, and several threads may use it.

    Raises:
        MissingExtraError: the extra `scan` is not installed.
    """

    def __init__(self) -> None:
        with _building:
            self._scanner = _kingfisher()
        self._needs: dict[str, tuple[str, ...]] = {}

    def findings(self, text: str) -> Iterator[Finding]:
        """Yield what is found, in no order; some may overlap."""
        yield from private_keys(text)
        found = [
            one for sight in dict.fromkeys((text, eased(text))) for one in self._scanner.scan(sight)
        ]
        if not found:
            return
        needed = {rule for one in found if one.visible for rule in self._needed_by(one.rule_id)}
        data, at, characters = text.encode(), 0, 0
        for one in sorted(found, key=lambda one: one.location["start_offset"]):
            start, end = one.location["start_offset"], one.location["end_offset"]
            characters, at = characters + _length(data[at:start]), start
            kind = _kind(one.rule_id)
            helps = one.rule_id in needed and not _IDENTIFIES_ONLY.search(kind)
            stop = characters + _length(data[start:end])
            if MARK.fullmatch(text, characters, stop):
                continue  # a rule for what stands in a place of an address takes any text for it
            if kind != _PRIVATE_KEY and (one.visible or helps):
                yield _whole(text, characters, stop, kind)

    def _needed_by(self, rule: str) -> tuple[str, ...]:
        """Return the rules of what must stand beside what this rule finds."""
        if rule not in self._needs:
            detail = self._scanner.rules.detail(rule)
            self._needs[rule] = tuple(one["rule_id"] for one in detail["depends_on_rule"] or ())
        return self._needs[rule]


def _length(data: bytes) -> int:
    return len(data.decode(errors="replace"))


def eased(text: str) -> str:
    """Return a text with spaces for the punctuation after what may be a token; bytes stay as many.

    Many rules know a token by the quote, the space or the end behind it, as in code. In prose there
    is a comma, a full stop, a bracket or `</think>`.
    """
    if max(map(len, text.split()), default=0) <= _LEAST_TOKEN:
        return text  # which is quick to see, and nearly every text
    return _PUNCTUATION.sub(lambda found: " " * len(found[0].encode()), text)


@cache
def _kingfisher() -> Scanner:
    """Return the scanner with all its rules, compiled here: no cache of theirs is believed."""
    try:
        from kingfisher_sdk import Rules, Scanner
    except ImportError as error:
        raise MissingExtraError("scanning for secrets", "scan") from error
    return Scanner(Rules(cache=False))


def private_keys(text: str) -> Iterator[Finding]:
    """Yield private keys in PEM or PGP armour, with an end or without: their own lines, no more.

    A first line that no key follows, as manuals quote it, is no finding.
    """
    at = 0
    while (begin := _KEY_BEGIN.search(text, at)) is not None:
        at = begin.end()
        end = _end_of_key(text, at)
        if end is not None:
            yield Finding(begin.start(), end, _PRIVATE_KEY, SECRET)
            at = end


def _end_of_key(text: str, at: int) -> int | None:
    """Return where a key ends whose first line ends at `at`; None where none follows."""
    end, length, headers = at, 0, 0
    while True:
        breaks = _LINE_BREAK.match(text, end)
        start = breaks.end() if breaks is not None else end
        closing = _KEY_END.match(text, start)
        if closing is not None:
            return closing.end() if length >= _SURE_LENGTH else None
        may_be_header = not length and headers < _MOST_HEADERS
        header = _KEY_HEADER.match(text, start) if may_be_header else None
        line = header or _KEY_LINE.match(text, start)
        if line is None or (header is None and not _is_key_line(text, line)):
            return end if length >= _SURE_LENGTH else None
        end = line.end()
        headers += header is not None
        length += 0 if header is not None else len(line[0])


def _is_key_line(text: str, line: re.Match[str]) -> bool:
    """Tell a line of a key from a word: by its length, its signs, or the end that follows it."""
    if len(line[0]) >= _SURE_LENGTH:
        return True
    has_signs = _LETTERS_ONLY.fullmatch(line[0]) is None
    if has_signs and (len(line[0]) >= _SHORT_LENGTH or line[0].endswith("=")):
        return True
    breaks = _LINE_BREAK.match(text, line.end())
    return breaks is not None and _KEY_END.match(text, breaks.end()) is not None


def _whole(text: str, start: int, end: int, kind: str) -> Finding:
    """Return a finding with the run of a token's characters that it stands in."""
    first = max(start - _LONGEST_TOKEN, 0)
    while start > first and text[start - 1] in _TOKEN_BEFORE:
        start -= 1
    after = _TOKEN_AFTER.match(text, end, end + _LONGEST_TOKEN)
    return Finding(start, after.end() if after is not None else end, kind, SECRET)


def _kind(rule: str) -> str:
    """Return a rule's name without its catalogue's and its number: `github-pat`."""
    name = re.split(r"[./]", rule.removeprefix("betterleaks."))
    return name[-2] if name[-1].isdigit() and len(name) > 1 else name[-1]

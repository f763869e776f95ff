"""Scans a record for secrets and personal data, and takes them out: pure but for the detectors.

Looked at is every text that reaches the data file through messages: contents, thoughts in them,
names, and each text or long number within a tool call's arguments, as it is once JSON is read.
Definitions of tools are looked at, but never changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from teapot import personaldata, secretscan
from teapot.canonical import dumps, loads
from teapot.errors import MissingExtraError
from teapot.findings import Finding, apart, redacted
from teapot.jsonleaves import leaves
from teapot.model.record import Message
from teapot.personaldata import PersonalScanner
from teapot.secretscan import SecretScanner

_SHOWN = 5
_LONG_NUMBER = 10**12


@dataclass(frozen=True, slots=True)
class Found:
    """One finding of a record, and where its text stands: `messages[1]`, `tools, text 3`."""

    where: str
    finding: Finding
    is_in_tools: bool = False

    def __str__(self) -> str:
        one = self.finding
        return f"{one.kind} at {self.where}, characters {one.start} to {one.end}"


class Scanner:
    """Finds secrets, personal data or both; several threads may use one.

    Raises:
        MissingExtraError: the extra `scan` is not installed.
    """

    def __init__(self, *, secrets: bool = True, personal: bool = True) -> None:
        self._scanners: list[SecretScanner | PersonalScanner] = []
        if secrets:
            self._scanners.append(SecretScanner())
        if personal:
            self._scanners.append(PersonalScanner())

    def findings(self, text: str) -> list[Finding]:
        """Return what is found in a text, in its order; none overlaps another."""
        return apart(found for scanner in self._scanners for found in scanner.findings(text))

    def of_record(self, messages: Iterable[Message], tools: Sequence[Any] | None) -> list[Found]:
        """Return what is found in a record, in its order."""
        found = [
            Found(where, one) for where, text in texts_of(messages) for one in self.findings(text)
        ]
        found += [
            Found(f"tools, text {number}", one, is_in_tools=True)
            for number, text in enumerate(_texts(tools))
            for one in self.findings(text)
        ]
        return found

    def redacted(self, messages: Iterable[Message], reasons: frozenset[str]) -> list[Message]:
        """Return messages without what is found for these reasons; they are not changed."""

        def clean(text: str) -> str:
            return redacted(text, [one for one in self.findings(text) if one.reason in reasons])

        return [_cleaned(message, clean) for message in messages]


def detectors(*, secrets: bool, personal: bool) -> dict[str, str]:
    """Return the version of each detector that decides what is found; imports none of them.

    Raises:
        MissingExtraError: the extra `scan` is not installed.
    """
    names = [*([secretscan.DETECTOR] if secrets else []), *(personaldata.DETECTORS * personal)]
    try:
        return {name: version(name) for name in sorted(names)}
    except PackageNotFoundError as error:
        raise MissingExtraError("scanning for secrets and personal data", "scan") from error


def told(found: Sequence[Found]) -> str:
    """Return findings in words: kinds and places, of many the first ones and how many more."""
    shown = [str(one) for one in found[:_SHOWN]]
    more = [f"and {len(found) - _SHOWN} more"] if len(found) > _SHOWN else []
    return "; ".join([*shown, *more])


def texts_of(messages: Iterable[Message]) -> Iterator[tuple[str, str]]:
    """Yield each text of messages with its place."""
    for index, message in enumerate(messages):
        yield f"messages[{index}]", message["content"]
        if "name" in message:
            yield f"messages[{index}].name", message["name"]
        for number, call in enumerate(message.get("tool_calls", ())):
            arguments = loads(call["function"]["arguments"].encode())
            for place, text in enumerate(_texts(arguments)):
                yield f"messages[{index}].tool_calls[{number}], text {place}", text


def _texts(value: object) -> Iterator[str]:
    """Yield the texts of a JSON value, keys among them, and long numbers as text."""
    for leaf in leaves(value):
        if isinstance(leaf.value, str):
            yield leaf.value
        elif type(leaf.value) is int and leaf.value >= _LONG_NUMBER:
            yield str(leaf.value)


def _cleaned(message: Message, clean: Callable[[str], str]) -> Message:
    changed = message.copy()
    changed["content"] = clean(message["content"])
    if "name" in message:
        changed["name"] = clean(message["name"])
    if "tool_calls" in message:
        changed["tool_calls"] = [
            {**call, "function": {**call["function"], "arguments": _cleaned_json(
                call["function"]["arguments"], clean
            )}}
            for call in message["tool_calls"]
        ]  # fmt: skip
    return changed


def _cleaned_json(text: str, clean: Callable[[str], str]) -> str:
    """Return JSON text with clean texts; as it stands where they were clean already."""
    value = loads(text.encode())
    cleaned = _cleaned_value(value, clean)
    return text if cleaned == value else dumps(cleaned).decode()


def _cleaned_value(value: Any, clean: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, Mapping):
        made: dict[str, Any] = {}
        for key, part in value.items():
            name = clean(key)
            while name in made or (name != key and name in value):
                name += "'"  # two keys that look alike now stay two
            made[name] = _cleaned_value(part, clean)
        return made
    if isinstance(value, Sequence):
        return [_cleaned_value(part, clean) for part in value]
    if type(value) is int and value >= _LONG_NUMBER:
        shown = str(value)
        return value if clean(shown) == shown else clean(shown)
    return value

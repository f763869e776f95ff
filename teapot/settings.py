"""Where two trees of values differ: configs, recipes, locks. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from teapot.model.difference import Setting
from teapot.model.report import decimal_text

_ABSENT = object()


def differing(a: Mapping[str, Any], b: Mapping[str, Any]) -> tuple[Setting, ...]:
    """Return every setting that is not the same on both sides, in the order of their paths.

    What only one side has is one setting, however much lies below it; a list is one value.
    """
    return tuple(_differing(a, b, ""))


def _differing(a: Any, b: Any, path: str) -> Iterator[Setting]:
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        for key in sorted(a.keys() | b.keys()):
            below = f"{path}.{key}" if path else key
            yield from _differing(a.get(key, _ABSENT), b.get(key, _ABSENT), below)
    elif _plain(a) != _plain(b):
        yield Setting(path=path, a=_plain(a), b=_plain(b))


def _plain(value: Any) -> Any:
    """Return a value as JSON has it; a decimal is text, so that 2 and 2.0 are the same."""
    if value is _ABSENT:
        return None
    if isinstance(value, Decimal):
        return decimal_text(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(part) for part in value]
    return value

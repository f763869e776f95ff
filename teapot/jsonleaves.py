"""What a JSON value holds at its ends: keys, texts, numbers, truth values. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple


class Leaf(NamedTuple):
    """One value that holds no other, or the key of one that a mapping holds."""

    value: str | int | float | bool | None
    is_key: bool = False


def leaves(value: Any) -> Iterator[Leaf]:
    """Yield all leaves in order, each key before what it names."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield Leaf(key, is_key=True)
            yield from leaves(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from leaves(item)
    else:
        yield Leaf(value)

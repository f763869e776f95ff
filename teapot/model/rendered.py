"""A conversation as a base writes it: the text a model sees, and the parts it is trained on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class Span(NamedTuple):
    """A part of a text: characters (code points) from `start` up to, not including, `stop`."""

    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Rendered:
    """One rendered conversation.

    `text` begins with the base's own begin-of-sequence token, so it is tokenised with
    `add_special_tokens=False`. `supervised` has one span for each assistant turn, in order and
    apart from each other; each ends with the token that ends the turn.
    """

    text: str
    supervised: tuple[Span, ...]

    @property
    def pieces(self) -> tuple[str, ...]:
        """Return the supervised parts of the text."""
        return tuple(self.text[span.start : span.stop] for span in self.supervised)

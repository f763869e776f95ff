"""One conversation, piece by piece, with what is trained of it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MaskedPiece:
    """A token, or without a tokenizer a stretch of text, in the order of the conversation.

    `text` is what it adds to the text: of several tokens that make up one character, the first has
    it and the others have none. `is_special` tells a control token of the base. `id` is None
    without a tokenizer.
    """

    text: str
    is_trained: bool
    is_special: bool
    id: int | None = None


@dataclass(frozen=True, slots=True)
class MaskedRow:
    """A line of a data file as a base is trained on it; `line` counts from 1."""

    line: int
    base: str
    pieces: tuple[MaskedPiece, ...]

    @property
    def trained(self) -> int:
        """Return how many pieces are trained."""
        return sum(piece.is_trained for piece in self.pieces)

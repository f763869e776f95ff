"""One conversation as a model is trained on it: token ids, and a label for each."""

from __future__ import annotations

from dataclasses import dataclass

IGNORED = -100
"""The label of a token that is not trained; what PyTorch's cross-entropy leaves out by default."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """Token ids of one conversation and their labels, both of shape (tokens,).

    A label is the token's own id where it is trained, else `IGNORED`. Labels are not shifted: the
    model compares each with what it predicts one place before.
    """

    ids: tuple[int, ...]
    labels: tuple[int, ...]

    @property
    def supervised(self) -> int:
        """Return how many tokens are trained."""
        return len(self.labels) - self.labels.count(IGNORED)

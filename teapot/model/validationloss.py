"""The loss on rows that were held out: what a fine-tune found, and what its statement says of it.

A loss is the sum over all supervised tokens of the validation rows, divided by their number. It
stands as decimal text, as all fractions of statements do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self


@dataclass(frozen=True, kw_only=True, slots=True)
class EpochLoss:
    """The loss after a step that ends an epoch or the run; `epoch` counts what has been made."""

    epoch: str
    step: int
    loss: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ValidationLosses:
    """The losses, in the order of steps, and on which rows.

    `encoded_sha256` is the digest of the encoded rows, `rows` their number, `supervised` that of
    the tokens that the losses are means over.
    """

    encoded_sha256: str
    rows: int
    supervised: int
    losses: tuple[EpochLoss, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the losses as JSON values."""
        return {**asdict(self), "losses": list(map(asdict, self.losses))}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Self:
        """Return the losses in JSON values that `to_dict` made."""
        losses = tuple(EpochLoss(**part) for part in value["losses"])
        return cls(**{**value, "losses": losses})


@dataclass(frozen=True, kw_only=True, slots=True)
class ValidationRun(ValidationLosses):
    """What a train statement says of it: the losses, and of which validation file.

    `name` is without folder; `sha256` and `records` are those of the file, of which `rows` may be
    fewer where rows were left out.
    """

    name: str
    sha256: str
    records: int

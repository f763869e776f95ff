"""Rows laid end to end, so that no token of a batch is padding.

Positions begin anew with each row. transformers then keeps rows apart by itself, but only without
an attention mask and without a cache; `teapot_trainers.isolation` shows it on the model at hand.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch

from teapot.model.encoded import IGNORED, Encoded


@dataclass(frozen=True, slots=True)
class FlatBatch:
    """Rows end to end: `ids` and `positions` of shape (1, tokens); `kept` and `targets` (trained,).

    `kept` are the places whose next token is trained, `targets` those tokens: logits are needed at
    no other place.
    """

    ids: torch.Tensor
    positions: torch.Tensor
    kept: torch.Tensor
    targets: torch.Tensor

    def to(self, device: torch.device) -> FlatBatch:
        """Return the batch on a device."""
        parts = (self.ids, self.positions, self.kept, self.targets)
        return FlatBatch(*(part.to(device) for part in parts))


def flatten(rows: Sequence[Encoded]) -> FlatBatch:
    """Return rows end to end; no row predicts the first token of the next."""
    ids: list[int] = []
    positions: list[int] = []
    kept: list[int] = []
    targets: list[int] = []
    for row in rows:
        start = len(ids)
        ids.extend(row.ids)
        positions.extend(range(len(row.ids)))
        for place, label in enumerate(row.labels):
            if place and label != IGNORED:
                kept.append(start + place - 1)
                targets.append(label)
    return FlatBatch(
        torch.tensor([ids], dtype=torch.long), torch.tensor([positions], dtype=torch.long),
        torch.tensor(kept, dtype=torch.long), torch.tensor(targets, dtype=torch.long),
    )  # fmt: skip


def micro_batches(rows: Iterable[Encoded], max_tokens: int) -> Iterator[list[Encoded]]:
    """Yield rows in order, as many at a time as `max_tokens` allow, and one at least."""
    waiting: list[Encoded] = []
    tokens = 0
    for row in rows:
        if waiting and tokens + len(row.ids) > max_tokens:
            yield waiting
            waiting, tokens = [], 0
        waiting.append(row)
        tokens += len(row.ids)
    if waiting:
        yield waiting


def trained_tokens(rows: Iterable[Encoded]) -> int:
    """Return how many tokens of rows are predicted; a row's first one never is."""
    return sum(row.supervised - (row.labels[0] != IGNORED) for row in rows)

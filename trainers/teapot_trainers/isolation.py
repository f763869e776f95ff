"""Shows on a model that rows that lie end to end do not see each other.

With another library, attention or model the rows could leak into one another, and nothing but a
worse model would tell. So it is tried before training: of two rows, other tokens in the first must
not move one logit of the second, to the bit.
"""

from __future__ import annotations

from typing import Any

import torch

from teapot.errors import PluginError
from teapot.model.encoded import Encoded
from teapot_trainers.batching import flatten

_MAX_TOKENS = 64


def require_isolation(model: Any, rows: list[Encoded], device: torch.device) -> None:
    """Refuse a model in which one row of a batch changes what it makes of another.

    Raises:
        PluginError: it does.
    """
    first, second = (_cut(row) for row in (rows[0], rows[-1]))
    pair = flatten([first, second])
    changed = pair.ids.clone()
    changed[0, : len(first.ids)] += 1
    changed %= model.config.vocab_size
    if not torch.equal(changed[0, len(first.ids) :], pair.ids[0, len(first.ids) :]):
        raise PluginError("the rows hold ids that the model does not know")
    was_training = model.training
    model.eval()
    with torch.no_grad():
        logits = [
            model(input_ids=ids.to(device), position_ids=pair.positions.to(device), use_cache=False)
            .logits[0, len(first.ids) :]
            for ids in (pair.ids, changed)
        ]  # fmt: skip
    model.train(was_training)
    if torch.equal(*logits):
        return
    told = "rows of a batch see each other in this model: a change in one moves the next one's"
    raise PluginError(f"{told} logits; try another version of transformers ({_versions()})")


def _cut(row: Encoded) -> Encoded:
    return Encoded(row.ids[:_MAX_TOKENS], row.labels[:_MAX_TOKENS])


def _versions() -> str:
    from importlib.metadata import version

    return ", ".join(f"{name} {version(name)}" for name in ("transformers", "torch"))

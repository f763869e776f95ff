"""transformers' Trainer with Teapot's batches: a step is its examples, whatever fits at a time.

Trainer brings the schedule, the order of rows, clipping, devices and resuming; what is ours is how
the examples of one step go through the model, and checkpoints without pickle.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import Trainer

from teapot.model.encoded import Encoded
from teapot_trainers import checkpoints
from teapot_trainers.batching import flatten, micro_batches, trained_tokens

Rows = Mapping[str, Sequence[Encoded]]


def collate(rows: list[Encoded]) -> dict[str, list[Encoded]]:
    """Return the examples of a step as they are."""
    return {"rows": rows}


class StepTrainer(Trainer):  # type: ignore[misc]  # its types are not read
    """Trains on steps of rows in micro-batches of at most `max_tokens`, exact to the token.

    The loss of a step is the mean over its trained tokens, however they were spread over
    micro-batches and processes.
    """

    def __init__(
        self, *arguments: Any, max_tokens: int, count: Callable[[int, int], None], **named: Any
    ) -> None:
        super().__init__(*arguments, data_collator=collate, **named)
        self._max_tokens, self._count = max_tokens, count

    def training_step(
        self, model: Any, inputs: Rows, num_items_in_batch: Any = None
    ) -> torch.Tensor:
        """Add the gradients of one step's rows, and return its mean loss."""
        model.train()
        rows = inputs["rows"]
        total = torch.tensor(float(trained_tokens(rows)), device=self.args.device)
        total = self.accelerator.reduce(total, reduction="sum")
        batches = list(micro_batches(rows, self._max_tokens))
        loss = torch.zeros((), device=self.args.device)
        for number, batch in enumerate(batches, start=1):
            with self._maybe_unsynced(model, is_last=number == len(batches)):
                part = self._summed_loss(model, batch) / total
                # DDP takes the mean over processes, and this is a sum over them.
                self.accelerator.backward(part * self.accelerator.num_processes)
            loss += part.detach()
        seen = torch.tensor(sum(len(row.ids) for row in rows), device=self.args.device)
        seen = self.accelerator.reduce(seen, reduction="sum")
        self._count(int(seen), int(total))
        mean: torch.Tensor = self.accelerator.reduce(loss, reduction="sum")
        return mean

    def _summed_loss(self, model: Any, rows: Sequence[Encoded]) -> torch.Tensor:
        batch = flatten(rows).to(self.args.device)
        with self.compute_loss_context_manager():
            logits = model(
                input_ids=batch.ids, position_ids=batch.positions, use_cache=False,
                logits_to_keep=batch.kept,
            ).logits[0]  # fmt: skip
        return torch.nn.functional.cross_entropy(logits.float(), batch.targets, reduction="sum")

    def _maybe_unsynced(self, model: Any, *, is_last: bool) -> Any:
        from contextlib import nullcontext

        return nullcontext() if is_last else self.accelerator.no_sync(model)

    # Checkpoints: what Trainer would pickle is written as safetensors and JSON.

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        checkpoints.save_weights(self.accelerator.unwrap_model(self.model), Path(str(output_dir)))

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        target = self.accelerator.unwrap_model(model or self.model)
        checkpoints.load_weights(target, Path(resume_from_checkpoint))

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        if self.args.should_save:
            checkpoints.save_optimizer(self.optimizer, self.lr_scheduler, Path(output_dir))

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        if checkpoint is not None:
            checkpoints.load_optimizer(self.optimizer, self.lr_scheduler, Path(checkpoint))

    def _save_rng_state(self, output_dir: str) -> None:
        checkpoints.save_random(self._own(Path(output_dir)))

    def _load_rng_state(self, checkpoint: str | None) -> None:
        if checkpoint is not None:
            checkpoints.load_random(self._own(Path(checkpoint)))

    def _save_scaler(self, output_dir: str) -> None:
        """Save nothing: bf16 scales no gradients."""

    def _load_scaler(self, checkpoint: str | None) -> None:
        """Load nothing."""

    def _own(self, folder: Path) -> Path:
        """Return the place of this process: each draws from generators of its own."""
        place = folder / f"process-{self.args.process_index}"
        place.mkdir(parents=True, exist_ok=True)
        return place

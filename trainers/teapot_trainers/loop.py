"""transformers' Trainer with Teapot's batches: a step is its examples, whatever fits at a time.

Trainer brings the schedule, the order of rows, clipping, devices and resuming; what is ours is how
the examples of one step go through the model, and checkpoints without pickle.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Protocol

import torch
from torch.utils.data import DataLoader, Dataset
from transformers import Trainer

from teapot.errors import DataError
from teapot.interfaces import Progress, silent
from teapot.model.encoded import Encoded
from teapot_trainers import checkpoints
from teapot_trainers.batching import flatten, micro_batches, trained_tokens
from teapot_trainers.ordering import DrawnSteps, OrderedSteps
from teapot_trainers.sharding import ShardedModel, is_sharded

Rows = Mapping[str, Sequence[Encoded]]


class StepWatch(Protocol):
    """Is told of every step, and says whether to stop; it stops where all processes have agreed."""

    is_asked_to_stop: bool
    is_stopped: bool

    def add(self, tokens: int, supervised: int) -> None:
        """Count the tokens of a step."""


def collate(rows: list[Encoded]) -> dict[str, list[Encoded]]:
    """Return the examples of a step as they are."""
    return {"rows": rows}


class StepLoader(DataLoader):  # type: ignore[misc]  # its types are not read
    """All rows of each step, in every process."""

    def __init__(self, rows: Dataset, steps: DrawnSteps | OrderedSteps) -> None:
        super().__init__(rows, batch_sampler=steps, collate_fn=collate)

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that is read next."""
        self.batch_sampler.set_epoch(epoch)


class StepTrainer(Trainer):  # type: ignore[misc]  # its types are not read
    """Trains on steps of rows in micro-batches of at most `max_tokens`, exact to the token.

    The loss of a step is the mean over its trained tokens, however they were spread over
    micro-batches and processes. Each process gets all rows of a step and trains its share: no row
    is left out and none comes twice. Which rows a step has is for `steps` to say.
    """

    def __init__(
        self, *arguments: Any, max_tokens: int, steps: DrawnSteps | OrderedSteps,
        watch: StepWatch, **named: Any,
    ) -> None:  # fmt: skip
        super().__init__(*arguments, data_collator=collate, **named)
        self._max_tokens, self._steps, self._watch = max_tokens, steps, watch
        self._is_sharded = is_sharded(self.model)

    def get_train_dataloader(self) -> StepLoader:
        """Return the steps of an epoch, or of all epochs where each has an order."""
        return StepLoader(self.train_dataset, self._steps)

    def training_step(
        self, model: Any, inputs: Rows, num_items_in_batch: Any = None
    ) -> torch.Tensor:
        """Add the gradients of one step's rows, and return its mean loss."""
        model.train()
        rows, processes = inputs["rows"], self.accelerator.num_processes
        total = trained_tokens(rows)
        share = rows[self.accelerator.process_index :: processes]
        # DDP takes the mean over processes, and this is a sum over them. A process without a row
        # takes part all the same, or the others would wait for it.
        weight = processes / total if share else 0.0
        batches = list(micro_batches(share or rows[:1], self._max_tokens))
        weights = [weight] * len(batches)
        for _ in range(self._most_batches(rows) - len(batches)):
            batches.append(list(rows[:1]))
            weights.append(0.0)
        loss = torch.zeros((), device=self.args.device)
        for number, (batch, weight) in enumerate(zip(batches, weights, strict=True), start=1):
            with self._maybe_unsynced(model, is_last=number == len(batches)):
                part = self._summed_loss(model, batch) * weight
                self.accelerator.backward(part)
            loss += part.detach() / processes
        mean = self._agreed(loss)
        if not torch.isfinite(mean):
            told = f"the loss of step {self.state.global_step + 1} is {float(mean)}"
            raise DataError(f"{told}: training diverged; lower training.learning_rate")
        self._watch.add(sum(len(row.ids) for row in rows), total)
        return mean

    def mean_loss(self, rows: Sequence[Encoded], progress: Progress = silent) -> float:
        """Return the loss on rows, the mean over all their supervised tokens; nothing is trained.

        Each process makes its share, tells how many micro-batches of it are made, and the sums are
        added up. The order is that of the rows, and what training draws from is left as it was.
        """
        processes, model = self.accelerator.num_processes, self._unwrapped()
        share = rows[self.accelerator.process_index :: processes]
        batches = [(batch, 1.0) for batch in micro_batches(share, self._max_tokens)]
        missing = self._most_batches(rows) - len(batches)
        batches += [(list(rows[:1]), 0.0)] * max(missing, 0)
        summed = torch.zeros((), dtype=torch.float64, device=self.args.device)
        own = [self.args.device] if self.args.device.type == "cuda" else []
        was_training = model.training
        with torch.random.fork_rng(devices=own), torch.no_grad():
            model.eval()
            for number, (batch, weight) in enumerate(batches, start=1):
                summed += self._summed_loss(model, batch).double() * weight
                progress("measure", number, len(batches))
            model.train(was_training)
        return float(self.accelerator.reduce(summed, reduction="sum")) / trained_tokens(rows)

    def _unwrapped(self) -> Any:
        """Return the model as it is called without gradients: DDP, which adds them up, left out."""
        if self._is_sharded:
            return self.model_wrapped
        return self.accelerator.unwrap_model(self.model_wrapped)

    def _most_batches(self, rows: Sequence[Encoded]) -> int:
        """Return how many micro-batches each process makes where all must make as many.

        Processes that lend each other weights meet at every layer, or wait for ever; one with fewer
        micro-batches makes others of no weight. Each knows all rows, and so the number.
        """
        if not self._is_sharded:
            return 0
        processes = self.accelerator.num_processes
        shares = (rows[first::processes] for first in range(processes))
        return max(len(list(micro_batches(share, self._max_tokens))) for share in shares)

    def _agreed(self, loss: torch.Tensor) -> torch.Tensor:
        """Return the sum of all processes' losses; where one was interrupted, all stop."""
        both = torch.stack([loss, torch.tensor(float(self._watch.is_asked_to_stop)).to(loss)])
        summed, stopped = self.accelerator.reduce(both, reduction="sum")
        self._watch.is_stopped = bool(stopped > 0)
        return summed

    def _summed_loss(self, model: Any, rows: Sequence[Encoded]) -> torch.Tensor:
        batch = flatten(rows).to(self.args.device)
        with self.compute_loss_context_manager():
            logits = model(
                input_ids=batch.ids, position_ids=batch.positions, use_cache=False,
                logits_to_keep=batch.kept,
            ).logits[0]  # fmt: skip
        return torch.nn.functional.cross_entropy(logits.float(), batch.targets, reduction="sum")

    def _maybe_unsynced(self, model: Any, *, is_last: bool) -> Any:
        """Add gradients up in each process, and once over all; sharded ones never lie whole."""
        if is_last or self._is_sharded:
            return nullcontext()
        return self.accelerator.no_sync(model)

    def _wrap_model(self, model: Any, *given: Any, **named: Any) -> Any:
        if self._is_sharded and model is self.model:
            return ShardedModel(model, self.accelerator.autocast)
        return super()._wrap_model(model, *given, **named)

    # Checkpoints: what Trainer would pickle is written as safetensors and JSON.

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Save what is trained, gathered from all processes."""
        checkpoints.save_weights(self.accelerator.unwrap_model(self.model), Path(str(output_dir)))

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        target = self.accelerator.unwrap_model(model or self.model)
        checkpoints.load_weights(target, Path(resume_from_checkpoint))

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
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

"""What a trainer is asked to do: a plan, the rows it is for, and where the result goes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from teapot.model.trainplan import TrainPlan

Device = Literal["auto", "cpu", "cuda"]
WORK, JOB, OUTCOME, ROWS = ".work", "job.json", "outcome.json", "rows.arrow"
VALIDATION = "validation.arrow"
"""The working folder in a model folder, what lies in it, and what a run says when it has ended."""
TOKENIZER = "tokenizer"
"""Where the working folder keeps the model's small files for a launcher's machines."""
TOKENIZER_FILES = (
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja",
    "generation_config.json",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class FitJob:
    """A fine-tune to run.

    `rows` is an encoded file with the digest `rows_sha256`, made in this run from data that was
    verified in it. `folder` is the model folder, which holds the plan already; `tokenizer` the
    folder with the model's own small files, `weights` a model folder, whole, or a name on the Hub,
    of which the plan has the revision. With `resume` it goes on after the last checkpoint in
    `work`, and begins where there is none. A checkpoint is saved every `save_steps` steps. Where
    epochs have orders, `work` holds them, too; the plan has their digests. With
    `validation_sha256` it holds the encoded rows of that digest, on which the loss is measured
    after each epoch. That changes nothing of what is trained, and so is no part of the plan.
    """

    plan: TrainPlan
    rows: Path
    rows_sha256: str
    folder: Path
    work: Path
    tokenizer: Path
    weights: str
    offline: bool = False
    device: Device = "auto"
    resume: bool = False
    save_steps: int = 100
    report_to: tuple[str, ...] = ()
    validation_sha256: str | None = None

    @property
    def orders(self) -> tuple[Path, ...]:
        """Return where the orders of the epochs lie, in the order of epochs; none without."""
        numbers = range(1, len(self.plan.orders) + 1)
        return tuple(self.work / f"epoch-{number}.order" for number in numbers)

    @property
    def validation(self) -> Path:
        """Return where the encoded validation rows lie, if there are any."""
        return self.work / VALIDATION

    def to_dict(self, plan_sha256: str) -> dict[str, Any]:
        """Return the job as JSON values, for another process to read."""
        made = {
            "plan_sha256": plan_sha256, "weights": self.weights, "offline": self.offline,
            "rows_sha256": self.rows_sha256, "device": self.device, "save_steps": self.save_steps,
            "report_to": list(self.report_to),
        }  # fmt: skip
        held = {"validation_sha256": self.validation_sha256}
        return made if self.validation_sha256 is None else {**made, **held}

    @classmethod
    def from_dict(
        cls, value: Mapping[str, Any], plan: TrainPlan, folder: Path, *, resume: bool
    ) -> FitJob:
        """Return the job that was prepared in a model folder."""
        return cls(
            plan=plan, weights=value["weights"], offline=value["offline"],
            rows=folder / WORK / ROWS,
            rows_sha256=value["rows_sha256"], folder=folder, work=folder / WORK,
            tokenizer=folder / WORK / TOKENIZER, device=value["device"], resume=resume,
            save_steps=value["save_steps"], report_to=tuple(value["report_to"]),
            validation_sha256=value.get("validation_sha256"),
        )  # fmt: skip

"""What a fine-tune reports when it ends; what is written about it is made of this and the plan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from teapot.model.validationloss import ValidationLosses


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainOutcome:
    """How a fine-tune went.

    `weights` are the names of the files with trained weights in the model folder; `base_weights`
    has the SHA-256 of each weight file of the base that was loaded. `data_sha256` is that of the
    data file, which was hashed while its rows were encoded; `encoded_sha256` is the digest of the
    encoded rows that were trained. `final_loss` is decimal text; `tokens` counts those of all
    steps, `supervised` those of them that were trained. `validation` has the losses on rows that
    were held out, None where none were asked for.
    """

    steps: int
    final_loss: str
    tokens: int
    supervised: int
    seconds: int
    device: str
    data_sha256: str
    encoded_sha256: str
    weights: tuple[str, ...]
    base_weights: Mapping[str, str]
    versions: Mapping[str, str]
    validation: ValidationLosses | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the outcome as JSON values."""
        made = {
            **asdict(self), "weights": list(self.weights),
            "base_weights": dict(self.base_weights), "versions": dict(self.versions),
        }  # fmt: skip
        del made["validation"]
        if self.validation is not None:
            made["validation"] = self.validation.to_dict()
        return made

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> TrainOutcome:
        """Return the outcome in JSON values that `to_dict` made."""
        made = {**value, "weights": tuple(value["weights"])}
        if "validation" in value:
            made["validation"] = ValidationLosses.from_dict(value["validation"])
        return cls(**made)

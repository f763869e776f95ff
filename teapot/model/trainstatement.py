"""The train statement: from what, by which numbers and to which weights a model was fine-tuned.

Sources: in-toto attestation framework, Statement v1; SLSA v1.0 provenance, whose extension fields
bear their maker's name (`teapot_training`). The file is this value as JSON with sorted keys,
indented by two spaces, LF at the end: those bytes are what is hashed and signed. Fractions are
text, so that no number is printed in two ways.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from teapot.canonical import dumps_readable
from teapot.digest import sha256_hex
from teapot.model.manifest import BUILDER_ID, PREDICATE_TYPE, STATEMENT_TYPE, Manifest
from teapot.model.trainoutcome import TrainOutcome
from teapot.model.trainplan import Hyperparameters, TrainPlan
from teapot.model.validationloss import ValidationLosses, ValidationRun

BUILD_TYPE = "https://w3id.org/teapot/train/v1"
STATEMENT, STATEMENT_BUNDLE = "train.statement.json", "train.statement.sigstore.json"
CARD, PLAN = "README.md", "plan.json"
MODEL_FILES = (STATEMENT, STATEMENT_BUNDLE, CARD, PLAN)
"""What a signature over a model folder must cover, beside the weights that a statement names."""
HUB = "hf://"
_OTHERS = 6
"""Dependencies that every statement has; behind them come the orders of epochs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainedOrder:
    """The order of an epoch that was trained: its file's name without folder, and SHA-256."""

    name: str
    sha256: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Composed:
    """The composition that was trained on: names without folder, digests, lines of the data.

    `orders` are those of the epochs that were trained, none where epochs have none.
    """

    manifest: str
    manifest_sha256: str
    data: str
    data_sha256: str
    records: int
    orders: tuple[TrainedOrder, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class StartingPoint:
    """The model before training: `OWNER/NAME` at a commit, or a folder's name and no revision.

    `weights` has the SHA-256 of each of its weight files.
    """

    model: str
    revision: str | None
    weights: Mapping[str, str]
    config_sha256: str
    tokenizer_sha256: str
    own_template_sha256: str
    training_template_sha256: str


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainRun:
    """How the fine-tune went; `final_loss` is decimal text, digests are SHA-256 in hex.

    Where the loss on held-out rows was not measured, there is no `validation`, nor a word of it.
    """

    plan_sha256: str
    encoded_sha256: str
    steps: int
    tokens: int
    supervised: int
    final_loss: str
    device: str
    seconds: int
    validation: ValidationRun | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        made = asdict(replace(self, validation=None))
        del made["validation"]
        return (
            made if self.validation is None else {**made, "validation": self.validation.to_dict()}
        )

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> TrainRun:
        """Return what `to_dict` made JSON values of."""
        if "validation" not in value:
            return cls(**value)
        return cls(**{**value, "validation": ValidationRun.from_dict(value["validation"])})


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainStatement:
    """Everything a train statement states; `weights` has the SHA-256 of each weight file."""

    weights: Mapping[str, str]
    base: str
    lora_targets: tuple[str, ...]
    hyperparameters: Hyperparameters
    composed: Composed
    start: StartingPoint
    run: TrainRun
    versions: Mapping[str, str]

    @classmethod
    def of(
        cls, plan: TrainPlan, outcome: TrainOutcome, *, manifest: Manifest,
        weights: Mapping[str, str], versions: Mapping[str, str],
    ) -> TrainStatement:  # fmt: skip
        """Return the statement of a fine-tune; a model's folder is named without its path."""
        model = plan.model if plan.revision is not None else Path(plan.model).name
        return cls(
            weights=weights, base=plan.base, lora_targets=plan.lora_targets,
            hyperparameters=plan.hyperparameters,
            composed=Composed(
                manifest=f"{manifest.data.name.removesuffix('.jsonl')}.manifest.json",
                manifest_sha256=plan.manifest_sha256, data=manifest.data.name,
                data_sha256=outcome.data_sha256, records=manifest.data.records,
                orders=tuple(
                    TrainedOrder(name=stated.name, sha256=planned.sha256)
                    for stated, planned in zip(manifest.orders, plan.orders, strict=False)
                ),
            ),
            start=StartingPoint(
                model=model, revision=plan.revision, weights=outcome.base_weights,
                config_sha256=plan.model_config_sha256,
                tokenizer_sha256=plan.tokenizer_sha256,
                own_template_sha256=plan.own_template_sha256,
                training_template_sha256=plan.training_template_sha256,
            ),
            run=TrainRun(
                plan_sha256=plan_sha256(plan), encoded_sha256=outcome.encoded_sha256,
                steps=outcome.steps, tokens=outcome.tokens, supervised=outcome.supervised,
                final_loss=outcome.final_loss, device=outcome.device, seconds=outcome.seconds,
                validation=_validation_run(outcome.validation, manifest),
            ),
            versions={**plan.versions, **outcome.versions, **versions},
        )  # fmt: skip

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> TrainStatement:
        """Return the statement in JSON values that fit its schema."""
        predicate = value["predicate"]
        build = predicate["buildDefinition"]
        given = build["externalParameters"]
        found = {part["name"]: part for part in build["resolvedDependencies"]}
        orders = build["resolvedDependencies"][_OTHERS:]
        digests = {name: part["digest"]["sha256"] for name, part in found.items()}
        return cls(
            weights={part["name"]: part["digest"]["sha256"] for part in value["subject"]},
            base=given["base"], lora_targets=tuple(given["lora_targets"]),
            hyperparameters=Hyperparameters(**given["hyperparameters"]),
            composed=Composed(
                manifest=found["manifest"]["uri"], manifest_sha256=digests["manifest"],
                data=found["data"]["uri"], data_sha256=digests["data"],
                records=found["data"]["annotations"]["records"],
                orders=tuple(
                    TrainedOrder(name=part["uri"], sha256=part["digest"]["sha256"])
                    for part in orders
                ),
            ),
            start=StartingPoint(
                model=found["model"]["uri"].removeprefix(HUB),
                revision=found["model"]["annotations"]["revision"],
                weights=found["model"]["annotations"]["weights"], config_sha256=digests["model"],
                tokenizer_sha256=digests["tokenizer"],
                own_template_sha256=digests["chat-template"],
                training_template_sha256=digests["training-template"],
            ),
            run=TrainRun.from_dict(predicate["teapot_training"]),
            versions=predicate["runDetails"]["builder"]["version"],
        )  # fmt: skip

    def to_bytes(self) -> bytes:
        """Return the bytes of the statement file."""
        return dumps_readable(self.to_dict())

    def sha256(self) -> str:
        """Return the SHA-256 of the statement file."""
        return sha256_hex(self.to_bytes())

    def to_dict(self) -> dict[str, Any]:
        """Return the statement as JSON values."""
        return {
            "_type": STATEMENT_TYPE,
            "subject": [digest_of(name, digest) for name, digest in sorted(self.weights.items())],
            "predicateType": PREDICATE_TYPE,
            "predicate": {
                "buildDefinition": {
                    "buildType": BUILD_TYPE,
                    "externalParameters": {
                        "base": self.base,
                        "lora_targets": list(self.lora_targets),
                        "hyperparameters": asdict(self.hyperparameters),
                    },
                    "resolvedDependencies": self._dependencies(),
                },
                "runDetails": {"builder": {"id": BUILDER_ID, "version": dict(self.versions)}},
                "teapot_training": self.run.to_dict(),
            },
        }

    def _dependencies(self) -> list[dict[str, Any]]:
        composed, start = self.composed, self.start
        data = digest_of("data", composed.data_sha256, composed.data)
        model = digest_of("model", start.config_sha256, model_uri(start.model, start.revision))
        return [
            digest_of("manifest", composed.manifest_sha256, composed.manifest),
            {**data, "annotations": {"records": composed.records}},
            {
                **model,
                "annotations": {
                    "digest_of": "config.json",
                    "revision": start.revision,
                    "weights": dict(start.weights),
                },
            },
            digest_of("tokenizer", start.tokenizer_sha256),
            digest_of("chat-template", start.own_template_sha256),
            digest_of("training-template", start.training_template_sha256),
            *(
                digest_of(f"order-{epoch}", order.sha256, order.name)
                for epoch, order in enumerate(composed.orders, start=1)
            ),
        ]


def _validation_run(found: ValidationLosses | None, manifest: Manifest) -> ValidationRun | None:
    held = manifest.validation
    if found is None or held is None:
        return None
    return ValidationRun(
        name=held.name, sha256=held.sha256, records=held.records, losses=found.losses,
        encoded_sha256=found.encoded_sha256, rows=found.rows, supervised=found.supervised,
    )  # fmt: skip


def plan_sha256(plan: TrainPlan) -> str:
    """Return the SHA-256 of a plan's file."""
    return sha256_hex(dumps_readable(plan.to_dict()))


def model_uri(model: str, revision: str | None) -> str:
    """Return what a statement calls a model: `hf://OWNER/NAME`, or the name of a folder."""
    return model if revision is None else f"{HUB}{model}"


def digest_of(name: str, sha256: str, uri: str | None = None) -> dict[str, Any]:
    """Return a ResourceDescriptor of in-toto: what something is named, and its SHA-256."""
    made: dict[str, Any] = {"name": name, "digest": {"sha256": sha256}}
    return made if uri is None else {**made, "uri": uri}

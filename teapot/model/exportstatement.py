"""The export statement: from which trained weights and which base another form was made.

The form is that of the train statement (in-toto Statement v1, SLSA v1.0 provenance, sorted keys,
fractions as text). It names the train statement by its digest, and so leads to the data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from teapot.canonical import dumps_readable
from teapot.digest import sha256_hex
from teapot.model.exportjob import ExportOutcome, LogitCheck
from teapot.model.manifest import BUILDER_ID, PREDICATE_TYPE, STATEMENT_TYPE
from teapot.model.trainstatement import HUB, STATEMENT, TrainStatement, digest_of, model_uri

EXPORT_TYPE = "https://w3id.org/teapot/export/v1"
EXPORT, EXPORT_BUNDLE = "export.statement.json", "export.statement.sigstore.json"
EXPORT_FILES = (EXPORT, EXPORT_BUNDLE)
"""What a signature over an exported model must cover too."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportStatement:
    """Everything an export statement states; mappings have the SHA-256 of each file by its name.

    `model` and `revision` name the base as the train statement does; `adapter` are the weights
    that were trained.
    """

    format: str
    dtype: str
    weights: Mapping[str, str]
    train_statement_sha256: str
    adapter: Mapping[str, str]
    model: str
    revision: str | None
    config_sha256: str
    base_weights: Mapping[str, str]
    check: LogitCheck
    device: str
    versions: Mapping[str, str]

    @classmethod
    def of(
        cls, trained: TrainStatement, outcome: ExportOutcome, *, weights: Mapping[str, str],
        versions: Mapping[str, str],
    ) -> ExportStatement:  # fmt: skip
        """Return the statement of an export of what a train statement is about.

        The base's weights were compared with the train statement's.
        """
        start = trained.start
        return cls(
            format=outcome.format, dtype=outcome.dtype, weights=weights,
            train_statement_sha256=trained.sha256(), adapter=trained.weights, model=start.model,
            revision=start.revision, config_sha256=start.config_sha256,
            base_weights=start.weights, check=outcome.check, device=outcome.device,
            versions={**outcome.versions, **versions},
        )  # fmt: skip

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> ExportStatement:
        """Return the statement in JSON values that fit its schema."""
        predicate = value["predicate"]
        build = predicate["buildDefinition"]
        trained, model = build["resolvedDependencies"]
        told = predicate["teapot_export"]
        return cls(
            **build["externalParameters"],
            weights={part["name"]: part["digest"]["sha256"] for part in value["subject"]},
            train_statement_sha256=trained["digest"]["sha256"],
            adapter=trained["annotations"]["weights"],
            model=model["uri"].removeprefix(HUB), revision=model["annotations"]["revision"],
            config_sha256=model["digest"]["sha256"], base_weights=model["annotations"]["weights"],
            check=LogitCheck(**told["check"]), device=told["device"],
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
        trained = digest_of("train-statement", self.train_statement_sha256, STATEMENT)
        model = digest_of("model", self.config_sha256, model_uri(self.model, self.revision))
        about_model = {
            "digest_of": "config.json", "revision": self.revision,
            "weights": dict(self.base_weights),
        }  # fmt: skip
        return {
            "_type": STATEMENT_TYPE,
            "subject": [digest_of(name, digest) for name, digest in sorted(self.weights.items())],
            "predicateType": PREDICATE_TYPE,
            "predicate": {
                "buildDefinition": {
                    "buildType": EXPORT_TYPE,
                    "externalParameters": {"format": self.format, "dtype": self.dtype},
                    "resolvedDependencies": [
                        {**trained, "annotations": {"weights": dict(self.adapter)}},
                        {**model, "annotations": about_model},
                    ],
                },
                "runDetails": {"builder": {"id": BUILDER_ID, "version": dict(self.versions)}},
                "teapot_export": {"check": asdict(self.check), "device": self.device},
            },
        }

"""The manifest: an in-toto Statement v1 whose predicate is SLSA provenance v1.

Sources: in-toto attestation framework, Statement v1; SLSA v1.0 provenance, whose extension fields
bear their maker's name (`teapot_composition`). The file is this value as JSON with sorted keys,
indented by two spaces, LF at the end: those bytes are what is hashed and signed. It holds no clock,
host, user or path, so anyone with the same config, sources and Teapot version makes the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from teapot.canonical import dumps_readable
from teapot.model.recipe import Recipe
from teapot.model.report import MixReport, ModuleReport, SourceReport, decimal_text

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://slsa.dev/provenance/v1"
BUILD_TYPE = "https://w3id.org/teapot/compose/v1"
BUILDER_ID = "https://w3id.org/teapot"


@dataclass(frozen=True, kw_only=True, slots=True)
class DataFile:
    """The data file: name without folder, SHA-256, size, lines, and the tree over their digests."""

    name: str
    sha256: str
    bytes: int
    records: int
    merkle_root: str


@dataclass(frozen=True, kw_only=True, slots=True)
class LedgerFile:
    """The ledger: name without folder, rows, and their SHA-256 as canonical JSON lines."""

    name: str
    rows: int
    rows_sha256: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """Everything a manifest states."""

    data: DataFile
    ledger: LedgerFile
    recipe: Recipe
    report: MixReport
    versions: Mapping[str, str]
    tokenizer: str | None

    def to_bytes(self) -> bytes:
        """Return the bytes of the manifest file."""
        return dumps_readable(self.to_dict())

    def to_dict(self) -> dict[str, Any]:
        """Return the statement as JSON values."""
        return {
            "_type": STATEMENT_TYPE,
            "subject": [{"name": self.data.name, "digest": {"sha256": self.data.sha256}}],
            "predicateType": PREDICATE_TYPE,
            "predicate": {
                "buildDefinition": {
                    "buildType": BUILD_TYPE,
                    "externalParameters": {
                        "recipe": self.recipe.to_dict(),
                        "recipe_sha256": self.recipe.sha256(),
                    },
                    "resolvedDependencies": [_dependency(s) for s in self.report.sources],
                },
                "runDetails": {"builder": {"id": BUILDER_ID, "version": dict(self.versions)}},
                "teapot_composition": self._composition(),
            },
        }

    def _composition(self) -> dict[str, Any]:
        data = {key: value for key, value in asdict(self.data).items() if key != "name"}
        total = self.report.total
        return {
            "data": {**data, "characters": total.characters, "tokens": total.tokens},
            "ledger": asdict(self.ledger),
            "duplicates": {
                "groups": self.report.duplicate_groups,
                "records": self.report.duplicate_records,
            },
            "licenses": {name: asdict(part) for name, part in self.report.licenses.items()},
            "modules": [_module(module) for module in self.report.modules],
            "seed": self.recipe.seed,
            "tokenizer": self.tokenizer,
        }


def _dependency(source: SourceReport) -> dict[str, Any]:
    return {
        "name": f"{source.module} {source.id}",
        "uri": source.uri,
        "digest": {"sha256": source.sha256},
        "annotations": {
            "bytes": source.bytes,
            "digest_of": source.digest_of,
            "revision": source.revision,
            "rows": source.rows,
        },
    }


def _module(module: ModuleReport) -> dict[str, Any]:
    return {**asdict(module), "weight": decimal_text(module.weight)}

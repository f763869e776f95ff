"""The manifest: an in-toto Statement v1 whose predicate is SLSA provenance v1.

Sources: in-toto attestation framework, Statement v1; SLSA v1.0 provenance, whose extension fields
bear their maker's name (`teapot_composition`). The file is this value as JSON with sorted keys,
indented by two spaces, LF at the end: those bytes are what is hashed and signed. It holds no clock,
host, user or path, so anyone with the same config, sources and Teapot version makes the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from decimal import Decimal
from typing import Any

from teapot.canonical import dumps_readable
from teapot.model.attribution import Attribution
from teapot.model.recipe import Recipe
from teapot.model.report import (
    Amount,
    CurationReport,
    MixReport,
    ModuleReport,
    SourceReport,
)

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://slsa.dev/provenance/v1"
BUILD_TYPE = "https://w3id.org/teapot/compose/v1"
BUILDER_ID = "https://w3id.org/teapot"


@dataclass(frozen=True, kw_only=True, slots=True)
class Shard:
    """One of the files that the data file was cut into: name without folder, SHA-256, size, lines.

    `shards` says which name and which lines a shard has.
    """

    name: str
    sha256: str
    bytes: int
    records: int


@dataclass(frozen=True, kw_only=True, slots=True)
class DataFile:
    """The data file: name without folder, SHA-256, size, lines, and the tree over their digests.

    `contents` counts the unlike contents in it, and `contents_root` is the root of the tree over
    their digests in ascending order, from which the absence of a content can be proven. Where
    there are `shards`, they lie there instead, and the data file is what they are end to end. A
    validation file is told of in the same way, and never cut.
    """

    name: str
    sha256: str
    bytes: int
    records: int
    merkle_root: str
    contents: int
    contents_root: str
    shards: tuple[Shard, ...] = ()


_DATA_KEYS = tuple(part.name for part in fields(DataFile) if part.name not in ("name", "shards"))


@dataclass(frozen=True, kw_only=True, slots=True)
class OrderFile:
    """The order of one epoch: name without folder, SHA-256, size, and how many examples it has.

    It holds the line of each example in the data, from 0, as a little-endian 32-bit number.
    """

    name: str
    sha256: str
    bytes: int
    examples: int


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
    attribution: Attribution | None = None
    validation: DataFile | None = None
    orders: tuple[OrderFile, ...] = ()

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Manifest:
        """Return the manifest in JSON values that fit its schema.

        What a statement says twice is taken from one place: `to_bytes` gives the bytes of a
        manifest that contradicts itself nowhere.
        """
        build = value["predicate"]["buildDefinition"]
        stated = value["predicate"]["teapot_composition"]
        recipe = Recipe.from_dict(build["externalParameters"]["recipe"])
        data = {key: stated["data"][key] for key in _DATA_KEYS}
        return cls(
            data=DataFile(
                name=value["subject"][0]["name"],
                shards=tuple(Shard(**shard) for shard in stated["data"].get("shards", ())),
                **data,
            ),
            ledger=LedgerFile(**stated["ledger"]),
            recipe=recipe,
            report=_report(stated, build["resolvedDependencies"], recipe),
            versions=value["predicate"]["runDetails"]["builder"]["version"],
            tokenizer=stated["tokenizer"],
            attribution=Attribution.from_dict(stated["attribution"])
            if "attribution" in stated
            else None,
            validation=DataFile(**stated["validation"]) if "validation" in stated else None,
            orders=tuple(OrderFile(**order) for order in stated.get("orders", ())),
        )

    def to_bytes(self) -> bytes:
        """Return the bytes of the manifest file."""
        return dumps_readable(self.to_dict())

    def to_dict(self) -> dict[str, Any]:
        """Return the statement as JSON values."""
        held = [self.validation] if self.validation else []
        files: list[DataFile | Shard] = [self.data, *self.data.shards, *held]
        return {
            "_type": STATEMENT_TYPE,
            "subject": [*map(_subject, files), *map(_subject, self.orders)],
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
                "runDetails": {
                    "builder": {"id": BUILDER_ID, "version": dict(self.versions)},
                    **self._byproducts(),
                },
                "teapot_composition": self._composition(),
            },
        }

    def _byproducts(self) -> dict[str, Any]:
        """Return the files that were written beside; none is told where none was asked for."""
        made = self.attribution
        if made is None:
            return {}
        return {"byproducts": [{"name": made.name, "digest": {"sha256": made.sha256}}]}

    def _composition(self) -> dict[str, Any]:
        data = {key: getattr(self.data, key) for key in _DATA_KEYS}
        if self.data.shards:  # a manifest without shards is what it was before there were any
            data["shards"] = [asdict(shard) for shard in self.data.shards]
        total = self.report.total
        attribution, held = self.attribution, self.validation
        return {
            **({"attribution": attribution.to_dict()} if attribution is not None else {}),
            **({"validation": told_of(held)} if held is not None else {}),
            "data": {**data, "characters": total.characters, "tokens": total.tokens},
            "ledger": asdict(self.ledger),
            "duplicates": {
                "groups": self.report.duplicate_groups,
                "records": self.report.duplicate_records,
                **self._near(),
            },
            "licenses": {name: asdict(part) for name, part in self.report.licenses.items()},
            "modules": [module.to_dict() for module in self.report.modules],
            **({"orders": list(map(asdict, self.orders))} if self.orders else {}),
            "seed": self.recipe.seed,
            "tokenizer": self.tokenizer,
        }

    def _near(self) -> dict[str, int]:
        near = self.report.near_duplicates
        return {} if near is None else {"near": near}


def told_of(validation: DataFile) -> dict[str, Any]:
    """Return what a manifest says of a validation file, as JSON values."""
    return {"name": validation.name, **{key: getattr(validation, key) for key in _DATA_KEYS}}


def _subject(part: DataFile | Shard | OrderFile) -> dict[str, Any]:
    return {"name": part.name, "digest": {"sha256": part.sha256}}


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


def _module_report(value: Mapping[str, Any]) -> ModuleReport:
    read = dict(value)
    if "weight" in read:
        read["weight"] = Decimal(read["weight"])
    if "curation" in read:
        read["curation"] = CurationReport(**read["curation"])
    return ModuleReport(**read)


def _report(
    stated: Mapping[str, Any], dependencies: Sequence[Mapping[str, Any]], recipe: Recipe
) -> MixReport:
    kinds = {(m.name, source.id): source.kind for m in recipe.modules for source in m.sources}
    data = stated["data"]
    return MixReport(
        modules=tuple(map(_module_report, stated["modules"])),
        sources=tuple(_source(dependency, kinds) for dependency in dependencies),
        licenses={name: Amount(**part) for name, part in stated["licenses"].items()},
        total=Amount(lines=data["records"], characters=data["characters"], tokens=data["tokens"]),
        duplicate_groups=stated["duplicates"]["groups"],
        duplicate_records=stated["duplicates"]["records"],
        near_duplicates=stated["duplicates"].get("near"),
        warnings=(),
        split=(recipe.split or {}).get("validation"),
        epochs=recipe.epoch_count,
    )


def _source(dependency: Mapping[str, Any], kinds: Mapping[tuple[str, str], str]) -> SourceReport:
    module, _, identity = dependency["name"].partition(" ")
    return SourceReport(
        module=module, id=identity, kind=kinds.get((module, identity), ""),
        uri=dependency["uri"], sha256=dependency["digest"]["sha256"], expected=None,
        **dependency["annotations"],
    )  # fmt: skip

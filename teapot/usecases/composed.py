"""What `plan` and `compose` come to, as values that a command shows."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from teapot.files import OutputPaths
from teapot.model.attribution import Attribution
from teapot.model.manifest import DataFile, LedgerFile, OrderFile, told_of
from teapot.model.recipe import Recipe
from teapot.model.report import MixReport

if TYPE_CHECKING:
    pass


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What a mix would be: nothing was written."""

    name: str
    config: Path
    recipe: Recipe
    report: MixReport

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as JSON values."""
        return {
            "name": self.name,
            "recipe_sha256": self.recipe.sha256(),
            **self.report.to_dict(),
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Composition:
    """What a mix is: the files that were written, and their hashes as 64 hex digits."""

    name: str
    paths: OutputPaths
    data: DataFile
    ledger: LedgerFile
    manifest_sha256: str
    is_signed: bool
    recipe_sha256: str
    report: MixReport
    attribution: Attribution | None = None
    validation: DataFile | None = None
    orders: tuple[OrderFile, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the composition as JSON values."""
        made = self.attribution
        path = str(self.paths.attribution)
        return {
            "name": self.name,
            "data": {
                "path": str(self.paths.data), "sha256": self.data.sha256,
                "bytes": self.data.bytes, "records": self.data.records,
                "merkle_root": self.data.merkle_root, **self._shards(),
            },
            "ledger": {
                "path": str(self.paths.ledger), "rows": self.ledger.rows,
                "rows_sha256": self.ledger.rows_sha256,
            },
            "manifest": {"path": str(self.paths.manifest), "sha256": self.manifest_sha256},
            "signature": {"path": str(self.paths.bundle)} if self.is_signed else None,
            **({"attribution": {"path": path, "sha256": made.sha256}} if made else {}),
            **self._validation(),
            **self._orders(),
            "recipe_sha256": self.recipe_sha256,
            **self.report.to_dict(),
        }  # fmt: skip

    def _validation(self) -> dict[str, Any]:
        held = self.validation
        if held is None:
            return {}
        return {"validation": {**told_of(held), "path": str(self.paths.validation)}}

    def _orders(self) -> dict[str, Any]:
        files = zip(self.orders, self.paths.orders(len(self.orders)), strict=True)
        told = [{**asdict(order), "path": str(path)} for order, path in files]
        return {"orders": told} if told else {}

    def _shards(self) -> dict[str, Any]:
        shards = self.data.shards
        files = zip(shards, self.paths.shards(len(shards)), strict=True)
        told = [{**asdict(shard), "path": str(path)} for shard, path in files]
        return {"shards": told} if told else {}

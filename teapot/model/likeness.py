"""When two records count as duplicates of each other, and how a recipe says so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

from teapot.model.report import decimal_text

Match = Literal["exact", "normalized", "near"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Near:
    """What is near: a Jaccard similarity of `threshold` at least, by MinHash.

    Two records are compared by the sets of their runs of `ngram` words, of which `permutations`
    minima are kept; `seed` chooses the permutations.
    """

    threshold: Decimal = Decimal("0.8")
    ngram: int = 5
    permutations: int = 128
    seed: int = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Likeness:
    """What is a duplicate: an equal content, equal words in all turns, or words that are near."""

    match: Match = "exact"
    near: Near = field(default_factory=Near)

    @property
    def is_exact(self) -> bool:
        """Tell whether only equal contents are duplicates."""
        return self.match == "exact"

    def written(self, bands: tuple[int, int] | None) -> dict[str, str] | None:
        """Return it as a recipe has it, None where only equal contents are duplicates.

        `bands` is how many bands signatures are cut into, and of how many minima each is.
        """
        if self.is_exact:
            return None
        if self.match == "normalized" or bands is None:
            return {"match": self.match}
        near = self.near
        return {
            "match": self.match, "threshold": decimal_text(near.threshold),
            "ngram": str(near.ngram), "permutations": str(near.permutations),
            "seed": str(near.seed), "bands": str(bands[0]), "rows": str(bands[1]),
        }  # fmt: skip

    @classmethod
    def from_written(cls, value: Mapping[str, str] | None) -> Likeness:
        """Return what a recipe says, in its `likeness` or its `split`."""
        if value is None or "match" not in value:
            return cls()
        if value["match"] != "near":
            return cls(match="normalized")
        near = Near(
            threshold=Decimal(value["threshold"]), ngram=int(value["ngram"]),
            permutations=int(value["permutations"]), seed=int(value["seed"]),
        )  # fmt: skip
        return cls(match="near", near=near)

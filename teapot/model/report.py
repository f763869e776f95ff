"""What a mix is in numbers: the same in `plan`, in the closing table and in the manifest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceReport:
    """One source as it was read; `expected` rows are what its module declares."""

    module: str
    id: str
    kind: str
    uri: str
    revision: str | None
    sha256: str
    bytes: int
    rows: int
    digest_of: str
    expected: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class CurationReport:
    """What reviewers' verdicts came to; `verdicts` sum to matched + orphans.

    `verdicts` counts records by what was decided of them, `rows` the rows that passed every check
    by what was done with them, those that nobody reviewed among them.
    """

    verdicts: Mapping[str, int]
    matched: int
    orphans: int
    rows: Mapping[str, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class ModuleReport:
    """One module's part. Always: read = kept + unused + sum(dropped)."""

    name: str
    version: str
    weight: Decimal
    read: int
    dropped: Mapping[str, int]
    repaired: Mapping[str, int]
    usable: int
    kept: int
    unused: int
    lines: int
    characters: int
    tokens: int | None
    cutoff: str | None
    curation: CurationReport | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Amount:
    """How much of something is in the output."""

    lines: int
    characters: int
    tokens: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class MixReport:
    """A whole mix: modules in the order of their names, licences, duplicates, warnings."""

    modules: tuple[ModuleReport, ...]
    sources: tuple[SourceReport, ...]
    licenses: Mapping[str, Amount]
    total: Amount
    duplicate_groups: int
    duplicate_records: int
    warnings: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON values; decimals become text."""
        value: dict[str, Any] = asdict(self)
        for module in value["modules"]:
            module["weight"] = decimal_text(module["weight"])
            if module["curation"] is None:
                del module["curation"]
        return value


def decimal_text(number: Decimal) -> str:
    """Return a decimal without exponent and without needless zeros: `0.3`, `1`, `2.5`."""
    text = format(number.normalize(), "f")
    return "0" if text == "-0" else text

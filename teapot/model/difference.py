"""What two sides of a `teapot diff` have in common and what not, as values.

`a` is the side named first, `b` the other. `schemas/diff.schema.json` describes the same as JSON.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

FORMAT = "teapot/diff/v1"


@dataclass(frozen=True, kw_only=True, slots=True)
class DiffSide:
    """One side: what it is, whether somebody trusted vouches for it, and what became of its ledger.

    `kind` is `composition`, `model`, `config` or `lock`. `trust` is `signed` by a trusted key,
    `untrusted`, `unsigned`, or `none` where there is nothing to sign; `trust_told` says by whom or
    why. `ledger` is `verified` where its rows have the digest that the manifest states, `absent`,
    `unread` where the other side's is, or `none` where the kind has none.
    """

    target: str
    kind: str
    trust: str
    trust_told: str
    ledger: str
    manifest_sha256: str | None
    data_sha256: str | None
    ledger_sha256: str | None
    lines: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Setting:
    """One value that differs; a side that does not have it has None."""

    path: str
    a: Any
    b: Any


@dataclass(frozen=True, kw_only=True, slots=True)
class RowFound:
    """A row of a ledger: where it was read, and on how many lines of the mix it is."""

    id: str | None
    source: str
    row: int
    content_sha256: str | None
    lines: int


@dataclass(frozen=True, kw_only=True, slots=True)
class RowExample:
    """One row of a kind of change, as each side has it; None where a side does not."""

    a: RowFound | None
    b: RowFound | None


@dataclass(frozen=True, kw_only=True, slots=True)
class RowChanges:
    """How the rows that were read of one module differ.

    Always: rows read on side a = same + changed + removed, on side b = same + changed + added. Of
    the rows on both sides, `entered` are in the mix of b alone, `left` in that of a alone,
    `recounted` in both but on another number of lines, `relicensed` under another licence.
    """

    same: int
    changed: int
    added: int
    removed: int
    entered: int
    left: int
    recounted: int
    relicensed: int
    examples: Mapping[str, tuple[RowExample, ...]]

    @property
    def is_none(self) -> bool:
        """Tell whether no row differs in any way."""
        return not any(getattr(self, name) for name in ROW_COUNTS if name != "same")


ROW_COUNTS = tuple(part.name for part in fields(RowChanges) if part.name != "examples")
ROW_KINDS = ("changed", "added", "removed", "entered", "left", "recounted", "relicensed")


@dataclass(frozen=True, kw_only=True, slots=True)
class ModuleSide:
    """One module on one side, as its manifest states it.

    `asked` is a weight as decimal text, or another amount in words. `share_asked` is the percentage
    of the mix that was asked for, before fractions of lines are cut off, and `share` the one that
    came out: decimal text.
    """

    version: str
    asked: str
    read: int
    usable: int
    kept: int
    lines: int
    share_asked: str
    share: str
    characters: int
    tokens: int | None
    dropped: Mapping[str, int]
    repaired: Mapping[str, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class ModuleDifference:
    """A module that is on either side; `rows` are None where a ledger is not there."""

    name: str
    a: ModuleSide | None
    b: ModuleSide | None
    rows: RowChanges | None

    @property
    def is_none(self) -> bool:
        """Tell whether the module is the same on both sides, its share of the mix apart."""
        return _own(self.a) == _own(self.b) and (self.rows is None or self.rows.is_none)


def _own(side: ModuleSide | None) -> dict[str, Any] | None:
    if side is None:
        return None
    return {key: value for key, value in asdict(side).items() if not key.startswith("share")}


@dataclass(frozen=True, kw_only=True, slots=True)
class LicenseSide:
    """What one side has under one licence."""

    lines: int
    characters: int
    tokens: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class LicenseDifference:
    """A licence whose part of the mix differs."""

    license: str
    a: LicenseSide | None
    b: LicenseSide | None


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceSide:
    """What one side has read of a source, or is pinned to."""

    uri: str
    revision: str | None
    sha256: str
    rows: int


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceDifference:
    """A source that is not the same on both sides."""

    module: str
    id: str
    a: SourceSide | None
    b: SourceSide | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """Everything that differs between two sides.

    `compared` says what of them was: `rows` (exact, from both ledgers), `manifests` (a summary),
    `configs`, `locks`, `recipes` or `sources`. `modules` are all of both sides where they were
    compared; all else is only what differs.
    """

    a: DiffSide
    b: DiffSide
    compared: str
    settings: tuple[Setting, ...] = ()
    modules: tuple[ModuleDifference, ...] = ()
    licenses: tuple[LicenseDifference, ...] = ()
    sources: tuple[SourceDifference, ...] = ()

    @property
    def is_same(self) -> bool:
        """Tell whether nothing that was compared differs."""
        is_told = self.settings or self.licenses or self.sources
        return (
            not is_told
            and all(module.is_none for module in self.modules)
            and all(len({a, b} - {None}) < 2 for a, b in self._digests())
        )

    def _digests(self) -> tuple[tuple[str | None, str | None], ...]:
        """Return what both sides state of data and ledger, for what no count tells."""
        return (
            (self.a.data_sha256, self.b.data_sha256),
            (self.a.ledger_sha256, self.b.ledger_sha256),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the difference as JSON values."""
        return {"format": FORMAT, "same": self.is_same, **asdict(self)}

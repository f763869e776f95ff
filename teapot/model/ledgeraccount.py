"""What the rows of a ledger sum to."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class LedgerSizes:
    """What a manifest states: rows of the ledger, lines of the data and of a validation file."""

    rows: int
    lines: int
    held: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class ModuleAccount:
    """What a ledger says of one module, by the words of the manifest."""

    read: int
    kept: int
    unused: int
    lines: int
    dropped: dict[str, int]
    repaired: dict[str, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class HeldAccount:
    """What a ledger says of the rows that are held out for validation.

    `shared` counts the contents that are in the data as well, `shown` names the first in hex.
    """

    claims: int
    contents: int
    contents_root: str
    shared: int
    shown: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class LedgerAccount:
    """What a ledger's rows are and sum to; `faults` are rows that contradict themselves.

    `parts` are lines by module, source and licence, where there are any. Of the usable rows,
    `duplicate_groups` counts the contents that several have, and `duplicate_records` how many have
    the content of another. `held` is None where no
    validation file was asked about.
    """

    rows: int
    rows_sha256: str
    modules: dict[str, ModuleAccount]
    sources: dict[tuple[str, str], int]
    licenses: dict[str, int]
    parts: dict[tuple[str, str, str], int]
    claims: int
    contents: int
    contents_root: str
    duplicate_groups: int
    duplicate_records: int
    faults: tuple[str, ...]
    held: HeldAccount | None = None

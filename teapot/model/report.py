"""What a mix is in numbers: the same in `plan`, in the closing table and in the manifest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

HELD_OUT = "held-out"
"""Why a row is not in the data that is in the validation file."""


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
    """One module's part. Always: read = kept + unused + sum(dropped).

    `weight` or `amount` is what was asked for; `usable_tokens` are counted where lines follow from
    them. Where epochs have orders, `lines` are those of the data file, each record once, and
    `epoch_lines` the examples of each epoch. What is None of these, or of `curation`, is left out
    of a manifest.
    """

    name: str
    version: str
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
    weight: Decimal | None = None
    amount: str | None = None
    usable_tokens: int | None = None
    curation: CurationReport | None = None
    epoch_lines: int | None = None

    @property
    def examples(self) -> int:
        """Return what it gives the mix: lines of the data file, or examples of one epoch."""
        return self.lines if self.epoch_lines is None else self.epoch_lines

    @property
    def asked(self) -> str:
        """Return what was asked for in words: `weight 0.3`, `500 rows`, `10% of rows`."""
        return self.amount or f"weight {self.weight_text}"

    @property
    def weight_text(self) -> str:
        """Return the weight as decimal text, empty where another amount was asked for."""
        return "" if self.weight is None else decimal_text(self.weight)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON values; decimals become text."""
        head = {"name": self.name, "version": self.version, "weight": None}
        made = {**head, **asdict(self), "weight": self.weight_text or None}
        optional = "weight", "amount", "usable_tokens", "curation", "epoch_lines"
        return {key: made[key] for key in made if key not in optional or made[key] is not None}


@dataclass(frozen=True, kw_only=True, slots=True)
class Amount:
    """How much of something is in the output."""

    lines: int
    characters: int
    tokens: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class MixReport:
    """A whole mix: modules in the order of their names, licences, duplicates, warnings.

    `near_duplicates` are records like another one without being equal to it; None where nobody
    asked for them. `split` is the share that was to be held out, as text, None where none was.
    `epochs` is how many epochs have an order, None where none has.
    """

    modules: tuple[ModuleReport, ...]
    sources: tuple[SourceReport, ...]
    licenses: Mapping[str, Amount]
    total: Amount
    duplicate_groups: int
    duplicate_records: int
    warnings: tuple[str, ...]
    near_duplicates: int | None = None
    split: str | None = None
    epochs: int | None = None

    @property
    def held_out(self) -> int:
        """Return how many records are held out for validation."""
        return sum(module.dropped.get(HELD_OUT, 0) for module in self.modules)

    @property
    def split_told(self) -> str:
        """Return what was held out of what, asked and realised, in words."""
        held = self.held_out
        whole = held + sum(module.usable for module in self.modules)
        part = decimal_text(_ratio(100 * held, whole, 4))
        return f"{held:,} of {whole:,} records held out: {part}%, asked {self.split}"

    @property
    def has_amounts(self) -> bool:
        """Tell whether any module was asked for otherwise than by a weight."""
        return any(module.amount is not None for module in self.modules)

    @property
    def examples(self) -> int:
        """Return the length of the mix: lines of the data file, or examples of one epoch."""
        return sum(module.examples for module in self.modules)

    def realised(self, module: ModuleReport) -> str:
        """Return what a module came to, in the unit that it was asked for in.

        Epochs that have orders differ in their tokens; of them, this is the mean.
        """
        if module.amount is None:
            return f"{decimal_text(_ratio(module.examples, module.usable, 4))} of usable"
        if module.amount.endswith(" of tokens"):
            whole = sum(map(_mean_tokens, self.modules), Fraction(0))
            share = _mean_tokens(module) / whole if whole else Fraction(0)
            return f"{decimal_text(_ratio(100 * share.numerator, share.denominator, 4))}% of tokens"
        if module.amount.endswith(" tokens"):
            tokens = _mean_tokens(module)
            return f"{decimal_text(_ratio(tokens.numerator, tokens.denominator, 0))} tokens"
        if module.amount.endswith(" of rows"):
            part = _ratio(100 * module.examples, self.examples, 4)
            return f"{decimal_text(part)}% of rows"
        return f"{module.examples} rows"

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON values; decimals become text."""
        value: dict[str, Any] = asdict(self)
        if self.epochs is None:
            del value["epochs"]
        value["modules"] = [module.to_dict() for module in self.modules]
        if self.near_duplicates is None:
            del value["near_duplicates"]
        if self.split is None:
            del value["split"]
        return value


def _mean_tokens(module: ModuleReport) -> Fraction:
    """Return the tokens of the mix's lines of a module; of epochs, what they have on average."""
    if module.epoch_lines is None:
        return Fraction(module.tokens or 0)
    if not module.usable:
        return Fraction(0)
    return Fraction((module.usable_tokens or 0) * module.epoch_lines, module.usable)


def _ratio(part: int, whole: int, places: int) -> Decimal:
    """Return part / whole to so many places, half up, in whole numbers."""
    if not whole:
        return Decimal(0)
    scale = int(10**places)
    return Decimal((2 * part * scale + whole) // (2 * whole)).scaleb(-places)


def decimal_text(number: Decimal) -> str:
    """Return a decimal without exponent and without needless zeros: `0.3`, `1`, `2.5`."""
    text = format(number.normalize(), "f")
    return "0" if text == "-0" else text

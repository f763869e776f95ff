"""How much of each module a config asks for, and in which words that is written down.

A module has one amount: a weight, rows, tokens, a share of the mix, or its part of a group. What is
written for one is canonical, so that a recipe says one thing in one way.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import Literal

from teapot.model.report import decimal_text

Unit = Literal["rows", "tokens"]
AMOUNTS = ("rows", "tokens", "share", "group")
"""The amounts that a recipe has under `amount`; a weight stands for itself."""
_UNITS = {"k": 1000, "M": 1000**2, "B": 1000**3}
_MAX_PERCENT_DIGITS = 12


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """What was asked of one module: exactly one amount, and the most lines for each record."""

    weight: Decimal | None = None
    rows: int | None = None
    tokens: int | None = None
    share: Fraction | None = None
    group: str | None = None
    max_repeat: Decimal | None = None

    def written(self) -> dict[str, str] | None:
        """Return the amount as a recipe has it, None for a weight."""
        texts = {
            "rows": None if self.rows is None else str(self.rows),
            "tokens": None if self.tokens is None else str(self.tokens),
            "share": None if self.share is None else share_text(self.share),
            "group": self.group,
        }
        return {key: text for key, text in texts.items() if text is not None} or None


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """Modules that share `rows` lines by the 1/temperature power of their usable records.

    Without `rows` they give as many lines as they have usable records together.
    """

    modules: tuple[str, ...]
    temperature: Decimal = Decimal(1)
    rows: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class WholeMix:
    """What shares are of: the mix's rows or its tokens, and how many, where that is told."""

    rows: int | None = None
    tokens: int | None = None
    share_of: Unit = "rows"


@dataclass(frozen=True, kw_only=True, slots=True)
class AskedMix:
    """What was asked of all modules; `seed` decides between equal remainders."""

    modules: Mapping[str, Asked]
    groups: Mapping[str, Group] = field(default_factory=dict)
    whole: WholeMix = field(default_factory=WholeMix)
    seed: int = 0

    @property
    def has_shares(self) -> bool:
        """Tell whether any module is asked for as a share."""
        return any(asked.share is not None for asked in self.modules.values())

    @property
    def needs_tokens(self) -> bool:
        """Tell whether lines follow from counts of tokens."""
        by_tokens = any(asked.tokens is not None for asked in self.modules.values())
        return by_tokens or (self.has_shares and self.whole.share_of == "tokens")

    def told(self, module: str) -> str | None:
        """Return a module's amount in words, None for a weight: `500 rows`, `10% of rows`."""
        asked = self.modules[module]
        if asked.rows is not None:
            return f"{asked.rows} rows"
        if asked.tokens is not None:
            return f"{asked.tokens} tokens"
        if asked.share is not None:
            return f"{share_text(asked.share)} of {self.whole.share_of}"
        return None if asked.group is None else self._told_of_group(asked.group)

    def _told_of_group(self, name: str) -> str:
        group = self.groups.get(name)
        if group is None:
            return f"part of {name}"
        rows = "" if group.rows is None else f" of {group.rows} rows"
        return f"part of {name}{rows}, temperature {decimal_text(group.temperature)}"


def quantity(value: int | Decimal | str) -> Fraction:
    """Return a number that may be written with k, M or B: `2M` is 2,000,000."""
    text = str(value)
    scale = _UNITS.get(text[-1], 1)
    return Fraction(text.rstrip("kMB")) * scale


def share_of_text(text: str) -> Fraction:
    """Return a share written as a percentage or a fraction: `10%`, `1/3`."""
    return Fraction(text[:-1]) / 100 if text.endswith("%") else Fraction(text)


def share_text(share: Fraction) -> str:
    """Return a share as a percentage where that is exact, else as a fraction in lowest terms."""
    percent = share * 100
    for digits in range(_MAX_PERCENT_DIGITS + 1):
        scaled = percent * 10**digits
        if scaled.denominator == 1:
            whole, rest = divmod(scaled.numerator, 10**digits)
            return f"{whole}.{rest:0{digits}}%" if digits else f"{whole}%"
    return f"{share.numerator}/{share.denominator}"

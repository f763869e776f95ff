"""How far reviewers agree, beyond what chance would give."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True, kw_only=True, slots=True)
class Agreement:
    """What two reviewers said of the records that both have seen; `kappa` is decimal text.

    It is None where they share no record, or where chance alone would make them agree always.
    """

    reviewers: tuple[str, str]
    shared: int
    agreed: int
    kappa: str | None


def agreement(reviewers: tuple[str, str], pairs: Sequence[tuple[str, str]]) -> Agreement:
    """Return how far two reviewers agree, given what each said of every shared record."""
    kappa = cohen_kappa(pairs)
    return Agreement(
        reviewers=reviewers, shared=len(pairs), agreed=sum(one == two for one, two in pairs),
        kappa=None if kappa is None else f"{float(kappa):.3f}",
    )  # fmt: skip


def cohen_kappa(pairs: Sequence[tuple[str, str]]) -> Fraction | None:
    """Return Cohen's kappa, (p_o - p_e) / (1 - p_e); None where it is not defined.

    p_o is the share of records on which two raters agree, p_e the share on which they would if each
    gave their own verdicts at random. Source: J. Cohen, A coefficient of agreement for nominal
    scales, Educational and Psychological Measurement 20 (1960), 37-46.
    """
    if not pairs:
        return None
    total = len(pairs)
    first, second = Counter(one for one, _ in pairs), Counter(two for _, two in pairs)
    observed = Fraction(sum(one == two for one, two in pairs), total)
    expected = Fraction(sum(first[kind] * second[kind] for kind in first), total * total)
    return None if expected == 1 else (observed - expected) / (1 - expected)

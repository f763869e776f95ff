"""Licences that no one data set can be handed on under together, by the licence data.

What is derived from data is handed on under some licence. Each licence says which those may be: a
share-alike one itself and those it names, a non-commercial one those that are so too, most others
any. Licences conflict where none is left. What the data does not know is never guessed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache, reduce
from itertools import combinations, islice, product
from typing import Any

from teapot.licenseterms import (
    NO_DERIVATIVES,
    NON_COMMERCIAL,
    SHARE_ALIKE,
    LicenseTerms,
    license_data,
)
from teapot.licensing import parse_license
from teapot.model.record import Fault

Outlets = frozenset[str]
MOST_PAIRS = 50
"""No more pairs are told: whoever has so many knows what to look at."""
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class LicenseConflict:
    """Licences that cannot be combined, each with the modules that bring it, and why."""

    licenses: tuple[str, ...]
    modules: Mapping[str, tuple[str, ...]]
    why: str

    def __str__(self) -> str:
        """Return the conflict as it is told."""
        parts = [f"{text} ({_named(self.modules[text])})" for text in self.licenses]
        return f"licences: {' with '.join(parts)}: {self.why}"


def license_conflicts(used: Mapping[str, tuple[str, ...]]) -> list[LicenseConflict]:
    """Return the conflicts among licences, given the modules that have lines under each.

    Of pairs, the first `MOST_PAIRS` at most.
    """
    outlets = {text: _outlets_of(text) for text in sorted(used)}
    known = {text: found for text, found in outlets.items() if found is not None}
    closed = [text for text, found in known.items() if not found]
    found = [
        LicenseConflict((text,), used, "it lets nothing derived, such as a mix, be handed on")
        for text in closed
    ]
    others = {text: outlet for text, outlet in known.items() if outlet}
    told = "the licence data knows no licence that both let a mix of them be handed on under"
    pairs = [LicenseConflict(pair, used, told) for pair in islice(_pairs(others), MOST_PAIRS)]
    if not pairs and others and not reduce(frozenset.intersection, others.values()):
        told = "each two go together, but the licence data knows none that all go under"
        pairs = [LicenseConflict(tuple(others), used, told)]
    return found + pairs


def _pairs(outlets: Mapping[str, Outlets]) -> Iterator[tuple[str, str]]:
    """Yield each two expressions that lead nowhere together; rows may name thousands of them."""
    alike: dict[Outlets, list[str]] = {}
    for text, found in outlets.items():
        alike.setdefault(found, []).append(text)
    for one, other in combinations(alike, 2):
        if not one & other:
            for pair in product(alike[one], alike[other]):
                yield min(pair), max(pair)


def unknown_licenses(used: Mapping[str, tuple[str, ...]]) -> list[LicenseConflict]:
    """Return the licences of whose conflicts the data says nothing."""
    told = (
        f"the licence data {license_data().version} does not know its terms, so not its conflicts"
    )
    return [
        LicenseConflict((text,), used, told) for text in sorted(used) if _outlets_of(text) is None
    ]


def _named(modules: tuple[str, ...]) -> str:
    more = len(modules) - _SHOWN
    return ", ".join(modules[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _outlets_of(text: str) -> Outlets | None:
    """Return what a mix may be handed on under that holds lines under an expression."""
    parsed = parse_license(text)
    return None if isinstance(parsed, Fault) else _outlets(parsed.tree)


def _outlets(tree: Any) -> Outlets | None:
    kind = tree.__class__.__name__
    if kind not in ("OR", "AND"):
        terms = license_data().licenses.get(str(tree))
        return None if terms is None else _own_outlets(terms)
    found = [_outlets(part) for part in tree.args]
    known = [part for part in found if part is not None]
    if kind == "OR":  # whoever hands it on chooses
        return reduce(frozenset.union, known) if known else None
    both = reduce(frozenset.intersection, known) if known else None
    return both if len(known) == len(found) or both == frozenset() else None


@lru_cache(maxsize=1024)
def _own_outlets(terms: LicenseTerms) -> Outlets:
    if terms.asks(NO_DERIVATIVES):
        return frozenset()
    known = license_data().licenses
    if terms.asks(SHARE_ALIKE):
        return frozenset({terms.id, *terms.also})
    if terms.asks(NON_COMMERCIAL):
        return frozenset(one.id for one in known.values() if one.asks(NON_COMMERCIAL))
    return frozenset(known) - terms.not_under

"""What licences ask of those who hand data on: Teapot's own data, by SPDX id, and its profiles.

The data is `licenses.json`: a reading of the licences' texts, with a version of its own, and no
legal advice. What it does not know is unknown, and never passes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

from teapot.canonical import loads
from teapot.digest import sha256_hex

ATTRIBUTION, SHARE_ALIKE, WAIVER = "attribution", "share-alike", "waiver"
NON_COMMERCIAL, NO_DERIVATIVES = "non-commercial", "no-derivatives"
PROFILES: Mapping[str, frozenset[str]] = {
    "commercial": frozenset({NO_DERIVATIVES, NON_COMMERCIAL}),
    "no-sharealike": frozenset({NO_DERIVATIVES, SHARE_ALIKE}),
    "permissive": frozenset({NO_DERIVATIVES, NON_COMMERCIAL, SHARE_ALIKE}),
}
"""The terms that a licence must not have to pass; none lets in what forbids changed versions."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LicenseTerms:
    """What one licence asks.

    `also` are the other licences that it lets share-alike data be handed on under, `not_under`
    those that what it covers cannot be handed on under.
    """

    id: str
    name: str
    terms: frozenset[str]
    also: frozenset[str] = frozenset()
    not_under: frozenset[str] = frozenset()

    def asks(self, term: str) -> bool:
        """Tell whether it asks one of the terms that the data names."""
        return term in self.terms


@dataclass(frozen=True, kw_only=True, slots=True)
class LicenseData:
    """The whole data: licences by id, what each term means, the ids that SPDX has given up."""

    version: str
    sha256: str
    terms: Mapping[str, str]
    licenses: Mapping[str, LicenseTerms]
    deprecated: Mapping[str, str]


@lru_cache(maxsize=1)
def license_data() -> LicenseData:
    """Return the data that comes with this version of Teapot."""
    written = files("teapot").joinpath("licenses.json").read_bytes()
    value = loads(written)
    return LicenseData(
        version=value["version"], sha256=sha256_hex(written), terms=value["terms"],
        licenses={
            identity: LicenseTerms(
                id=identity, name=facts["name"], terms=frozenset(facts["terms"]),
                also=frozenset(facts.get("also", ())),
                not_under=frozenset(facts.get("not_under", ())),
            )
            for identity, facts in value["licenses"].items()
        },
        deprecated=value["deprecated"],
    )  # fmt: skip


def passing(profiles: Iterable[str]) -> frozenset[str]:
    """Return the ids of the licences that pass every one of some profiles; none of no profile."""
    refused = [PROFILES[name] for name in profiles]
    if not refused:
        return frozenset()
    known = license_data().licenses.values()
    return frozenset(one.id for one in known if not any(one.terms & terms for terms in refused))

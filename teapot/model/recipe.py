"""The recipe: the part of a resolved config that decides bytes, every source pinned.

Base, hardware and hyper-parameters are not in it, so one mix has one recipe whatever it trains.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from teapot.canonical import dumps
from teapot.digest import sha256_hex

FORMAT = "teapot/recipe/v1"


@dataclass(frozen=True, kw_only=True, slots=True)
class RecipeSource:
    """One source as it was read; None where a declaration is silent."""

    id: str
    kind: str
    uri: str
    revision: str | None
    sha256: str
    rows: int
    license: str | None
    query: str | None
    format: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class RecipeModule:
    """What of a module and its use decides which bytes it gives; `weight` is decimal text.

    `languages` are what the module declares of its rows, as BCP 47 tags. They decide no byte; the
    recipe has them for the model's card, and leaves them out where there are none, so manifests
    that are older than they still come back to the byte.
    """

    name: str
    version: str
    weight: str
    license: str
    fields: dict[str, str | None]
    ignore_message_keys: tuple[str, ...]
    system_prompt: dict[str, str] | None
    reasoning: str
    repair: tuple[str, ...]
    checks: tuple[str, ...]
    max_length: int | None
    on_bad_row: str
    max_bad_rows: int | None
    sources: tuple[RecipeSource, ...]
    languages: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class LicenseProfile:
    """The profiles that `licenses` come from, beside those named, by which version of the data."""

    profile: tuple[str, ...]
    named: tuple[str, ...]
    data: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """Everything that decides the bytes of a data file; `licenses` is `all` or the allowed ids.

    Where they come from a profile, `license_profile` says so; else it is left out.
    """

    format: str
    seed: int
    licenses: str | tuple[str, ...]
    duplicates: str
    prefer: tuple[str, ...]
    strip_think: bool
    include_reasoning: bool
    max_bad_rows: int | None
    modules: tuple[RecipeModule, ...]
    license_profile: LicenseProfile | None = None

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Recipe:
        """Return the recipe in JSON values that fit the manifest's schema."""
        licenses = value["licenses"]
        return cls(
            **{
                **value,
                "licenses": licenses if isinstance(licenses, str) else tuple(licenses),
                "prefer": tuple(value["prefer"]),
                "modules": tuple(_module(module) for module in value["modules"]),
                "license_profile": _license_profile(value.get("license_profile")),
            }
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the recipe as JSON values."""
        made = asdict(self)
        for module in made["modules"]:
            if not module["languages"]:
                del module["languages"]
        if self.license_profile is None:
            del made["license_profile"]
        return made

    def sha256(self) -> str:
        """Return the SHA-256 of the recipe's canonical JSON as 64 hex digits."""
        return sha256_hex(dumps(self.to_dict()))


def _license_profile(value: Mapping[str, Any] | None) -> LicenseProfile | None:
    if value is None:
        return None
    return LicenseProfile(
        profile=tuple(value["profile"]), named=tuple(value["named"]), data=value["data"]
    )


def _module(value: Mapping[str, Any]) -> RecipeModule:
    names = "ignore_message_keys", "repair", "checks", "languages"
    lists = {key: tuple(value.get(key, ())) for key in names}
    sources = tuple(RecipeSource(**source) for source in value["sources"])
    return RecipeModule(**{**value, **lists, "sources": sources})

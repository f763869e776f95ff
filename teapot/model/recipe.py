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
class RecipeCuration:
    """The reviewers' verdicts that a module's rows went through, by the digest of their file."""

    use: str
    sha256: str
    unreviewed: str


@dataclass(frozen=True, kw_only=True, slots=True)
class RecipeModule:
    """What of a module and its use decides which bytes it gives; `weight` is decimal text.

    `languages` are what the module declares of its rows, as BCP 47 tags. They decide no byte; the
    recipe has them for the model's card, and leaves them out where there are none, so manifests
    that are older than they still come back to the byte. So it does with `curation`.
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
    curation: RecipeCuration | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """Everything that decides the bytes of a data file; `licenses` is `all` or the allowed ids."""

    format: str
    seed: int
    licenses: str | tuple[str, ...]
    duplicates: str
    prefer: tuple[str, ...]
    strip_think: bool
    include_reasoning: bool
    max_bad_rows: int | None
    modules: tuple[RecipeModule, ...]

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
            }
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the recipe as JSON values."""
        made = asdict(self)
        for module in made["modules"]:
            if not module["languages"]:
                del module["languages"]
            if module["curation"] is None:
                del module["curation"]
        return made

    def sha256(self) -> str:
        """Return the SHA-256 of the recipe's canonical JSON as 64 hex digits."""
        return sha256_hex(dumps(self.to_dict()))


def _module(value: Mapping[str, Any]) -> RecipeModule:
    names = "ignore_message_keys", "repair", "checks", "languages"
    lists = {key: tuple(value.get(key, ())) for key in names}
    sources = tuple(RecipeSource(**source) for source in value["sources"])
    curation = RecipeCuration(**value["curation"]) if "curation" in value else None
    return RecipeModule(**{**value, **lists, "sources": sources, "curation": curation})

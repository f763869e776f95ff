"""The recipe: the part of a resolved config that decides bytes, every source pinned.

Base, hardware and hyper-parameters are not in it, so one mix has one recipe whatever it trains.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any

from teapot.canonical import dumps
from teapot.digest import sha256_hex
from teapot.model.amount import Asked, AskedMix, Group, WholeMix, share_of_text

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
class RecipeScan:
    """What became of secrets and personal data in a module, and the versions of what found them."""

    secrets: str
    personal: str
    detectors: dict[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class RecipeModule:
    """What of a module and its use decides which bytes it gives; `weight` is decimal text.

    A module has a weight, or under `amount` another one: rows, tokens, share or group, as text.
    `languages` are what the module declares of its rows, as BCP 47 tags. They decide no byte; the
    recipe has them for the model's card, and leaves them out where there are none, so manifests
    that are older than they still come back to the byte. So it does with `curation` and `scan`.
    """

    name: str
    version: str
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
    weight: str | None = None
    amount: dict[str, str] | None = None
    max_repeat: str | None = None
    curation: RecipeCuration | None = None
    scan: RecipeScan | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class RecipeGroup:
    """Modules that share `rows` lines; numbers are text, and `rows` is None where it was silent."""

    name: str
    modules: tuple[str, ...]
    temperature: str
    rows: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class LicenseProfile:
    """The profiles that `licenses` come from, beside those named, by which version of the data."""

    profile: tuple[str, ...]
    named: tuple[str, ...]
    data: str


@dataclass(frozen=True, kw_only=True, slots=True)
class RecipeEvalSource:
    """One file of an evaluation set, or one source of a module that is one, as it was read."""

    id: str
    revision: str | None
    sha256: str
    rows: int


@dataclass(frozen=True, kw_only=True, slots=True)
class RecipeEvalSet:
    """An evaluation set that records were compared with, and what became of those that leak it.

    `overlap` and `on_row` are what became of runs of words and of whole rows; of a row, the texts
    in `fields` were compared, or all where it is empty.
    """

    name: str
    fields: tuple[str, ...]
    overlap: str
    on_row: str
    ngram: int
    short: int
    sources: tuple[RecipeEvalSource, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class RecipeDecontamination:
    """The evaluation sets of a mix, and the digest of all that was looked for."""

    index_sha256: str
    sets: tuple[RecipeEvalSet, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """Everything that decides the bytes of a data file; `licenses` is `all` or the allowed ids.

    `amounts` says what shares are of, and by which `tokenizer` tokens were counted, as text; it and
    `groups` are left out where they are empty, as each module's keys are which it does not have.
    Where licences come from a profile, `license_profile` says so; else it is left out, as
    `likeness` is where only equal contents are duplicates, and `decontaminate` where records were
    compared with no evaluation set. `split` has the share that is held out for validation as text,
    and is left out where none is. So is `epochs`, which says of how many epochs the mix has orders.
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
    amounts: dict[str, str] | None = None
    groups: tuple[RecipeGroup, ...] = ()
    license_profile: LicenseProfile | None = None
    likeness: dict[str, str] | None = None
    split: dict[str, str] | None = None
    decontaminate: RecipeDecontamination | None = None
    epochs: dict[str, str] | None = None

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
                "groups": tuple(
                    RecipeGroup(**{**group, "modules": tuple(group["modules"])})
                    for group in value.get("groups", ())
                ),
                "license_profile": _license_profile(value.get("license_profile")),
                "decontaminate": _decontamination(value.get("decontaminate")),
            }
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the recipe as JSON values."""
        made = asdict(self)
        _leave_out(
            made, "amounts", "groups", "license_profile", "likeness", "split", "decontaminate",
            "epochs",
        )  # fmt: skip
        for module in made["modules"]:
            _leave_out(module, "languages", "weight", "amount", "max_repeat", "curation", "scan")
        for group in made.get("groups", ()):
            _leave_out(group, "rows")
        return made

    def eval_source_ids(self) -> list[str]:
        """Return the ids of the files and sources of its evaluation sets."""
        sets = self.decontaminate.sets if self.decontaminate is not None else ()
        return [source.id for one in sets for source in one.sources]

    def asked(self) -> AskedMix:
        """Return how much it asks of each module."""
        whole = self.amounts or {}
        return AskedMix(
            modules={module.name: _asked(module) for module in self.modules},
            groups={
                group.name: Group(
                    modules=group.modules, temperature=Decimal(group.temperature),
                    rows=None if group.rows is None else int(group.rows),
                )
                for group in self.groups
            },
            whole=WholeMix(
                rows=int(whole["rows"]) if "rows" in whole else None,
                tokens=int(whole["tokens"]) if "tokens" in whole else None,
                share_of="tokens" if whole.get("share_of") == "tokens" else "rows",
            ),
            seed=self.seed,
        )  # fmt: skip

    @property
    def epoch_count(self) -> int | None:
        """Return how many epochs have an order, None where none has."""
        return None if self.epochs is None else int(self.epochs["count"])

    def sha256(self) -> str:
        """Return the SHA-256 of the recipe's canonical JSON as 64 hex digits."""
        return sha256_hex(dumps(self.to_dict()))


def _leave_out(value: dict[str, Any], *keys: str) -> None:
    """Remove keys that say nothing, so that recipes without them are what they always were."""
    for key in keys:
        if not value[key]:
            del value[key]


def _license_profile(value: Mapping[str, Any] | None) -> LicenseProfile | None:
    if value is None:
        return None
    return LicenseProfile(
        profile=tuple(value["profile"]), named=tuple(value["named"]), data=value["data"]
    )


def _decontamination(value: Mapping[str, Any] | None) -> RecipeDecontamination | None:
    if value is None:
        return None
    sets = tuple(
        RecipeEvalSet(
            **{
                **one,
                "fields": tuple(one["fields"]),
                "sources": tuple(RecipeEvalSource(**source) for source in one["sources"]),
            }
        )
        for one in value["sets"]
    )
    return RecipeDecontamination(index_sha256=value["index_sha256"], sets=sets)


def _asked(module: RecipeModule) -> Asked:
    amount = module.amount or {}
    return Asked(
        weight=None if module.weight is None else Decimal(module.weight),
        rows=int(amount["rows"]) if "rows" in amount else None,
        tokens=int(amount["tokens"]) if "tokens" in amount else None,
        share=share_of_text(amount["share"]) if "share" in amount else None,
        group=amount.get("group"),
        max_repeat=None if module.max_repeat is None else Decimal(module.max_repeat),
    )


def _module(value: Mapping[str, Any]) -> RecipeModule:
    names = "ignore_message_keys", "repair", "checks", "languages"
    lists = {key: tuple(value.get(key, ())) for key in names}
    sources = tuple(RecipeSource(**source) for source in value["sources"])
    curation = RecipeCuration(**value["curation"]) if "curation" in value else None
    scan = RecipeScan(**value["scan"]) if "scan" in value else None
    return RecipeModule(
        **{**value, **lists, "sources": sources, "curation": curation, "scan": scan}
    )

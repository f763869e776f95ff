"""A config: one mix, as its author wrote it, with types and without defaults resolved elsewhere.

Every class has exactly the fields of its object in `schemas/config.schema.json`; a test compares
them. Values come from `from_dict` after the schema has accepted them, so nothing is checked twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import Any, Literal

from teapot.model.amount import Asked, AskedMix, Group, WholeMix, quantity, share_of_text
from teapot.model.likeness import Likeness, Match, Near

BadRowPolicy = Literal["fail", "drop"]
DuplicatePolicy = Literal["keep", "drop"]
Unreviewed = Literal["keep", "drop", "fail"]
ConflictPolicy = Literal["warn", "fail"]
Overlap = Literal["drop", "fail", "report"]
WholeRow = Literal["fail", "drop", "keep"]
ScanPolicy = Literal["drop", "redact", "report", "off"]
ALL_LICENSES = "all"


@dataclass(frozen=True, kw_only=True, slots=True)
class Base:
    """The model that will be trained, and how."""

    model: str | None = None
    method: str = "qlora"
    quantization: str = "nf4"
    deepspeed: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Scan:
    """What becomes of secrets and of personal data; None leaves it to the whole mix, then off."""

    secrets: ScanPolicy | None = None
    personal: ScanPolicy | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ModuleUse:
    """One module's place in a mix; `training.weights` decides where it names no amount itself."""

    enabled: bool = True
    repeat: Decimal | None = None
    rows: int | None = None
    share: Fraction | None = None
    tokens: int | None = None
    max_repeat: Decimal | None = None
    on_bad_row: BadRowPolicy | None = None
    max_bad_rows: int | None = None
    scan: Scan = Scan()


@dataclass(frozen=True, kw_only=True, slots=True)
class CurationUse:
    """The reviewers' verdicts on one module: which file, and what becomes of rows without one."""

    use: str
    unreviewed: Unreviewed = "keep"


@dataclass(frozen=True, kw_only=True, slots=True)
class License:
    """Which licences may enter: SPDX ids, or None for every valid one (`allowed: all`).

    Those that pass every `profile` enter beside them. `conflicts` says what becomes of a mix whose
    licences cannot be combined.
    """

    allowed: tuple[str, ...] | None = ()
    profile: tuple[str, ...] = ()
    conflicts: ConflictPolicy = "warn"


@dataclass(frozen=True, kw_only=True, slots=True)
class Hardware:
    """What the training machine has; memory in GB of each GPU and of the host."""

    gpus: int | None = None
    vram_gb: Decimal | None = None
    ram_gb: Decimal | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Training:
    """The recipe of the fine-tune, and the weights of the mix."""

    epochs: Decimal | None = None
    learning_rate: Decimal | None = None
    lora_r: int | None = None
    lora_alpha: int | None = None
    batch_size: int | None = None
    gradient_accumulation: int | None = None
    max_length: int | None = None
    warmup_ratio: Decimal | None = None
    chat_template: str = "auto"
    seed: int = 42
    strip_think: bool = False
    include_reasoning: bool = False
    weights: Mapping[str, Decimal] = field(default_factory=dict)
    notes: str | None = None
    gradient_checkpointing: bool | None = None
    micro_batch_tokens: int | None = None
    system_prompt: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Output:
    """Where the data file goes, and what is made of the trained model later."""

    file: str | None = None
    shards: int = 1
    attribution: bool = False
    format: str | None = None
    quantizations: tuple[str, ...] = ()
    sbom: bool = False
    sbom_format: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class EvalSet:
    """A file beside the config or a module that no record of the mix may leak.

    `overlap` is what becomes of a record with `ngram` words in a row in common (`short` with
    shorter texts), `rows` of one that has a whole row of it.
    """

    set: str
    fields: tuple[str, ...] = ()
    sha256: str | None = None
    overlap: Overlap = "drop"
    rows: WholeRow = "fail"
    ngram: int = 13
    short: int = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class Eval:
    """Which evaluations must pass after training, and the sets that they use."""

    required: bool = False
    abort_on_failure: bool = False
    sealed_suites: tuple[Mapping[str, Any], ...] = ()
    sets: tuple[EvalSet, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Expect:
    """What the result must be; a moved source is then an error instead of another mix."""

    examples: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Duplicates:
    """What happens to duplicates, which records are, and which module keeps its copy."""

    policy: DuplicatePolicy = "keep"
    prefer: tuple[str, ...] = ()
    match: Match = "exact"
    near: Near = field(default_factory=Near)

    @property
    def likeness(self) -> Likeness:
        """Return when records count as duplicates."""
        return Likeness(match=self.match, near=self.near)


@dataclass(frozen=True, kw_only=True, slots=True)
class Split:
    """Which part of the records is held out for validation, between 0 and 1, with all relatives."""

    validation: Fraction
    relatives: Match = "near"


@dataclass(frozen=True, kw_only=True, slots=True)
class Epochs:
    """Whether each epoch has a draw and an order of its own, and how many epochs there are."""

    orders: bool = False
    count: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """One mix: which modules, how much of each, which licences, which seed, which base."""

    license: License
    modules: Mapping[str, ModuleUse]
    base: Base = Base()
    hardware: Hardware = Hardware()
    training: Training = field(default_factory=Training)
    output: Output = Output()
    eval: Eval = Eval()
    curations: Mapping[str, CurationUse] = field(default_factory=dict)
    expect: Expect = Expect()
    duplicates: Duplicates = Duplicates()
    on_bad_row: BadRowPolicy | None = None
    max_bad_rows: int | None = None
    checks: tuple[str, ...] = ()
    tokenizer: str | None = None
    amounts: WholeMix = field(default_factory=WholeMix)
    groups: Mapping[str, Group] = field(default_factory=dict)
    scan: Scan = Scan()
    split: Split | None = None
    decontaminate: tuple[EvalSet, ...] | None = None
    epochs: Epochs = Epochs()

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Config:
        """Return the config that a mapping accepted by the schema describes."""
        made: dict[str, Any] = {
            key: _SECTIONS[key](item) if key in _SECTIONS else item for key, item in value.items()
        }
        if "checks" in made:
            made["checks"] = tuple(made["checks"])
        return cls(**made)

    @property
    def relatives(self) -> Likeness:
        """Return which records are held out together."""
        match = "exact" if self.split is None else self.split.relatives
        return Likeness(match=match, near=self.duplicates.near)

    @property
    def sketched(self) -> Likeness:
        """Return all that must be known of records to tell duplicates and relatives."""
        asked = self.duplicates.match, self.relatives.match
        match = max(asked, key=("exact", "normalized", "near").index)
        return Likeness(match=match, near=self.duplicates.near)

    def weight(self, module: str) -> Decimal:
        """Return how many times a module enters: its `repeat`, else its weight, else 1."""
        use = self.modules[module]
        if not use.enabled:
            return Decimal(0)
        return (
            use.repeat if use.repeat is not None else self.training.weights.get(module, Decimal(1))
        )

    @property
    def is_decontaminated(self) -> bool:
        """Tell whether records are compared with evaluation sets."""
        return self.decontaminate is not None or bool(self.eval.sets)

    def eval_sets(self) -> tuple[EvalSet, ...]:
        """Return the sets that records are compared with: those named, then those of the evals."""
        named = self.decontaminate or ()
        known = {one.set for one in named}
        return (*named, *(one for one in self.eval.sets if one.set not in known))

    def scan_of(self, module: str) -> Scan:
        """Return what becomes of secrets and personal data of a module, by its own word first."""
        own = self.modules[module].scan
        return Scan(
            secrets=own.secrets or self.scan.secrets, personal=own.personal or self.scan.personal
        )

    @property
    def epoch_count(self) -> int | None:
        """Return how many epochs get an order, None where none does."""
        if not self.epochs.orders:
            return None
        return self.epochs.count or int(self.training.epochs or 0)

    def asked_mix(self) -> AskedMix:
        """Return what is asked of all modules that are on."""
        names = [name for name in sorted(self.modules) if self.weight(name) > 0]
        return AskedMix(
            modules={name: self._asked(name) for name in names},
            groups=self.groups,
            whole=self.amounts,
            seed=self.training.seed,
        )

    def _asked(self, module: str) -> Asked:
        use = self.modules[module]
        groups = [name for name, group in self.groups.items() if module in group.modules]
        if groups:
            return Asked(group=groups[0], max_repeat=use.max_repeat)
        if use.rows is None and use.share is None and use.tokens is None:
            return Asked(weight=self.weight(module), max_repeat=use.max_repeat)
        return Asked(
            rows=use.rows, share=use.share, tokens=use.tokens, max_repeat=use.max_repeat
        )  # fmt: skip


def decimal_of(value: int | Decimal | str) -> Decimal:
    """Return a number that may be written as text (`2e-4` is text in YAML 1.1) exactly."""
    return Decimal(str(value))


def eval_sets_of(value: Sequence[str | Mapping[str, Any]]) -> tuple[EvalSet, ...]:
    """Return the evaluation sets of a list in which a name alone stands for one."""
    return tuple(
        EvalSet(set=one)
        if isinstance(one, str)
        else EvalSet(**{**one, "fields": tuple(one.get("fields", ()))})
        for one in value
    )


def _module_uses(value: Mapping[str, Any]) -> Mapping[str, ModuleUse]:
    return {name: _module_use(use) for name, use in value.items()}


def _module_use(value: bool | Mapping[str, Any]) -> ModuleUse:
    if isinstance(value, bool):
        return ModuleUse(enabled=value)
    made = dict(value)
    if "weight" in made:
        made["repeat"] = made.pop("weight")
    if "repeat" in made:
        made["repeat"] = decimal_of(made["repeat"])
    if "max_repeat" in made:
        made["max_repeat"] = decimal_of(made["max_repeat"])
    if "scan" in made:
        made["scan"] = _scan(made["scan"])
    if "share" in made:
        made["share"] = share_of_text(made["share"])
    return ModuleUse(**_whole_numbers(made))


def _whole_numbers(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return a mapping whose `rows` and `tokens`, such as 2M, are numbers."""
    counts = {key: int(quantity(value[key])) for key in ("rows", "tokens") if key in value}
    return {**value, **counts}


def _group(value: Mapping[str, Any]) -> Group:
    made = {**_whole_numbers(value), "modules": tuple(sorted(value["modules"]))}
    if "temperature" in made:
        made["temperature"] = decimal_of(made["temperature"])
    return Group(**made)


def _scan(value: Mapping[str, Any]) -> Scan:
    """Return what a scan does; `off`, which YAML 1.1 reads as false, is the word again."""
    return Scan(**{kind: policy or "off" for kind, policy in value.items()})


def _curations(value: Mapping[str, Any]) -> Mapping[str, CurationUse]:
    return {
        name: CurationUse(use=use) if isinstance(use, str) else CurationUse(**use)
        for name, use in value.items()
    }


def _license(value: Mapping[str, Any]) -> License:
    made, allowed = dict(value), value.get("allowed", ())
    profile = value.get("profile", ())
    made["allowed"] = None if allowed == ALL_LICENSES else tuple(sorted(set(allowed)))
    made["profile"] = (profile,) if isinstance(profile, str) else tuple(sorted(set(profile)))
    return License(**made)


def _hardware(value: Mapping[str, Any]) -> Hardware:
    made = dict(value)
    for key in ("vram_gb", "ram_gb"):
        if key in made:
            made[key] = decimal_of(made[key])
    return Hardware(**made)


def _training(value: Mapping[str, Any]) -> Training:
    made = dict(value)
    for key in ("epochs", "learning_rate", "warmup_ratio"):
        if key in made:
            made[key] = decimal_of(made[key])
    weights = made.get("weights", {})
    made["weights"] = {name: decimal_of(weight) for name, weight in weights.items()}
    return Training(**made)


def _base(value: Mapping[str, Any]) -> Base:
    made = dict(value)
    if "quantization" in made:
        made["quantization"] = str(made["quantization"])
    return Base(**made)


def _output(value: str | Mapping[str, Any]) -> Output:
    if isinstance(value, str):
        return Output(file=value)
    made = dict(value)
    made["quantizations"] = tuple(made.get("quantizations", ()))
    return Output(**made)


def _eval(value: Mapping[str, Any]) -> Eval:
    made = dict(value)
    made["sealed_suites"] = tuple(made.get("sealed_suites", ()))
    made["sets"] = eval_sets_of(made.get("sets", ()))
    return Eval(**made)


def _duplicates(value: str | Mapping[str, Any]) -> Duplicates:
    if isinstance(value, str):
        return Duplicates(policy="drop" if value == "drop" else "keep")
    made = dict(value)
    made["prefer"] = tuple(made.get("prefer", ()))
    if "near" in made:
        near = dict(made["near"])
        if "threshold" in near:
            near["threshold"] = decimal_of(near["threshold"])
        made["near"] = Near(**near)
    return Duplicates(**made)


_SECTIONS: Mapping[str, Any] = {
    "base": _base,
    "modules": _module_uses,
    "license": _license,
    "hardware": _hardware,
    "training": _training,
    "output": _output,
    "eval": _eval,
    "curations": _curations,
    "scan": _scan,
    "expect": lambda value: Expect(**value),
    "duplicates": _duplicates,
    "amounts": lambda value: WholeMix(**_whole_numbers(value)),
    "decontaminate": eval_sets_of,
    "groups": lambda value: {name: _group(group) for name, group in value.items()},
    "split": lambda value: Split(**{**value, "validation": share_of_text(value["validation"])}),
    "epochs": lambda value: Epochs(**value),
}

"""What a side of a diff is: read, held against its own digests, and with word of who signed it.

Also what nobody trusted has signed is read, since a diff is there to look before one trusts; but
each side says whether it was. A manifest that is not what was signed, or does not add up, is an
error.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from teapot.configfile import SUFFIX
from teapot.errors import ConfigError, DataError, Problem, UsageError
from teapot.evalsets import declared_sets
from teapot.files import OutputPaths
from teapot.gitfiles import is_revision, write_revision
from teapot.ledgerrows import StatedLedger
from teapot.lock import Lock
from teapot.manifestfile import recipe_faults
from teapot.mixdiff import SourceName, manifest_settings, recipe_settings, sources_of
from teapot.model.difference import DiffSide, SourceSide
from teapot.model.manifest import Manifest
from teapot.model.recipe import Recipe
from teapot.model.report import SourceReport
from teapot.model.trainstatement import TrainStatement
from teapot.model.verification import Status, Verification
from teapot.modelstatements import read_train_statement
from teapot.reporting import recipe_of
from teapot.resolve import MixOptions, ResolvedMix, resolve
from teapot.tokens import TokenCounter
from teapot.usecases.believing import TRAIN_FORM, read_believed
from teapot.usecases.lineage import places_of
from teapot.usecases.targets import composition_of, compositions_of
from teapot.usecases.verify import VerifyOptions, refuse_unless_ok, verify_form
from teapot.usecases.verifymodel import is_model_folder

_IN_RECIPE = (
    "checks", "duplicates", "epochs", "license", "max_bad_rows", "modules", "on_bad_row",
)  # fmt: skip
_TRAINING_IN_RECIPE = ("include_reasoning", "seed", "strip_think", "weights")
_SOURCE_IN_RECIPE = ("format", "id", "kind", "license", "query")


@dataclass(frozen=True, kw_only=True, slots=True)
class MixSide:
    """A composition, or the one that a model was trained on; `extra` is what a model adds."""

    told: DiffSide
    manifest: Manifest
    ledger: StatedLedger | None
    extra: dict[str, Any]

    def __post_init__(self) -> None:
        """Say of the ledger whether it lies here; it has not been read."""
        word = "absent" if self.ledger is None else "unread"
        object.__setattr__(self, "told", replace(self.told, ledger=word))

    @property
    def recipe(self) -> Recipe:
        """Return the recipe."""
        return self.manifest.recipe

    def settings(self) -> dict[str, Any]:
        """Return everything that decided the mix."""
        return {**manifest_settings(self.manifest), **self.extra}

    def sources(self) -> dict[SourceName, SourceSide]:
        """Return the sources as they were read."""
        return sources_of(self.manifest.report)


@dataclass(frozen=True, kw_only=True, slots=True)
class ConfigSide:
    """A config with its modules, nothing of their sources read."""

    told: DiffSide
    recipe: Recipe
    values: dict[str, Any]

    def settings(self) -> dict[str, Any]:
        """Return everything that the config and its modules decide."""
        return self.values


@dataclass(frozen=True, kw_only=True, slots=True)
class LockSide:
    """A lock."""

    told: DiffSide
    lock: Lock

    def settings(self) -> dict[str, Any]:
        """Return what the lock says beside its pins."""
        return {"versions": {"teapot": self.lock.teapot}}

    def sources(self) -> dict[SourceName, SourceSide]:
        """Return what is pinned."""
        return {_source_name(name): _pinned(pin) for name, pin in self.lock.pins.items()}


Side = MixSide | ConfigSide | LockSide


def read_side(target: str, believing: VerifyOptions, modules: tuple[Path, ...]) -> Side:
    """Return what a target of the command line is.

    Raises:
        UsageError: there is no such thing, or it is nothing that can be compared.
        ConfigError: the config or one of its modules is wrong.
        DataError: a manifest or a statement is not what was signed, or does not add up.
    """
    path = Path(target)
    if is_revision(target):
        with tempfile.TemporaryDirectory(prefix="teapot-diff-") as folder:
            return _of_revision(target, Path(folder), modules)
    if is_model_folder(path):
        return _model(path, believing)
    if path.is_dir() or composition_of(path) is not None:
        return _composition(path, believing)
    return _of_file(path, target, modules)


def _of_revision(target: str, folder: Path, modules: tuple[Path, ...]) -> Side:
    with _named(folder, target.removesuffix(PurePosixPath(target.partition(":")[2]).name)):
        written = write_revision(target, folder)
        return _of_file(written, target, modules)


def _of_file(path: Path, target: str, modules: tuple[Path, ...]) -> Side:
    if path.name.endswith(".lock"):
        return LockSide(told=_unsigned(target, "lock"), lock=Lock.read(path))
    if path.name.endswith(SUFFIX) or not os.path.lexists(path):
        return _config(resolve(path, MixOptions(modules=modules)), target)
    told = (
        "is nothing that can be compared, expected a config, a manifest (or its data file, ledger "
        "or signature), a teapot.lock, a model folder or REV:path/to/mix.config"
    )
    raise UsageError(Problem(target, told))


def _config(mix: ResolvedMix, target: str) -> ConfigSide:
    sources = [
        SourceReport(
            module=module.name, id=spec.id, kind=spec.kind, uri=spec.uri, revision=None, sha256="",
            bytes=0, rows=0, digest_of="", expected=None,
        )
        for module in mix.modules
        for spec in module.sources
    ]  # fmt: skip
    mix = replace(mix, decontamination=declared_sets(mix.config))
    recipe = recipe_of(mix, sources, tokenizer=_tokenizer(mix))
    return ConfigSide(
        told=_unsigned(target, "config"), recipe=recipe, values=_config_values(mix, recipe)
    )


def _tokenizer(mix: ResolvedMix) -> str | None:
    """Return the SHA-256 of the tokenizer, where it decides a line."""
    named = mix.config.tokenizer
    if named is None or not mix.asked.needs_tokens:
        return None
    return TokenCounter(mix.file.path.parent / named).sha256


def _config_values(mix: ResolvedMix, recipe: Recipe) -> dict[str, Any]:
    """Return the recipe with all else that the config decides, and what its modules pin."""
    values = asdict(mix.config)
    for key in _IN_RECIPE:
        del values[key]
    for key in _TRAINING_IN_RECIPE:
        del values["training"][key]
    made = recipe_settings(recipe)
    for module in mix.modules:
        for spec in module.sources:
            declared = made["modules"][module.name]["sources"][spec.id]
            own = {k: v for k, v in asdict(spec).items() if k not in _SOURCE_IN_RECIPE}
            declared["declared"] = {k: v for k, v in own.items() if v is not None}
    return {**values, **made}


def _composition(path: Path, believing: VerifyOptions) -> MixSide:
    found = compositions_of([path])
    if len(found) != 1:
        told = f"holds {len(found)} compositions, expected one; name its manifest"
        raise UsageError(Problem(str(path), told))
    paths = found[0]
    if not os.path.lexists(paths.manifest) and not paths.all_bundles():
        told = "has no manifest beside it, so there is nothing to compare it by"
        raise UsageError(Problem(str(path), told))
    verification, manifest, trust = _believed(paths, believing)
    ledger = _stated(manifest, [paths])
    side = _told(str(path), "composition", trust, verification, manifest)
    return MixSide(told=side, manifest=manifest, ledger=ledger, extra={})


def _model(folder: Path, believing: VerifyOptions) -> MixSide:
    statement, trust = _statement(folder, believing)
    composed = statement.composed
    paths = OutputPaths(folder / composed.data)
    verification, manifest, of_manifest = _believed(paths, believing)
    sha256 = verification.manifest_sha256
    if sha256 != composed.manifest_sha256:
        told = (
            f"is not the manifest that was trained on, which has sha256 {composed.manifest_sha256}"
        )
        raise DataError(Problem(str(paths.manifest), told))
    if trust[0] == "signed":
        trust = of_manifest
    places = places_of(folder, manifest, composed.manifest_sha256, composition=None)
    ledger = _stated(manifest, places)
    trained = {
        "base": statement.base, "lora_targets": list(statement.lora_targets),
        "hyperparameters": asdict(statement.hyperparameters),
        "model": statement.start.model, "revision": statement.start.revision,
    }  # fmt: skip
    side = _told(str(folder), "model", trust, verification, manifest)
    return MixSide(told=side, manifest=manifest, ledger=ledger, extra={"trained": trained})


def _told(
    target: str, kind: str, trust: tuple[str, str], verification: Verification, manifest: Manifest
) -> DiffSide:
    return DiffSide(
        target=target, kind=kind, trust=trust[0], trust_told=trust[1], ledger="absent",
        manifest_sha256=verification.manifest_sha256, data_sha256=manifest.data.sha256,
        ledger_sha256=manifest.ledger.rows_sha256, lines=manifest.data.records,
    )  # fmt: skip


def _stated(manifest: Manifest, places: list[OutputPaths]) -> StatedLedger | None:
    """Return the first ledger that lies there, with what the manifest states of it."""
    found = next((paths.ledger for paths in places if os.path.lexists(paths.ledger)), None)
    if found is None:
        return None
    stated = manifest.ledger
    return StatedLedger(
        path=found, rows=stated.rows, rows_sha256=stated.rows_sha256, lines=manifest.data.records
    )


def _believed(
    paths: OutputPaths, believing: VerifyOptions
) -> tuple[Verification, Manifest, tuple[str, str]]:
    """Return a sound manifest, whoever signed it, and whether that is somebody trusted."""
    verification, manifest = verify_form(paths, replace(believing, allow_unsigned=False))
    trust = _trust(verification)
    if trust[0] != "signed":
        verification, manifest = verify_form(paths, replace(believing, allow_unsigned=True))
    refuse_unless_ok(verification)
    if manifest is None:
        raise DataError(Problem(verification.target, "could not be looked into"))
    faults = [Problem(verification.target, f"recipe: {told}") for told in recipe_faults(manifest)]
    if faults:
        raise DataError(*faults)
    return verification, manifest, trust


def _statement(folder: Path, believing: VerifyOptions) -> tuple[TrainStatement, tuple[str, str]]:
    strict, lenient = (replace(believing, allow_unsigned=allowed) for allowed in (False, True))
    verification, statement = _examined(folder, strict)
    trust = _trust(verification)
    if trust[0] != "signed":
        verification, statement = _examined(folder, lenient)
    refuse_unless_ok(verification)
    if statement is None:
        raise DataError(Problem(str(folder), "its train statement could not be looked into"))
    return statement, trust


def _examined(folder: Path, options: VerifyOptions) -> tuple[Verification, TrainStatement | None]:
    walk = read_believed(folder, TRAIN_FORM, options, read_train_statement)
    results = []
    try:
        while True:
            results.append(next(walk))
    except StopIteration as end:
        statement = end.value
    found = Verification(target=str(folder), manifest_sha256=None, results=tuple(results))
    return found, statement


def _trust(verification: Verification) -> tuple[str, str]:
    """Return the word for who signed, and what the check of the signature found.

    Raises:
        DataError: there is a fault, which no lack of trust explains.
    """
    kinds = {Status.UNSIGNED: "unsigned", Status.UNTRUSTED: "untrusted"}
    if any(result.status == Status.FAULT for result in verification.results):
        refuse_unless_ok(verification)
    for result in verification.results:
        if result.status in kinds:
            return kinds[result.status], str(result.found)
    signed = [r for r in verification.results if r.name.endswith("signature")]
    return "signed", "; ".join(str(r.found) for r in signed if r.status == Status.OK)


def _unsigned(target: str, kind: str) -> DiffSide:
    return DiffSide(
        target=target, kind=kind, trust="none", trust_told=f"a {kind} is not signed", ledger="none",
        manifest_sha256=None, data_sha256=None, ledger_sha256=None, lines=None,
    )  # fmt: skip


def _source_name(name: str) -> SourceName:
    module, _, identity = name.partition(" ")
    return module, identity


def _pinned(pin: Any) -> SourceSide:
    return SourceSide(
        uri=pin["uri"], revision=pin.get("revision"), sha256=pin["sha256"], rows=pin["rows"]
    )


@contextmanager
def _named(folder: Path, name: str) -> Iterator[None]:
    """Call a folder by another name in the errors of what is done within."""
    try:
        yield
    except UsageError as error:
        problems = (
            Problem(*(part.replace(f"{folder}/", name) for part in (p.where, p.message, p.path)))
            for p in error.problems
        )
        kind = ConfigError if isinstance(error, ConfigError) else UsageError
        raise kind(*problems) from error

"""The use case `export`: a trained model in another form, in a folder that leads back as it did.

The model folder is verified, and the base compared with the train statement, before anything is
made. The new folder comes into being whole, or not at all.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from teapot.attribution import FILE as ATTRIBUTION
from teapot.canonical import loads
from teapot.cardbody import CardFacts
from teapot.digest import sha256_file
from teapot.errors import ConfigError, DataError, OutputError, Problem, UsageError
from teapot.files import OutputPaths, write_atomically
from teapot.interfaces import Exporter, Progress, silent
from teapot.model.exportjob import ExportJob, ExportOutcome
from teapot.model.exportstatement import EXPORT, EXPORT_BUNDLE, ExportStatement
from teapot.model.fitjob import Device
from teapot.model.manifest import Manifest
from teapot.model.trainplan import TrainPlan
from teapot.model.trainstatement import (
    CARD,
    PLAN,
    STATEMENT,
    STATEMENT_BUNDLE,
    StartingPoint,
    TrainStatement,
)
from teapot.model.verification import Status
from teapot.modelcard import card_text
from teapot.modelchecks import check_exported_files, origin_of, read_small
from teapot.modelfiles import CONFIG, ModelName
from teapot.modelweights import weight_digests, weights_folder
from teapot.signed_folder import sign_folder
from teapot.usecases.modelfolder import CURVE, METRICS, first_loss
from teapot.usecases.signing import KeySigner
from teapot.usecases.verify import VerifyOptions
from teapot.usecases.verifymodel import ExaminedModel, is_exported, proven_model
from teapot.version import __version__

_KEPT = (
    STATEMENT, STATEMENT_BUNDLE, PLAN, METRICS, CURVE, "loss.svg", "system-prompt.txt",
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja",
    ATTRIBUTION,
)  # fmt: skip
"""Files of a trained model's folder that an export has too, where they are there."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportOptions:
    """How a model is exported; `model` is a folder with the base, by default its name on the Hub.

    Without a `signer` nobody vouches for the export, and its card says so.
    """

    output: Path
    model: str | None = None
    device: Device = "auto"
    offline: bool = False
    signer: KeySigner | None = None
    verify: VerifyOptions = field(default_factory=VerifyOptions)
    progress: Progress = field(default=silent)


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportedModel:
    """An export that is complete; `signature` is its `model.sig`, None where not signed."""

    folder: Path
    statement: ExportStatement
    signature: Path | None


def export_model(folder: Path, exporter: Exporter, options: ExportOptions) -> ExportedModel:
    """Write a model folder in another form into a new folder.

    Raises:
        DataError, UnsignedError, UntrustedError: the model folder does not verify, or the base is
            not the one that was trained.
        UsageError: the folder holds no trained model, or the base is not named.
        SourceError: the Hub does not give the base.
        OutputError: the new folder holds something, or cannot be written.
    """
    _refuse_contents(options.output)
    model = proven_model(folder, options.verify)
    if model.statement is None or model.manifest is None or is_exported(folder):
        told = "is an export, and no model as it was trained"
        raise UsageError(Problem(str(folder), told))
    base = _base_of(model.statement.start, options)
    plan = TrainPlan.from_dict(loads(read_small(folder / PLAN)))
    try:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(
            prefix=".teapot-export-", dir=options.output.parent
        ) as work:
            draft = Path(work, options.output.resolve().name)  # a signature names its folder
            draft.mkdir()
            job = ExportJob(
                plan=plan, folder=folder, adapter=model.statement.weights, base=base,
                output=draft, origin=origin_of(model.statement), device=options.device,
            )  # fmt: skip
            outcome = exporter.export(job, options.progress)
            statement = _finish(draft, model, plan, outcome, options)
            draft.rename(options.output)
    except OSError as error:
        told = f"cannot be written: {error.strerror or error}"
        raise OutputError(Problem(str(options.output), told)) from error
    signature = None if options.signer is None else options.output / "model.sig"
    return ExportedModel(folder=options.output, statement=statement, signature=signature)


def _refuse_contents(output: Path) -> None:
    if output.is_dir() and not any(output.iterdir()):
        return
    if output.exists() or output.is_symlink():
        told = "is not an empty folder; choose another with --output"
        raise OutputError(Problem(str(output), told))


def _base_of(start: StartingPoint, options: ExportOptions) -> Path:
    """Return the folder of the very base that was trained."""
    if options.model is None and start.revision is None:
        told = f"the base was a folder named {start.model}; say where it is with --model"
        raise UsageError(told)
    if options.model is not None and not Path(options.model).is_dir():
        told = "is no folder; leave --model out to take the base from the Hub"
        raise UsageError(Problem(options.model, told))
    named = ModelName(start.model, start.revision)
    if options.model is not None:
        named = ModelName(options.model)
    options.progress("read the base", 0, None)
    base = weights_folder(named, offline=options.offline)
    try:
        found = {CONFIG: sha256_file(base / CONFIG), **weight_digests(base)}
    except OSError as error:
        told = f"cannot be read: {error.strerror}"
        raise ConfigError(Problem(str(base / CONFIG), told)) from error
    expected = {CONFIG: start.config_sha256, **start.weights}
    for name in sorted(expected.keys() | found.keys()):
        if found.get(name) != expected.get(name):
            told = f"sha256 {found.get(name)}, expected {expected.get(name)}, which was trained"
            raise DataError(Problem(str(base / name), told))
    return base


def _finish(
    draft: Path, model: ExaminedModel, plan: TrainPlan, outcome: ExportOutcome,
    options: ExportOptions,
) -> ExportStatement:  # fmt: skip
    """Write what the new folder says of itself, the card last, and sign it all."""
    assert model.statement is not None and model.manifest is not None  # noqa: S101 - asked before
    _copy(model, draft, model.statement, model.manifest)
    weights = {name: sha256_file(draft / name) for name in outcome.weights}
    statement = ExportStatement.of(
        model.statement, outcome, weights=weights, versions={"teapot": __version__}
    )
    problems = [
        Problem(r.name, f"{r.compared}: expected {r.expected}, found {r.found}")
        for r in check_exported_files(draft, model.statement, statement)
        if r.status != Status.OK
    ]
    if problems:
        raise DataError(*problems, "the export was not finished, and nothing was signed")
    data, signer = statement.to_bytes(), options.signer
    write_atomically(draft / EXPORT, data)
    if signer is not None:
        write_atomically(draft / EXPORT_BUNDLE, signer(data))
    facts = CardFacts(
        statement=model.statement, manifest=model.manifest, system_prompt=plan.system_prompt,
        is_signed=signer is not None and (draft / STATEMENT_BUNDLE).exists(),
        is_data_signed=any(
            r.name == "manifest signature" and r.status == Status.OK
            for r in model.verification.results
        ),
        first_loss=first_loss(draft / METRICS), has_curve=(draft / CURVE).is_file(),
        exported=statement, has_attribution=(draft / ATTRIBUTION).is_file(),
    )  # fmt: skip
    write_atomically(draft / CARD, card_text(facts).encode("utf-8"))
    if signer is not None:
        sign_folder(draft, signer.needed_key())
    return statement


def _copy(model: ExaminedModel, draft: Path, statement: TrainStatement, manifest: Manifest) -> None:
    """Copy what an export has of the model folder: its statement, its manifest, its tokenizer."""
    for name in _KEPT:
        if (model.folder / name).is_file():
            shutil.copyfile(model.folder / name, draft / name)
    paths = OutputPaths(model.folder / manifest.data.name)
    for path in (paths.manifest, *paths.all_bundles()):
        write_atomically(draft / path.name, read_small(path))

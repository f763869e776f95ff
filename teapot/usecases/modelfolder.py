"""The use case that ends a fine-tune: what a model folder says of itself, and who vouches for it.

Weights, plan, tokenizer and metrics lie there already. What is added leads from them to the data:
copies of the manifest and its signatures, the train statement, the card, the signature over all.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from teapot.attribution import FILE as ATTRIBUTION
from teapot.canonical import CanonicalError, loads
from teapot.cardbody import CardFacts
from teapot.datafile import open_beside
from teapot.digest import sha256_file, sha256_hex
from teapot.errors import DataError, OutputError, Problem
from teapot.files import write_atomically
from teapot.model.trainoutcome import TrainOutcome
from teapot.model.trainplan import TrainPlan
from teapot.model.trainstatement import CARD, STATEMENT, STATEMENT_BUNDLE, TrainStatement
from teapot.model.verification import CheckResult, Status
from teapot.model_signing import SIGNATURE_NAME
from teapot.modelcard import card_text
from teapot.modelchecks import check_composed, check_training_files, read_small
from teapot.signed_folder import sign_folder
from teapot.usecases.signing import KeySigner
from teapot.usecases.verify import Verified
from teapot.version import __version__

METRICS, CURVE = "metrics.jsonl", "loss.png"


@dataclass(frozen=True, kw_only=True, slots=True)
class FinishedModel:
    """A model folder that is complete; `signature` is its `model.sig`, None where not signed."""

    folder: Path
    statement: TrainStatement
    signature: Path | None


def finish_model_folder(
    folder: Path, composition: Verified, plan: TrainPlan, outcome: TrainOutcome,
    signer: KeySigner | None,
) -> FinishedModel:  # fmt: skip
    """Write what a model folder says of itself, the card last, and sign it all.

    Without a signer there is neither a bundle nor a `model.sig`, and the card says so. What an
    earlier run has signed in the folder is removed first.

    Raises:
        DataError: the plan, the loader, the weights and the composition do not agree, or the folder
            holds what cannot be signed.
        OutputError: the folder cannot be written.
    """
    statement = _statement(folder, composition, plan, outcome)
    _refuse_faults(folder, _checks(folder, composition, statement))
    try:
        for name in (STATEMENT_BUNDLE, SIGNATURE_NAME):
            (folder / name).unlink(missing_ok=True)
        _copy_manifest(folder, composition)
        data = statement.to_bytes()
        write_atomically(folder / STATEMENT, data)
        if signer is not None:
            write_atomically(folder / STATEMENT_BUNDLE, signer(data))
        facts = CardFacts(
            statement=statement, manifest=composition.manifest, system_prompt=plan.system_prompt,
            is_signed=signer is not None, is_data_signed=bool(composition.signers),
            first_loss=first_loss(folder / METRICS), has_curve=(folder / CURVE).is_file(),
            has_attribution=_copy_attribution(folder, composition),
        )  # fmt: skip
        write_atomically(folder / CARD, card_text(facts).encode("utf-8"))
    except OSError as error:
        told = f"cannot be written: {error.strerror or error}"
        raise OutputError(Problem(str(folder), told)) from error
    signature = None if signer is None else sign_folder(folder, signer.needed_key())
    return FinishedModel(folder=folder, statement=statement, signature=signature)


def _statement(
    folder: Path, composition: Verified, plan: TrainPlan, outcome: TrainOutcome
) -> TrainStatement:
    weights = {}
    for name in outcome.weights:
        try:
            weights[name] = sha256_file(folder / name)
        except OSError as error:
            told = f"cannot be read: {error.strerror}"
            raise DataError(Problem(str(folder / name), told)) from error
    versions = {"teapot": __version__}
    return TrainStatement.of(
        plan, outcome, manifest=composition.manifest, weights=weights, versions=versions
    )


def _checks(folder: Path, composition: Verified, statement: TrainStatement) -> list[CheckResult]:
    planned = CheckResult.compare(
        "plan", "the manifest that was planned for with the one that was verified",
        expected=composition.manifest_sha256, found=statement.composed.manifest_sha256,
    )  # fmt: skip
    composed = check_composed(statement, composition.manifest)
    return [planned, composed, *check_training_files(folder, statement)]


def _refuse_faults(folder: Path, results: list[CheckResult]) -> None:
    problems = [
        Problem(str(folder), f"{r.name}: {r.compared}: expected {r.expected}, found {r.found}")
        for r in results
        if r.status != Status.OK
    ]
    if problems:
        raise DataError(*problems, "the model folder was not finished, and nothing was signed")


def _copy_manifest(folder: Path, composition: Verified) -> None:
    """Copy the manifest and its signatures, under their own names."""
    paths = composition.paths
    for path in (paths.manifest, *paths.all_bundles()):
        write_atomically(folder / path.name, read_small(path))


def _copy_attribution(folder: Path, composition: Verified) -> bool:
    """Copy the attribution, where there is one; tell whether there is.

    Raises:
        DataError: it is not the one that the manifest states.
    """
    stated, path = composition.manifest.attribution, composition.paths.attribution
    if stated is None or not os.path.lexists(path):
        return False
    data = read_small(path)
    if sha256_hex(data) != stated.sha256:
        told = f"sha256 {sha256_hex(data)}, expected {stated.sha256} as the manifest states"
        raise DataError(Problem(str(path), told))
    write_atomically(folder / ATTRIBUTION, data)
    return True


def first_loss(path: Path) -> str | None:
    """Return the first loss that the metrics tell of, to four digits; None where none does."""
    try:
        with open_beside(path) as file:
            for line in file:
                found: Any = loads(line)
                if isinstance(found, dict) and "loss" in found:
                    return f"{found['loss']:.4f}"
    except (DataError, CanonicalError, ValueError, TypeError):
        return None  # the metrics are the reader's comfort, and prove nothing
    return None

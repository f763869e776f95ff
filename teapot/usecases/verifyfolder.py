"""The use case of verifying a folder that is signed in the OpenSSF Model Signing format."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from teapot.authenticity import BundleFile, judge_bundles
from teapot.bundle import MAX_BYTES
from teapot.datafile import open_beside
from teapot.digest import sha256_hex
from teapot.errors import DataError, UsageError
from teapot.files import OutputPaths
from teapot.manifestchecks import allowed_unsigned, not_looked_at
from teapot.model.exportstatement import EXPORT_FILES
from teapot.model.trainstatement import MODEL_FILES
from teapot.model.verification import CheckResult, Status, Verification
from teapot.model_signing import SIGNATURE_NAME, FolderStatement, FolderStatementError
from teapot.signed_folder import check_folder
from teapot.usecases.targets import compositions_under
from teapot.usecases.verify import VerifyOptions


@dataclass(frozen=True, kw_only=True, slots=True)
class ExaminedFolder:
    """What a verification of a signed folder found, and which files the signature speaks for.

    `files` has the SHA-256 of each signed file and of the signature itself, by name; it is None
    where no payload is believed.
    """

    verification: Verification
    files: dict[str, str] | None


def verify_folder(folder: Path, options: VerifyOptions | None = None) -> Verification:
    """Return whether a folder is what its `model.sig` says, and what that does not cover.

    Every file of a composition that lies in the folder must be covered by the signature, and in a
    model folder the train statement, its bundle, the plan and the card.

    Raises:
        UsageError: there is no such folder.
        TrustError: a trust file is missing or cannot be read.
    """
    return examine_folder(folder, options).verification


def examine_folder(folder: Path, options: VerifyOptions | None = None) -> ExaminedFolder:
    """Return the verification of a signed folder, with the files that were compared in it.

    Raises:
        UsageError, TrustError: as `verify_folder` does.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder")
    files: dict[str, str] | None = None
    statement: FolderStatement | None = None
    try:
        with open_beside(folder / SIGNATURE_NAME) as file:
            data = file.read(MAX_BYTES + 1)
    except DataError as error:
        results = [_unreadable(error)]
    else:
        results, statement = _believed(data, options or VerifyOptions())
    if statement is not None:
        results += check_folder(folder, statement, must_cover=_listed(folder))
        files = {**dict(statement.resources), SIGNATURE_NAME: sha256_hex(data)}
    verification = Verification(
        target=str(folder / SIGNATURE_NAME), manifest_sha256=None, results=tuple(results)
    )
    return ExaminedFolder(verification=verification, files=files)


def _unreadable(error: DataError) -> CheckResult:
    return CheckResult(
        name="signature", status=Status.FAULT, compared=f"the file {SIGNATURE_NAME}",
        expected="a signature that can be read",
        found="; ".join(problem.message for problem in error.problems),
    )  # fmt: skip


def _believed(
    data: bytes, options: VerifyOptions
) -> tuple[list[CheckResult], FolderStatement | None]:
    """Return the checks of a signature, and what it states if somebody trusted made it."""
    signatures = judge_bundles(
        [BundleFile(name=SIGNATURE_NAME, data=data)], options.believed(), at=options.at,
        threshold=options.threshold, keyless_config=options.keyless_config,
    )  # fmt: skip
    if options.allow_unsigned:
        signatures = allowed_unsigned(signatures)
    if signatures.payload is None:
        return [*signatures.results, not_looked_at()], None
    try:
        return list(signatures.results), FolderStatement.parse(signatures.payload)
    except FolderStatementError as error:
        fault = CheckResult(
            name="folder statement", status=Status.FAULT,
            compared="the payload that was signed", found=str(error),
            expected="an OpenSSF Model Signing v1.0 statement",
        )  # fmt: skip
        return [*signatures.results, fault], None


def _listed(folder: Path) -> list[str]:
    """Return the names of the files that the manifests in a folder, or its card, speak for."""
    listed = [
        path.relative_to(folder).as_posix()
        for paths in compositions_under(folder)
        for path in _files(paths)
    ]
    return listed + [
        name for name in (*MODEL_FILES, *EXPORT_FILES) if os.path.lexists(folder / name)
    ]


def _files(paths: OutputPaths) -> list[Path]:
    return [
        path
        for path in (
            paths.data, *paths.all_shards(), paths.validation, *paths.all_orders(), paths.ledger,
            paths.manifest,
            *paths.all_bundles(),
        )
        if path.exists()
    ]  # fmt: skip

"""The use case of verifying a folder that is signed in the OpenSSF Model Signing format."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from teapot.authenticity import BundleFile, judge_bundles
from teapot.bundle import MAX_BYTES
from teapot.datafile import open_beside
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


def verify_folder(folder: Path, options: VerifyOptions | None = None) -> Verification:
    """Return whether a folder is what its `model.sig` says, and what that does not cover.

    Every file of a composition that lies in the folder must be covered by the signature, and in a
    model folder the train statement, its bundle, the plan and the card.

    Raises:
        UsageError: there is no such folder.
        TrustError: a trust file is missing or cannot be read.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder")
    results = tuple(_checks(folder, options or VerifyOptions()))
    target = str(folder / SIGNATURE_NAME)
    return Verification(target=target, manifest_sha256=None, results=results)


def _checks(folder: Path, options: VerifyOptions) -> Iterator[CheckResult]:
    try:
        with open_beside(folder / SIGNATURE_NAME) as file:
            data = file.read(MAX_BYTES + 1)
    except DataError as error:
        found = "; ".join(problem.message for problem in error.problems)
        yield CheckResult(
            name="signature", status=Status.FAULT, compared=f"the file {SIGNATURE_NAME}",
            expected="a signature that can be read", found=found,
        )  # fmt: skip
        return
    signatures = judge_bundles(
        [BundleFile(name=SIGNATURE_NAME, data=data)], options.believed(), at=options.at,
        threshold=options.threshold, keyless_config=options.keyless_config,
    )  # fmt: skip
    if options.allow_unsigned:
        signatures = allowed_unsigned(signatures)
    yield from signatures.results
    if signatures.payload is None:
        yield not_looked_at()
        return
    try:
        statement = FolderStatement.parse(signatures.payload)
    except FolderStatementError as error:
        yield CheckResult(
            name="folder statement", status=Status.FAULT,
            compared="the payload that was signed", found=str(error),
            expected="an OpenSSF Model Signing v1.0 statement",
        )  # fmt: skip
        return
    yield from check_folder(folder, statement, must_cover=_listed(folder))


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
        path for path in (paths.data, paths.ledger, paths.manifest, *paths.all_bundles())
        if path.exists()
    ]  # fmt: skip

"""The use case of verifying a model folder: weights, card, train statement and manifest agree.

The order is that of `verify`: nothing of a statement is read but its bytes until somebody trusted
has signed it, or the caller goes on without. What was signed lies in the bundle, and that is what
the rest is compared with.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from teapot.authenticity import BundleFile, Signatures, judge_bundles
from teapot.digest import sha256_hex
from teapot.errors import DataError, UsageError
from teapot.files import OutputPaths
from teapot.manifestchecks import allowed_unsigned, not_looked_at
from teapot.model.manifest import Manifest
from teapot.model.trainstatement import (
    BUILD_TYPE,
    STATEMENT,
    STATEMENT_BUNDLE,
    TrainStatement,
)
from teapot.model.verification import CheckResult, Status, Verification
from teapot.model_signing import SIGNATURE_NAME
from teapot.modelchecks import check_composed, check_model_files, read_small
from teapot.trainstatementfile import read_statement
from teapot.usecases.verify import VerifyOptions, verify_form
from teapot.usecases.verifyfolder import verify_folder


@dataclass(frozen=True, kw_only=True, slots=True)
class ExaminedModel:
    """What a verification of a model folder found; without belief there is nothing to look into.

    `statement` and `manifest` are those that somebody vouches for, or whose vouching was waived.
    """

    folder: Path
    verification: Verification
    statement: TrainStatement | None
    manifest: Manifest | None

    @property
    def manifest_file(self) -> OutputPaths | None:
        """Return the files of the composition, as they would lie beside the manifest's copy."""
        if self.statement is None:
            return None
        return OutputPaths(self.folder / self.statement.composed.data)


def is_model_folder(path: Path) -> bool:
    """Tell whether a folder holds a train statement."""
    return os.path.lexists(path / STATEMENT)


def verify_model(folder: Path, options: VerifyOptions | None = None) -> Verification:
    """Return whether a model folder is what its signatures, its statement and its card say.

    Raises:
        UsageError: there is no train statement in the folder.
        TrustError: a trust file is missing or cannot be read.
    """
    return examine_model(folder, options).verification


def examine_model(folder: Path, options: VerifyOptions | None = None) -> ExaminedModel:
    """Return the verification of a model folder, with the values that it was made of.

    Raises:
        UsageError, TrustError: as `verify_model` does.
    """
    if not is_model_folder(folder):
        raise UsageError(f"{folder} holds no {STATEMENT}, so it is no model folder of Teapot's")
    examiner = _Examiner(folder, options or VerifyOptions())
    results = tuple(examiner.run())
    verification = Verification(
        target=str(folder), manifest_sha256=examiner.manifest_sha256, results=results
    )
    return ExaminedModel(
        folder=folder, verification=verification, statement=examiner.statement,
        manifest=examiner.manifest,
    )  # fmt: skip


class _Examiner:
    """One walk through the checks of one model folder."""

    def __init__(self, folder: Path, options: VerifyOptions) -> None:
        self._folder = folder
        self._options = options
        self.statement: TrainStatement | None = None
        self.manifest: Manifest | None = None
        self.manifest_sha256: str | None = None

    def run(self) -> Iterator[CheckResult]:
        """Yield the checks in their order; each needs what those before have proven."""
        yield from self._of_folder()
        believed = yield from self._believed()
        if believed is None:
            yield replace(not_looked_at(), name="statement contents")
            return
        try:
            statement = read_statement(believed, STATEMENT)
        except DataError as error:
            yield _form([str(problem) for problem in error.problems])
            return
        yield _form([])
        self.statement = statement
        is_signed = os.path.lexists(self._folder / STATEMENT_BUNDLE)
        yield from check_model_files(self._folder, statement, is_signed=is_signed)
        yield from self._of_manifest(statement)

    def _of_folder(self) -> Iterator[CheckResult]:
        if not os.path.lexists(self._folder / SIGNATURE_NAME):
            yield self._unsigned("folder signature", SIGNATURE_NAME)
            return
        # The pin is that of the manifest, which this signature says nothing of.
        for result in verify_folder(self._folder, self._options).results:
            is_plain = not result.name.startswith("folder")
            yield replace(result, name=f"folder {result.name}") if is_plain else result

    def _believed(self) -> Generator[CheckResult, None, bytes | None]:
        """Yield the checks of the statement's signature; return its bytes if they are believed."""
        signatures = self._signatures()
        for result in signatures.results:
            yield replace(result, name=f"statement {result.name}")
        try:
            found: bytes | None = read_small(self._folder / STATEMENT)
        except DataError:
            found = None
        for payload in [signatures.payload] if signatures.payload else signatures.unproven:
            yield _payload(payload, found)
        if signatures.payload is not None:
            return signatures.payload
        is_fault = any(result.status == Status.FAULT for result in signatures.results)
        return found if self._options.allow_unsigned and not is_fault else None

    def _signatures(self) -> Signatures:
        path = self._folder / STATEMENT_BUNDLE
        if not os.path.lexists(path):
            return Signatures(results=(self._unsigned("signature", STATEMENT_BUNDLE),))
        try:
            file = BundleFile(name=path.name, data=read_small(path))
        except DataError as error:
            found = "; ".join(problem.message for problem in error.problems)
            fault = CheckResult(
                name="signature", status=Status.FAULT, compared=f"the file {path.name}",
                expected="a signature that can be read", found=found,
            )  # fmt: skip
            return Signatures(results=(fault,))
        options = self._options
        found_signatures = judge_bundles(
            [file], options.believed(), at=options.at, threshold=options.threshold,
            keyless_config=options.keyless_config,
        )  # fmt: skip
        return allowed_unsigned(found_signatures) if options.allow_unsigned else found_signatures

    def _unsigned(self, name: str, file: str) -> CheckResult:
        allowed = self._options.allow_unsigned
        return CheckResult(
            name=name, status=Status.NOTE if allowed else Status.UNSIGNED,
            compared="the signature in the model folder", expected=file,
            found="no such file" + (" (allowed by --allow-unsigned)" if allowed else ""),
        )  # fmt: skip

    def _of_manifest(self, statement: TrainStatement) -> Iterator[CheckResult]:
        paths = OutputPaths(self._folder / statement.composed.data)
        verification, manifest = verify_form(paths, self._options)
        self.manifest_sha256 = verification.manifest_sha256
        for result in verification.results:
            yield replace(result, name=f"manifest {result.name}")
        if manifest is None or self.manifest_sha256 != statement.composed.manifest_sha256:
            return
        self.manifest = manifest
        yield check_composed(statement, manifest)


def _form(faults: list[str]) -> CheckResult:
    return CheckResult.compare(
        "statement form", f"the form of {STATEMENT}: strict JSON, its schema, one way to say it",
        expected=BUILD_TYPE, found=f"{len(faults)} faults" if faults else BUILD_TYPE,
        details=faults,
    )  # fmt: skip


def _payload(payload: bytes, found: bytes | None) -> CheckResult:
    """Compare what was signed with the statement file, byte for byte."""
    return CheckResult.compare(
        "statement payload", f"the bytes of {STATEMENT} with the payload that was signed",
        expected=f"sha256 {sha256_hex(payload)}",
        found="no file that can be read" if found is None else f"sha256 {sha256_hex(found)}",
    )  # fmt: skip

"""The use case of verifying a model folder: weights, card, train statement and manifest agree.

The order is that of `verify`: nothing of a statement is read but its bytes until somebody trusted
has signed it, or the caller goes on without. What was signed lies in the bundle, and that is what
the rest is compared with.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from teapot.attribution import FILE as ATTRIBUTION
from teapot.contentchecks import check_attribution
from teapot.errors import UsageError
from teapot.files import OutputPaths
from teapot.model.exportstatement import EXPORT_BUNDLE, EXPORT_FILES, ExportStatement
from teapot.model.manifest import Manifest
from teapot.model.trainstatement import STATEMENT, STATEMENT_BUNDLE, TrainStatement
from teapot.model.verification import CheckResult, Verification
from teapot.model_signing import SIGNATURE_NAME
from teapot.modelchecks import check_composed, check_model_files
from teapot.modelstatements import read_export_statement, read_train_statement
from teapot.usecases.believing import EXPORT_FORM, TRAIN_FORM, read_believed, unsigned
from teapot.usecases.verify import VerifyOptions, refuse_unless_ok, verify_form
from teapot.usecases.verifyfolder import examine_folder


@dataclass(frozen=True, kw_only=True, slots=True)
class ExaminedModel:
    """What a verification of a model folder found; without belief there is nothing to look into.

    `statement`, `exported` and `manifest` are those that somebody vouches for, or whose vouching
    was waived; only what was exported has an export statement. `files` has the SHA-256 of every
    file that a believed `model.sig` covers, and of itself, by name; it is None where there is no
    such signature.
    """

    folder: Path
    verification: Verification
    statement: TrainStatement | None
    exported: ExportStatement | None
    manifest: Manifest | None
    files: dict[str, str] | None

    @property
    def manifest_file(self) -> OutputPaths | None:
        """Return the files of the composition, as they would lie beside the manifest's copy."""
        if self.statement is None:
            return None
        return OutputPaths(self.folder / self.statement.composed.data)


def is_model_folder(path: Path) -> bool:
    """Tell whether a folder holds a train statement."""
    return os.path.lexists(path / STATEMENT)


def is_exported(folder: Path) -> bool:
    """Tell whether a model folder holds an export statement, or a signature of one."""
    return any(os.path.lexists(folder / name) for name in EXPORT_FILES)


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
        exported=examiner.exported, manifest=examiner.manifest, files=examiner.files,
    )  # fmt: skip


def proven_model(folder: Path, options: VerifyOptions | None = None) -> ExaminedModel:
    """Return a model folder in which every check holds.

    Raises:
        DataError, UnsignedError, UntrustedError: one does not; names all of them.
        UsageError, TrustError: as `verify_model` does.
    """
    examined = examine_model(folder, options)
    refuse_unless_ok(examined.verification)
    return examined


class _Examiner:
    """One walk through the checks of one model folder."""

    def __init__(self, folder: Path, options: VerifyOptions) -> None:
        self._folder = folder
        self._options = options
        self.statement: TrainStatement | None = None
        self.exported: ExportStatement | None = None
        self.manifest: Manifest | None = None
        self.manifest_sha256: str | None = None
        self.files: dict[str, str] | None = None

    def run(self) -> Iterator[CheckResult]:
        """Yield the checks in their order; each needs what those before have proven."""
        yield from self._of_folder()
        if is_exported(self._folder):
            self.exported = yield from read_believed(
                self._folder, EXPORT_FORM, self._options, read_export_statement
            )
        self.statement = yield from read_believed(
            self._folder, TRAIN_FORM, self._options, read_train_statement
        )
        if self.statement is None or (is_exported(self._folder) and self.exported is None):
            return
        yield from check_model_files(
            self._folder, self.statement, self.exported, is_signed=self._is_signed()
        )
        yield from self._of_manifest(self.statement)

    def _is_signed(self) -> bool:
        bundles = [STATEMENT_BUNDLE, *([EXPORT_BUNDLE] if is_exported(self._folder) else [])]
        return all(os.path.lexists(self._folder / name) for name in bundles)

    def _of_folder(self) -> Iterator[CheckResult]:
        if not os.path.lexists(self._folder / SIGNATURE_NAME):
            yield unsigned("folder signature", SIGNATURE_NAME, self._options)
            return
        # The pin is that of the manifest, which this signature says nothing of.
        found = examine_folder(self._folder, self._options)
        self.files = found.files
        for result in found.verification.results:
            is_plain = not result.name.startswith("folder")
            yield replace(result, name=f"folder {result.name}") if is_plain else result

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
        yield from check_attribution(self._folder / ATTRIBUTION, manifest)

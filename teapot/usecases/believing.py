"""Whom a model folder's statement is believed from: its signature first, then what it says."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from teapot.authenticity import BundleFile, Signatures, judge_bundles
from teapot.digest import sha256_hex
from teapot.errors import DataError
from teapot.manifestchecks import ALLOWED, allowed_unsigned, not_looked_at
from teapot.model.exportstatement import EXPORT, EXPORT_BUNDLE, EXPORT_TYPE
from teapot.model.trainstatement import BUILD_TYPE, STATEMENT, STATEMENT_BUNDLE
from teapot.model.verification import CheckResult, Status
from teapot.modelchecks import read_small
from teapot.usecases.verify import VerifyOptions

Statement = TypeVar("Statement")


@dataclass(frozen=True, slots=True)
class StatementForm:
    """One kind of statement in a model folder: how checks name it, its files, its build type."""

    name: str
    file: str
    bundle: str
    build_type: str


TRAIN_FORM = StatementForm("statement", STATEMENT, STATEMENT_BUNDLE, BUILD_TYPE)
EXPORT_FORM = StatementForm("export statement", EXPORT, EXPORT_BUNDLE, EXPORT_TYPE)


def read_believed(
    folder: Path, form: StatementForm, options: VerifyOptions,
    read: Callable[[bytes, str], Statement],
) -> Generator[CheckResult, None, Statement | None]:  # fmt: skip
    """Yield the checks of a statement; return it where somebody trusted has signed its bytes.

    Nothing of it is parsed before that, or before the caller goes on without.
    """
    believed = yield from _believed_bytes(folder, form, options)
    if believed is None:
        yield replace(not_looked_at(), name=f"{form.name} contents")
        return None
    try:
        statement = read(believed, form.file)
    except DataError as error:
        yield _form(form, [str(problem) for problem in error.problems])
        return None
    yield _form(form, [])
    return statement


def unsigned(name: str, file: str, options: VerifyOptions) -> CheckResult:
    """Return that a signature is not there."""
    allowed = options.allow_unsigned
    return CheckResult(
        name=name, status=Status.NOTE if allowed else Status.UNSIGNED,
        compared="the signature in the model folder", expected=file,
        found="no such file" + (ALLOWED if allowed else ""),
    )  # fmt: skip


def _believed_bytes(
    folder: Path, form: StatementForm, options: VerifyOptions
) -> Generator[CheckResult, None, bytes | None]:
    """Yield the checks of a statement's signature; return its bytes if they are believed."""
    signatures = _signatures(folder, form, options)
    for result in signatures.results:
        yield replace(result, name=f"{form.name} {result.name}")
    try:
        found: bytes | None = read_small(folder / form.file)
    except DataError:
        found = None
    for payload in [signatures.payload] if signatures.payload else signatures.unproven:
        yield _payload(form, payload, found)
    if signatures.payload is not None:
        return signatures.payload
    is_fault = any(result.status == Status.FAULT for result in signatures.results)
    return found if options.allow_unsigned and not is_fault else None


def _signatures(folder: Path, form: StatementForm, options: VerifyOptions) -> Signatures:
    path = folder / form.bundle
    if not os.path.lexists(path):
        return Signatures(results=(unsigned("signature", form.bundle, options),))
    try:
        file = BundleFile(name=path.name, data=read_small(path))
    except DataError as error:
        found = "; ".join(problem.message for problem in error.problems)
        fault = CheckResult(
            name="signature", status=Status.FAULT, compared=f"the file {path.name}",
            expected="a signature that can be read", found=found,
        )  # fmt: skip
        return Signatures(results=(fault,))
    found_signatures = judge_bundles(
        [file], options.believed(), at=options.at, threshold=options.threshold,
        keyless_config=options.keyless_config,
    )  # fmt: skip
    return allowed_unsigned(found_signatures) if options.allow_unsigned else found_signatures


def _form(form: StatementForm, faults: list[str]) -> CheckResult:
    compared = f"the form of {form.file}: strict JSON, its schema, one way to say it"
    return CheckResult.compare(
        f"{form.name} form", compared, expected=form.build_type,
        found=f"{len(faults)} faults" if faults else form.build_type, details=faults,
    )  # fmt: skip


def _payload(form: StatementForm, payload: bytes, found: bytes | None) -> CheckResult:
    """Compare what was signed with the statement file, byte for byte."""
    return CheckResult.compare(
        f"{form.name} payload", f"the bytes of {form.file} with the payload that was signed",
        expected=f"sha256 {sha256_hex(payload)}",
        found="no file that can be read" if found is None else f"sha256 {sha256_hex(found)}",
    )  # fmt: skip

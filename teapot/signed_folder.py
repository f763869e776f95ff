"""Signing a folder in the OpenSSF Model Signing format, and comparing a folder with its statement.

`sign_folder` writes `model.sig` into the folder; `model_signing verify key` of the OMS project
accepts it. `check_folder` looks at every file of the folder, hidden ones too: nothing in it is
silently left out. Symbolic links, sockets and devices are never followed or read; they are faults.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from teapot.bundle import MAX_BYTES, Bundle
from teapot.digest import sha256_file, sha256_hex
from teapot.errors import DataError, OutputError, Problem, counted
from teapot.files import write_atomically
from teapot.model.verification import CheckResult, Status
from teapot.model_signing import (
    GIT_NAMES,
    SIGNATURE_NAME,
    FolderStatement,
    FolderStatementError,
    ancestor_in,
)
from teapot.names import path_fault
from teapot.signing import PrivateKey, PublicKey

MAX_DETAILS = 10


@dataclass(frozen=True, slots=True)
class FolderContents:
    """What lies in a folder, by names relative to it: regular files, and what is none and why."""

    files: tuple[str, ...]
    refused: dict[str, str]


@dataclass(frozen=True, slots=True)
class _Fault:
    name: str
    kind: str
    sentence: str


def key_hint(key: PublicKey) -> str:
    """Return what an OMS bundle calls a key: the SHA-256 of its PEM, as 64 hex digits.

    OMS §4.1 asks for a fingerprint only; that it is this one is what the reference tool (since
    1.1.0) demands. It is a label and no reason to believe the key.
    """
    return sha256_hex(key.to_pem())


def sign_folder(folder: Path, key: PrivateKey) -> Path:
    """Sign every file of a folder but git's own, and return the path of the signature in it.

    An older `model.sig` is replaced.

    Raises:
        DataError: the folder is empty or cannot be read, or holds a symbolic link, a special file
            or a name that cannot be signed; names each.
        OutputError: the signature cannot be written.
    """
    path = folder / SIGNATURE_NAME
    names = signable_files(folder)
    try:
        resources = tuple((name, sha256_file(folder / name)) for name in names)
        statement = FolderStatement(name=folder.resolve().name or "model", resources=resources)
    except OSError as error:
        told = f"cannot be read: {error.strerror}"
        raise DataError(Problem(str(error.filename), told)) from error
    except FolderStatementError as error:
        raise DataError(Problem(str(folder), f"cannot be signed: the statement {error}")) from error
    bundle = replace(Bundle.sign(statement.to_bytes(), key), hint=key_hint(key.public))
    data = bundle.to_bytes()
    if len(data) > MAX_BYTES:
        told = f"has too many files to sign: {len(names):,}; the signature has {len(data):,} bytes"
        raise DataError(Problem(str(folder), f"{told}, expected {MAX_BYTES:,} at most"))
    try:
        write_atomically(path, data)
    except OSError as error:
        raise OutputError(Problem(str(path), f"cannot be written: {error.strerror}")) from error
    return path


def check_folder(
    folder: Path, statement: FolderStatement, *, must_cover: Collection[str] = ()
) -> list[CheckResult]:
    """Compare a folder with a statement whose signature the caller has verified and believes.

    `must_cover` are names of files that the signature must cover: whoever signs also says what to
    ignore, so without it an ignored file is only noted.
    """
    contents = walk_folder(folder)
    results = [_files(folder, statement, contents), _coverage(statement, must_cover)]
    return results + _left_out(statement, contents)


def signable_files(folder: Path) -> list[str]:
    """Return the names of the files to sign, sorted by code point as OMS §5.2.1 asks."""
    contents = walk_folder(folder)
    problems = [Problem(str(folder / name), why) for name, why in contents.refused.items()]
    if (folder / SIGNATURE_NAME).is_dir():
        problems.append(Problem(str(folder / SIGNATURE_NAME), "is a folder, expected a signature"))
    names = [name for name in contents.files if not _is_default(name)]
    for name in names:
        fault = path_fault(name)
        if fault is not None:
            problems.append(Problem(str(folder), f"has a file whose name {fault}: {name!a}"))
    if not problems and not names:
        problems.append(Problem(str(folder), "holds no file to sign"))
    if problems:
        raise DataError(*problems)
    return names


def walk_folder(folder: Path) -> FolderContents:
    """Return everything in a folder; what cannot be read is refused, never passed over."""
    files: list[str] = []
    refused: dict[str, str] = {}
    pending = [""]
    while pending:
        above = pending.pop()
        try:
            with os.scandir(folder / above) as entries:
                for entry in entries:
                    name = above + entry.name
                    if entry.is_symlink():
                        refused[name] = "is a symbolic link, expected a file"
                    elif entry.is_dir(follow_symlinks=False):
                        pending.append(f"{name}/")
                    elif entry.is_file(follow_symlinks=False):
                        files.append(name)
                    else:
                        refused[name] = "is a special file, expected a regular one"
        except OSError as error:
            refused[above or "."] = f"cannot be read: {error.strerror}"
    return FolderContents(tuple(sorted(files)), dict(sorted(refused.items())))


def _files(folder: Path, statement: FolderStatement, contents: FolderContents) -> CheckResult:
    faults = sorted(_faults(folder, statement, contents), key=lambda fault: fault.name)
    signed = counted(len(statement.resources), "signed file")
    compared = f"the folder's files with the SHA-256 of {signed}"
    if not faults:
        return CheckResult(name="folder files", status=Status.OK, compared=compared)
    kinds = Counter(fault.kind for fault in faults)
    return CheckResult(
        name="folder files",
        status=Status.FAULT,
        compared=compared,
        expected=f"the {signed} and no other",
        found=", ".join(f"{number:,} {kind}" for kind, number in sorted(kinds.items())),
        details=_first([fault.sentence for fault in faults]),
    )


def _faults(folder: Path, statement: FolderStatement, contents: FolderContents) -> Iterator[_Fault]:
    present = frozenset(contents.files)
    ignored = frozenset(statement.ignored)
    for name, why in contents.refused.items():
        yield _Fault(name, "refused", f"{_shown(name)} {why}")
    for name, digest in statement.resources:
        if name in present:
            yield from _altered(folder, name, digest)
        elif name not in contents.refused:
            yield _Fault(name, "missing", f"{_shown(name)} is missing, but was signed")
    for name in present.difference(name for name, _ in statement.resources):
        if not _is_default(name) and ancestor_in(name, ignored) is None:
            yield _Fault(name, "added", f"{_shown(name)} is not in the signature")


def _altered(folder: Path, name: str, expected: str) -> Iterator[_Fault]:
    try:
        found = sha256_file(folder / name)
    except OSError as error:
        yield _Fault(name, "refused", f"{_shown(name)} cannot be read: {error.strerror}")
        return
    if found != expected:
        told = f"{_shown(name)} has the SHA-256 {found}, expected {expected}"
        yield _Fault(name, "altered", told)


def _coverage(statement: FolderStatement, must_cover: Collection[str]) -> CheckResult:
    """Tell whether the signature covers the files that somebody else relies on."""
    if not must_cover:
        why = "nothing: no other list of files says what the signature must cover"
        return CheckResult(name="folder coverage", status=Status.SKIPPED, compared=why)
    wanted = frozenset(must_cover)
    lacking = sorted(wanted.difference(name for name, _ in statement.resources))
    ignored = frozenset(statement.ignored)
    compared = f"{counted(len(wanted), 'file')} that must be covered with the signed ones"
    if not lacking:
        return CheckResult(name="folder coverage", status=Status.OK, compared=compared)
    return CheckResult(
        name="folder coverage",
        status=Status.FAULT,
        compared=compared,
        expected="each of them signed",
        found=f"{counted(len(lacking), 'file')} that the signature does not cover",
        details=_first([_why_lacking(name, ignored) for name in lacking]),
    )


def _why_lacking(name: str, ignored: frozenset[str]) -> str:
    path = ancestor_in(name, ignored)
    if path is None:
        return f"{_shown(name)} is not in the signature"
    return f"{_shown(name)} is ignored by the signature (ignore_paths: {_shown(path)})"


def _left_out(statement: FolderStatement, contents: FolderContents) -> list[CheckResult]:
    """Note which files of the folder the signature leaves out; none for the signature itself."""
    signed = frozenset(name for name, _ in statement.resources)
    ignored = frozenset(statement.ignored)
    others = [name for name in contents.files if name not in signed and name != SIGNATURE_NAME]
    of_git = Counter(path for name in others if (path := ancestor_in(name, GIT_NAMES)))
    told = [
        _why_lacking(name, ignored)
        for name in others
        if ancestor_in(name, GIT_NAMES) is None and ancestor_in(name, ignored) is not None
    ]
    if not told and not of_git:
        return []
    by_default = [
        f"{path} is ignored by the format: {counted(number, 'file')}"
        for path, number in sorted(of_git.items())
    ]
    return [
        CheckResult(
            name="folder not covered",
            status=Status.NOTE,
            compared="the folder's files with what the signature leaves out",
            found=f"{counted(len(told) + of_git.total(), 'file')} that the signature leaves out",
            details=(*_first(told), *by_default),
        )
    ]


def _is_default(name: str) -> bool:
    """Tell whether a file is the signature itself or one of git's, which OMS §6.2 leaves out."""
    return name == SIGNATURE_NAME or ancestor_in(name, GIT_NAMES) is not None


def _first(sentences: Sequence[str]) -> tuple[str, ...]:
    more = len(sentences) - MAX_DETAILS
    rest: Iterable[str] = [f"… and {more:,} more"] if more > 0 else []
    return (*sentences[:MAX_DETAILS], *rest)


def _shown(name: str) -> str:
    """Return a name for a message, with no character that moves a cursor."""
    return name if name.isprintable() else ascii(name)

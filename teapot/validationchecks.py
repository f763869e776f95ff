"""The checks of a validation file: that it is the one stated, and that nothing of it is trained on.

What is trained on is the data file; both files and the ledger were bound to the manifest before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from teapot.datafile import MeasuredData
from teapot.datafiles import DataFiles
from teapot.errors import DataError, counted
from teapot.files import OutputPaths
from teapot.interfaces import Progress
from teapot.linebinding import check_binding
from teapot.model.ledgeraccount import HeldAccount
from teapot.model.manifest import DataFile, Manifest
from teapot.model.verification import CheckResult, Status

NearChecks = Callable[[DataFiles, DataFiles], Iterator[CheckResult]]
"""Says whether any line of the first files is near to one of the second, as the recipe means it."""


def validation_files(paths: OutputPaths, stated: DataFile) -> DataFiles:
    """Return where the validation file of a composition should lie."""
    return DataFiles(OutputPaths(paths.validation), stated)


@dataclass(frozen=True, slots=True)
class ValidationChecks:
    """Compares a validation file with what a manifest states of it, and with the data."""

    paths: OutputPaths
    manifest: Manifest
    progress: Progress
    near: NearChecks | None = None

    def run(self, claimed: Path, account: HeldAccount | None) -> Iterator[CheckResult]:
        """Yield the checks, if the manifest states such a file.

        `account` is what the ledger says of the rows held out, and `claimed` has the digests that
        it claims for their lines; None where the ledger could not be read.
        """
        stated = self.manifest.validation
        if stated is None:
            return
        files, found = validation_files(self.paths, stated), claimed.with_suffix(".found")
        measured: MeasuredData | None = None
        try:
            with found.open("wb") as digests:
                measured = files.measure(digests, progress=self.progress)
            yield _data(self.paths, stated, measured)
        except DataError as error:
            yield _unreadable(error)
        if account is None:
            return
        if measured is not None and measured.sha256 == stated.sha256:
            yield check_binding("held-out", claimed, found, account.claims)
            if self.near is not None:
                yield from self.near(DataFiles(self.paths, self.manifest.data), files)
        yield from _contents(stated, account)


def _unreadable(error: DataError) -> CheckResult:
    return CheckResult(
        name="validation", status=Status.FAULT,
        compared="the validation file against the manifest",
        expected="a file as the manifest states it",
        found="; ".join(problem.message for problem in error.problems),
    )  # fmt: skip


def _data(paths: OutputPaths, stated: DataFile, found: MeasuredData) -> CheckResult:
    return CheckResult.compare(
        "validation", f"SHA-256, size, lines and RFC 9162 tree hash of {paths.validation.name}",
        expected=_facts(stated), found=_facts(found), details=[found.fault] if found.fault else [],
    )  # fmt: skip


def _facts(file: DataFile | MeasuredData) -> str:
    size = f"{counted(file.bytes, 'byte')}, {counted(file.records, 'line')}"
    return f"{file.sha256}, {size}, {file.merkle_root}"


def _contents(stated: DataFile, account: HeldAccount) -> Iterator[CheckResult]:
    yield CheckResult.compare(
        "held-out contents",
        "RFC 9162 tree hash over pages of the held-out rows' content digests, in order",
        expected=f"{stated.contents_root}, {counted(stated.contents, 'content')}",
        found=f"{account.contents_root}, {counted(account.contents, 'content')}",
    )  # fmt: skip
    details = [f"the content {digest} is in both" for digest in account.shown]
    more = account.shared - len(details)
    yield CheckResult.compare(
        "leaks", "the contents of the validation file with those of the data",
        expected="no content in both",
        found=f"{counted(account.shared, 'content')} in both" if account.shared
        else "no content in both",
        details=[*details, *([f"and {counted(more, 'more content')}"] if more else [])],
    )  # fmt: skip

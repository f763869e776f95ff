"""The checks of a composition's own files against a manifest that is believed."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from hashlib import file_digest
from pathlib import Path
from typing import Any

from teapot.auditing import account_of, auditing
from teapot.claims import held_beside
from teapot.datafile import MeasuredData, open_beside
from teapot.datafiles import DataFiles
from teapot.differences import Differences, compare_lines
from teapot.errors import DataError, counted
from teapot.files import OutputPaths
from teapot.interfaces import Progress
from teapot.linebinding import MAX_SHOWN, check_binding
from teapot.model.ledgeraccount import LedgerAccount, LedgerSizes
from teapot.model.likeness import Likeness
from teapot.model.manifest import Manifest
from teapot.model.verification import CheckResult, Status
from teapot.nearchecks import check_near
from teapot.processes import OwnProcesses
from teapot.recipeclaims import likeness_faults
from teapot.validationchecks import ValidationChecks


@dataclass(frozen=True, slots=True)
class ContentChecks:
    """Compares a data file and its ledger with what a manifest states of them."""

    paths: OutputPaths
    manifest: Manifest
    progress: Progress
    reader: OwnProcesses | None = None
    """The process that is to read the ledger, where one was begun."""

    def run(self) -> Iterator[CheckResult]:
        """Yield the checks of data, Merkle tree and ledger; nothing is kept in memory."""
        data, ledger = self.manifest.data, self.manifest.ledger
        files = DataFiles(self.paths, data)
        with tempfile.TemporaryDirectory(prefix="teapot-verify-") as folder:
            claimed, found = Path(folder, "claimed"), Path(folder, "found")
            audited = auditing(
                self.paths.ledger, claimed, _sizes(self.manifest), reader=self.reader
            )
            with audited as future:
                try:
                    with found.open("wb") as digests:
                        measured = files.measure(digests, progress=self.progress)
                except DataError as error:
                    measured = None
                    yield _unreadable("data", "the data file", error)
                account, problem = _account(future, self.paths.ledger)
            is_ledger = account is not None and account.rows_sha256 == ledger.rows_sha256
            locate = _Locator(self.paths.ledger, claimed, found) if is_ledger else None
            if measured is not None:
                yield self._data(measured, locate)
                if data.shards:
                    yield _shards(files, measured)
                yield self._merkle(measured)
            if account is None:
                assert problem is not None  # noqa: S101 - one of the two is always there
                yield _unreadable("ledger", "the ledger", problem)
            else:
                yield from self._ledger(account)
                if measured is not None:
                    yield self._lines(claimed, found, account, measured)
            held = None if account is None else account.held
            likeness = Likeness.from_written(self.manifest.recipe.split)
            is_near = not likeness.is_exact and not any(likeness_faults(self.manifest.recipe.split))
            is_stated = measured is not None and measured.sha256 == data.sha256
            near = partial(check_near, likeness) if is_stated and is_near else None
            checks = ValidationChecks(self.paths, self.manifest, self.progress, near)
            yield from checks.run(held_beside(claimed), held)

    def _data(self, measured: MeasuredData, locate: _Locator | None) -> CheckResult:
        stated = self.manifest.data
        expected = _facts(stated.sha256, stated.bytes, stated.records)
        found = _facts(measured.sha256, measured.bytes, measured.records)
        details = [measured.fault] if measured.fault else []
        if expected != found and locate is not None:
            details.extend(locate.sentences())
        elif expected != found:
            details.append("which records differ cannot be told: the ledger is not the one stated")
        return CheckResult.compare(
            "data", f"SHA-256, size and lines of {self.paths.data.name}",
            expected=expected, found=found, details=details,
        )  # fmt: skip

    def _merkle(self, measured: MeasuredData) -> CheckResult:
        return CheckResult.compare(
            "merkle", "RFC 9162 tree hash over the record digests, in line order",
            expected=self.manifest.data.merkle_root, found=measured.merkle_root,
            details=[measured.fault] if measured.fault else [],
        )  # fmt: skip

    def _lines(
        self, claimed: Path, found: Path, account: LedgerAccount, measured: MeasuredData
    ) -> CheckResult:
        if measured.sha256 == self.manifest.data.sha256:
            return check_binding("lines", claimed, found, account.claims)
        told = "digest of each line with its ledger row's; the data file is not the one composed"
        return CheckResult(name="lines", status=Status.SKIPPED, compared=told)

    def _ledger(self, account: LedgerAccount) -> Iterator[CheckResult]:
        stated, data = self.manifest.ledger, self.manifest.data
        yield CheckResult.compare(
            "ledger", f"rows of {self.paths.ledger.name}, and SHA-256 of their columns",
            expected=f"{stated.rows_sha256}, {counted(stated.rows, 'row')}",
            found=f"{account.rows_sha256}, {counted(account.rows, 'row')}",
        )  # fmt: skip
        faults = [*account.faults[:MAX_SHOWN], *_unlike(_stated(self.manifest), _told(account))]
        faults += _unlike_parts(self.manifest, account)
        yield CheckResult.compare(
            "conservation", "rows, fates, lines and licences of the ledger with the manifest's",
            expected=f"each of {counted(stated.rows, 'row')} accounted for once",
            found=f"{counted(len(faults), 'difference')}" if faults
            else f"each of {counted(account.rows, 'row')} accounted for once",
            details=faults[:MAX_SHOWN],
        )  # fmt: skip
        yield CheckResult.compare(
            "contents", "RFC 9162 tree hash over pages of the kept rows' content digests, in order",
            expected=f"{data.contents_root}, {counted(data.contents, 'content')}",
            found=f"{account.contents_root}, {counted(account.contents, 'content')}",
        )  # fmt: skip


def _sizes(manifest: Manifest) -> LedgerSizes:
    held = manifest.validation.records if manifest.validation is not None else 0
    return LedgerSizes(rows=manifest.ledger.rows, lines=manifest.data.records, held=held)


def check_attribution(path: Path, manifest: Manifest) -> Iterator[CheckResult]:
    """Yield whether the attribution that lies there is the one stated, if one is."""
    stated = manifest.attribution
    if stated is None:
        return
    compared = f"SHA-256 of {path.name}"
    if not os.path.lexists(path):
        told = f"{compared}, which is not here; `teapot attribution` prints it"
        yield CheckResult(name="attribution", status=Status.SKIPPED, compared=told)
        return
    try:
        with open_beside(path) as file:
            found = file_digest(file, "sha256").hexdigest()
    except (DataError, OSError) as error:
        found = f"no file that can be read: {error}"
    yield CheckResult.compare("attribution", compared, expected=stated.sha256, found=found)


def _shards(files: DataFiles, measured: MeasuredData) -> CheckResult:
    """Return whether each shard is the one stated at its place, and no other lies there."""
    faults, count = files.faults(measured), counted(len(files.files), "shard")
    return CheckResult.compare(
        "shards", f"SHA-256 of each shard of {files.paths.data.name}, and that there are no others",
        expected=count, found=counted(len(faults), "fault") if faults else count,
        details=_first(faults),
    )  # fmt: skip


def _first(faults: Sequence[str]) -> list[str]:
    more = len(faults) - MAX_SHOWN
    return [*faults[:MAX_SHOWN], *([f"and {counted(more, 'more fault')}"] if more > 0 else [])]


class _Locator:
    """Tells which records differ, with the ledger's word on where they came from."""

    def __init__(self, ledger: Path, claimed: Path, found: Path) -> None:
        self._ledger = ledger
        self._claimed = claimed
        self._found = found

    def sentences(self) -> list[str]:
        """Return a sentence for each of the first lines that differ, and how many there are."""
        differences = compare_lines(self._claimed.read_bytes(), self._found.read_bytes())
        origins = self._origins(differences)
        told: list[str] = []
        for kind, lines, sentence in _kinds(differences):
            shown = lines[:MAX_SHOWN]
            told.extend(sentence(line, place, origins.get(line)) for line, place in shown)
            if len(lines) > MAX_SHOWN:
                told.append(f"and {counted(len(lines) - MAX_SHOWN, f'more {kind} line')}")
        return told

    def _origins(self, differences: Differences) -> dict[int, str]:
        wanted = {
            line for _, lines, _ in _kinds(differences) for line, _ in lines[:MAX_SHOWN] if line
        }
        from teapot.ledgerqueries import find_rows, holds_any  # not needed where all is well

        origins: dict[int, str] = {}
        for row in find_rows(self._ledger, "lines", holds_any(wanted)):
            for line in wanted.intersection(row["lines"]):
                origins[line] = f"{row['module']} {row['source']}:{row['row']}, id {row['id']}"
        return origins


Pairs = list[tuple[int, int]]
Sentence = Callable[[int, int, str | None], str]


def _kinds(differences: Differences) -> list[tuple[str, Pairs, Sentence]]:
    return [
        ("altered", list(differences.altered), _altered),
        ("missing", [(line, 0) for line in differences.missing], _missing),
        ("added", [(0, place) for place in differences.added], _added),
        ("moved", list(differences.moved), _moved),
    ]


def _altered(line: int, place: int, origin: str | None) -> str:
    at = f"line {place}" if line == place else f"line {place} (line {line} as composed)"
    return f"{at} was altered: {origin}"


def _missing(line: int, place: int, origin: str | None) -> str:
    return f"line {line} as composed is missing: {origin}"


def _added(line: int, place: int, origin: str | None) -> str:
    return f"line {place} was added: no row of the ledger is on it"


def _moved(line: int, place: int, origin: str | None) -> str:
    return f"line {place} was moved: it is line {line} as composed: {origin}"


def _account(
    future: Future[LedgerAccount], ledger: Path
) -> tuple[LedgerAccount | None, DataError | None]:
    try:
        return account_of(future, ledger), None
    except DataError as error:
        return None, error


def _stated(manifest: Manifest) -> dict[str, Any]:
    report = manifest.report
    modules = {
        module.name: {
            "read": module.read, "kept": module.kept, "unused": module.unused,
            "lines": module.lines, "dropped": dict(module.dropped),
            "repaired": dict(module.repaired),
        }
        for module in report.modules
    }  # fmt: skip
    sources = {f"{source.module} {source.id}": source.rows for source in report.sources}
    licenses = {name: amount.lines for name, amount in report.licenses.items()}
    repeated = {"groups": report.duplicate_groups, "records": report.duplicate_records}
    return {
        "modules": modules, "rows of sources": sources, "lines by licence": licenses,
        "duplicates": repeated,
    }  # fmt: skip


def _told(account: LedgerAccount) -> dict[str, Any]:
    from dataclasses import asdict

    modules = {name: asdict(module) for name, module in account.modules.items()}
    sources = {" ".join(key): rows for key, rows in account.sources.items()}
    licenses = {str(name): lines for name, lines in account.licenses.items() if lines}
    repeated = {"groups": account.duplicate_groups, "records": account.duplicate_records}
    return {
        "modules": modules, "rows of sources": sources, "lines by licence": licenses,
        "duplicates": repeated,
    }  # fmt: skip


def _unlike_parts(manifest: Manifest, account: LedgerAccount) -> list[str]:
    """Return where the lines that are attributed are not those of the ledger."""
    if manifest.attribution is None:
        return []
    parts = manifest.attribution.parts
    stated = {" ".join((part.module, part.source, part.license)): part.lines for part in parts}
    told = {" ".join(map(str, part)): lines for part, lines in account.parts.items()}
    return list(_unlike({"attributed lines": stated}, {"attributed lines": told}))


def _unlike(stated: Any, told: Any, path: str = "") -> Iterator[str]:
    """Yield where two nested accounts differ."""
    if isinstance(stated, Mapping) or isinstance(told, Mapping):
        stated, told = stated or {}, told or {}  # what only one of them names has nothing elsewhere
        for key in sorted({*stated, *told}):
            yield from _unlike(stated.get(key, 0), told.get(key, 0), f"{path}: {key}".strip(": "))
    elif stated != told:
        yield f"{path}: the manifest states {stated or 0}, the ledger has {told or 0}"


def _facts(sha256: str, size: int, lines: int) -> str:
    return f"{sha256}, {counted(size, 'byte')}, {counted(lines, 'line')}"


def _unreadable(name: str, what: str, error: DataError) -> CheckResult:
    return CheckResult(
        name=name, status=Status.FAULT, compared=f"{what} against the manifest",
        expected="a file as the manifest states it",
        found="; ".join(problem.message for problem in error.problems),
    )  # fmt: skip

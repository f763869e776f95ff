"""From a model's manifest to the ledger and the data that it states, wherever they lie here.

They are looked for where the caller says, beside the manifest's copy in the model folder, and in
the current project. Only a file with the digest that the believed manifest states is given out.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from teapot.auditing import account_of, auditing
from teapot.datafiles import DataFiles
from teapot.digest import sha256_hex
from teapot.errors import DataError, Problem, UsageError
from teapot.files import OutputPaths
from teapot.model.ledgeraccount import LedgerSizes
from teapot.model.manifest import Manifest
from teapot.model.verification import CheckResult, Status
from teapot.modelchecks import read_small
from teapot.usecases.targets import compositions_of
from teapot.validationchecks import validation_files

_Place = TypeVar("_Place", Path, DataFiles)


@dataclass(frozen=True, kw_only=True, slots=True)
class Lineage:
    """The files of a composition; None where absent, not what was stated, or not stated at all."""

    ledger: Path | None
    data: DataFiles | None
    validation: DataFiles | None
    results: tuple[CheckResult, ...]


def find_lineage(
    folder: Path, manifest: Manifest, manifest_sha256: str, *, composition: Path | None
) -> Lineage:
    """Return the files of the composition that a model folder's manifest states.

    `composition` is a folder, or a file of the composition, to look into; None means the project.

    Raises:
        UsageError: there is no composition where the caller says, or another one.
    """
    places = places_of(folder, manifest, manifest_sha256, composition=composition)
    ledgers = (paths.ledger for paths in places if os.path.lexists(paths.ledger))
    files = (DataFiles(paths, manifest.data) for paths in places)
    ledger, data = next(ledgers, None), next((found for found in files if found.are_here), None)
    checked = [
        _checked("ledger", ledger, manifest.ledger.rows_sha256, lambda p: _rows_of(p, manifest)),
        _checked("data", data, manifest.data.sha256, _bytes_of),
    ]
    held, stated = None, manifest.validation
    if stated is not None:
        named = (validation_files(paths, stated) for paths in places)
        held = next((found for found in named if found.are_here), None)
        checked.append(_checked("validation", held, stated.sha256, _bytes_of))
    is_ok = {result.name: result.status == Status.OK for result in checked}
    return Lineage(
        ledger=ledger if is_ok["ledger"] else None, data=data if is_ok["data"] else None,
        validation=held if is_ok.get("validation") else None, results=tuple(checked),
    )  # fmt: skip


def places_of(
    folder: Path, manifest: Manifest, manifest_sha256: str, *, composition: Path | None
) -> list[OutputPaths]:
    """Return where the files of a model folder's composition may lie, the likeliest first.

    Raises:
        UsageError: there is no composition where the caller says, or another one.
    """
    own = OutputPaths(folder / manifest.data.name)
    return [*_elsewhere(manifest_sha256, composition), own]


def _elsewhere(manifest_sha256: str, composition: Path | None) -> Iterator[OutputPaths]:
    """Yield the compositions that have this very manifest, outside of the model folder."""
    try:
        found = compositions_of([] if composition is None else [composition])
    except UsageError:
        if composition is not None:
            raise
        return
    same = [paths for paths in found if _sha256_of(paths.manifest) == manifest_sha256]
    if composition is not None and not same:
        told = f"holds no manifest with the SHA-256 {manifest_sha256}, which the model was made of"
        raise UsageError(Problem(str(composition), told))
    yield from same


def _sha256_of(path: Path) -> str | None:
    try:
        return sha256_hex(read_small(path))
    except DataError:
        return None


def _checked(
    name: str, path: _Place | None, expected: str, find: Callable[[_Place], str]
) -> CheckResult:
    """Return whether the file is what the manifest states; one that is not here was not looked at.

    Without its ledger a chain cannot be walked; the data only adds the texts.
    """
    compared = f"the {name} with the digest that the manifest states"
    if path is None:
        is_needed = name == "ledger"
        return CheckResult(
            name=name, status=Status.UNREACHABLE if is_needed else Status.SKIPPED,
            compared=compared, expected=expected,
            found="not here: neither beside the manifest nor in this project",
            details=("say where it lies with --composition",) if is_needed else (),
        )  # fmt: skip
    compared = f"{path} with the digest that the manifest states"
    try:
        return CheckResult.compare(name, compared, expected=expected, found=find(path))
    except DataError as error:
        return CheckResult(
            name=name, status=Status.FAULT, compared=compared, expected=expected,
            found="; ".join(problem.message for problem in error.problems),
        )  # fmt: skip


def _rows_of(path: Path, manifest: Manifest) -> str:
    stated = LedgerSizes(rows=manifest.ledger.rows, lines=manifest.data.records)
    with (
        tempfile.TemporaryDirectory(prefix="teapot-audit-") as folder,
        auditing(path, Path(folder, "claimed"), stated) as future,
    ):
        return account_of(future, path).rows_sha256


def _bytes_of(data: DataFiles) -> str:
    measured = data.measure()
    faults = data.faults(measured)
    if faults:
        raise DataError(*(Problem(str(data), fault) for fault in faults))
    return measured.sha256

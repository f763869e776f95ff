"""The check that parses every line: is it the record that its ledger row tells of?

The digest of a line binds it to the row that claims it, but the row also names a content digest, an
id, a licence, a module and a source. Only a look into the line shows that these are its own.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy

from teapot.canonical import CanonicalError, dumps, loads
from teapot.claims import Claims
from teapot.datafiles import DataFiles
from teapot.digest import DIGEST_BYTES, sha256
from teapot.errors import counted
from teapot.files import OutputPaths
from teapot.heldaudit import line_of
from teapot.index import DIGEST
from teapot.ledgercolumns import HELD_OUT
from teapot.ledgerqueries import read_ledger
from teapot.model.manifest import Manifest
from teapot.model.verification import CheckResult
from teapot.validationchecks import validation_files

NAME = "records"
COMPARED = "content, id, licence, module and source of each line with its ledger row"
_NAMED = ("id", "license", "module", "source")
_SHOWN = 10


def check_records(paths: OutputPaths, manifest: Manifest) -> CheckResult:
    """Return whether every line is what its ledger row says, and holds the characters stated.

    Data file and ledger must have been found to be those that the manifest states.
    """
    lines, total = manifest.data.records, manifest.report.total.characters
    unlike, characters = _looked_into(DataFiles(paths, manifest.data), paths.ledger, _data_lines)
    details = list(_told_unlike(unlike))
    return CheckResult.compare(
        NAME, COMPARED,
        expected=f"{counted(lines, 'line')} as told, {counted(total, 'character')}",
        found=f"{counted(lines - len(unlike), 'line')} as told, {counted(characters, 'character')}",
        details=details,
    )  # fmt: skip


def check_held_records(paths: OutputPaths, manifest: Manifest) -> Iterator[CheckResult]:
    """Yield the same of the validation file, if there is one, which must be the one stated too."""
    stated = manifest.validation
    if stated is None:
        return
    files = validation_files(paths, stated)
    unlike, _ = _looked_into(files, paths.ledger, _validation_line)
    lines = stated.records
    yield CheckResult.compare(
        f"held-out {NAME}", COMPARED, expected=f"{counted(lines, 'line')} as told",
        found=f"{counted(lines - len(unlike), 'line')} as told", details=list(_told_unlike(unlike)),
    )  # fmt: skip


LinesOf = Callable[[Mapping[str, Any]], Sequence[int]]
"""Says on which lines of a file a ledger row stands."""


def _data_lines(row: Mapping[str, Any]) -> Sequence[int]:
    lines: Sequence[int] = row["lines"]
    return lines


def _validation_line(row: Mapping[str, Any]) -> Sequence[int]:
    line = line_of(row["detail"]) if row["reason"] == HELD_OUT else None
    return () if line is None else (line,)


def _told_unlike(unlike: Sequence[int]) -> Iterator[str]:
    for line in unlike[:_SHOWN]:
        yield f"line {line} is another record than its ledger row says"
    if len(unlike) > _SHOWN:
        yield f"and {counted(len(unlike) - _SHOWN, 'more such line')}"


def _looked_into(files: DataFiles, ledger: Path, lines_of: LinesOf) -> tuple[list[int], int]:
    """Return the lines of files that are not as told, and the code points of all contents."""
    with tempfile.TemporaryDirectory(prefix="teapot-records-") as folder:
        claimed = Path(folder, "claimed")
        _gather(ledger, claimed, files.stated.records, lines_of)
        return _compare(files, claimed)


def _gather(ledger: Path, claimed: Path, lines: int, lines_of: LinesOf) -> None:
    """Put a digest of what each ledger row says into the slots of the lines it claims."""
    with Claims(claimed, lines) as claims:
        for batch in read_ledger(ledger):
            placed = [(row, found) for row in batch if (found := lines_of(row))]
            told = b"".join(_told(row["content_digest"], row) * len(on) for row, on in placed)
            numbers = numpy.array([line for _, on in placed for line in on], numpy.int64)
            claims.put(numbers, numpy.frombuffer(told, dtype=DIGEST))
        claims.finish()


def _compare(data: DataFiles, claimed: Path) -> tuple[list[int], int]:
    """Return the lines that are not as told, and the code points of all contents."""
    unlike, characters = [], 0
    with claimed.open("rb") as slots:
        for number, line in enumerate(data.lines(), start=1):
            found, size = _found(line.removesuffix(b"\n"))
            characters += size
            if found != slots.read(DIGEST_BYTES):
                unlike.append(number)
    return unlike, characters


def _found(line: bytes) -> tuple[bytes, int]:
    """Return the digest of what a line says, and the code points of its contents."""
    try:
        record = loads(line)
        parts = {key: record[key] for key in ("messages", "tools") if key in record}
        content = sha256(dumps(parts)).hex()
        size = sum(len(message["content"]) for message in record["messages"])
        return _told(content, record), size
    except (CanonicalError, LookupError, TypeError):
        return b"", 0


def _told(content: str, row: Mapping[str, Any]) -> bytes:
    return sha256(dumps([content, *(row[name] for name in _NAMED)]))

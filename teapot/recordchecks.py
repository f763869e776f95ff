"""The check that parses every line: is it the record that its ledger row tells of?

The digest of a line binds it to the row that claims it, but the row also names a content digest, an
id, a licence, a module and a source. Only a look into the line shows that these are its own.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy

from teapot.canonical import CanonicalError, dumps, loads
from teapot.claims import Claims
from teapot.datafiles import DataFiles
from teapot.digest import DIGEST_BYTES, sha256
from teapot.errors import counted
from teapot.files import OutputPaths
from teapot.index import DIGEST
from teapot.ledgerqueries import read_ledger
from teapot.model.manifest import Manifest
from teapot.model.verification import CheckResult

NAME = "records"
COMPARED = "content, id, licence, module and source of each line with its ledger row"
_NAMED = ("id", "license", "module", "source")
_SHOWN = 10


def check_records(paths: OutputPaths, manifest: Manifest) -> CheckResult:
    """Return whether every line is what its ledger row says, and holds the characters stated.

    Data file and ledger must have been found to be those that the manifest states.
    """
    lines = manifest.data.records
    with tempfile.TemporaryDirectory(prefix="teapot-records-") as folder:
        claimed = Path(folder, "claimed")
        _gather(paths, claimed, lines)
        unlike, characters = _compare(DataFiles(paths, manifest.data), claimed)
    details = [
        f"line {line} is another record than its ledger row says" for line in unlike[:_SHOWN]
    ]
    if len(unlike) > _SHOWN:
        details.append(f"and {counted(len(unlike) - _SHOWN, 'more such line')}")
    total = manifest.report.total.characters
    return CheckResult.compare(
        NAME, COMPARED,
        expected=f"{counted(lines, 'line')} as told, {counted(total, 'character')}",
        found=f"{counted(lines - len(unlike), 'line')} as told, {counted(characters, 'character')}",
        details=details,
    )  # fmt: skip


def _gather(paths: OutputPaths, claimed: Path, lines: int) -> None:
    """Put a digest of what each ledger row says into the slots of the lines it claims."""
    with Claims(claimed, lines) as claims:
        for batch in read_ledger(paths.ledger):
            kept = [row for row in batch if row["lines"]]
            told = b"".join(_told(row["content_digest"], row) * len(row["lines"]) for row in kept)
            numbers = numpy.array([line for row in kept for line in row["lines"]], numpy.int64)
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

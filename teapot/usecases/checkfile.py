"""The use case `check`: every fault of any chat JSONL, Teapot's own or not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from teapot.canonical import loads
from teapot.errors import Problem, SourceError
from teapot.files import OutputPaths, recover
from teapot.model.module import SourceSpec
from teapot.model.record import Dropped, Example, Fault
from teapot.scanning import Scanner, told
from teapot.sources.local import LocalFile, open_local
from teapot.usecases.onerecord import maker_of_any


@dataclass(frozen=True, slots=True)
class RowFaults:
    """What is wrong with one row; `line` counts from 1."""

    line: int
    id: str | None
    reason: str
    detail: str


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckReport:
    """A checked file: rows read, rows at fault, faults by their code.

    `repeated_ids` counts rows whose id stands on another row of other content.
    """

    file: str
    rows: int
    faulty: int
    by_reason: dict[str, int]
    repeated_ids: int

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        return {name: getattr(self, name) for name in self.__slots__}


def check_file(
    path: str | Path, report_fault: Callable[[RowFaults], None], *, scan: bool = False
) -> CheckReport:
    """Check every row of a chat file and report each faulty one as it is found.

    With `scan`, a row with a secret or personal data is at fault too.

    Raises:
        MissingExtraError: a scan is asked for without the extra `scan`.
        DataError: the file as a whole cannot be read.
        SourceError: there is no such file.
    """
    path = Path(path)
    if not path.is_file():
        found = "a folder, expected a file" if path.is_dir() else "no such file"
        raise SourceError(Problem(str(path), found))
    scanner = Scanner() if scan else None
    if path.suffix == ".jsonl":
        recover(OutputPaths(path))
    counts: Counter[str] = Counter()
    ids: dict[int, int] = {}
    repeated = 0
    rows = faulty = 0
    for line in _rows(path, scanner):
        rows += 1
        if isinstance(line, RowFaults):
            faulty += 1
            counts[line.reason] += 1
            report_fault(line)
        elif line is not None:
            name, content = line
            repeated += ids.setdefault(name, content) != content
    return CheckReport(
        file=str(path),
        rows=rows,
        faulty=faulty,
        by_reason=dict(sorted(counts.items())),
        repeated_ids=repeated,
    )


def _rows(path: Path, scanner: Scanner | None) -> Iterator[RowFaults | tuple[int, int] | None]:
    """Yield each row's faults, or hashes of its id (where it has one) and its content."""
    source = SourceSpec(id=path.stem, kind="jsonl", path=path.name)
    maker = maker_of_any(path.stem, path.name)
    for number, row in open_local(LocalFile(path=path, spec=source, label=str(path)), "jsonl"):
        if isinstance(row, Fault):
            yield RowFaults(number, None, row.code, row.shown())
            continue
        outcome = maker.make(row)
        if isinstance(outcome, Dropped):
            yield RowFaults(number, outcome.id, outcome.reason, outcome.shown)
        elif scanner is not None and (found := _scanned(number, outcome, scanner)):
            yield found
        else:
            named = row.get("id") is not None
            yield (hash(outcome.id), hash(outcome.content_digest)) if named else None


def _scanned(number: int, example: Example, scanner: Scanner) -> RowFaults | None:
    """Return what a scan finds in a row: kinds and places, never the text itself."""
    tools = loads(example.line).get("tools")
    found = scanner.of_record(example.messages, tools)
    if not found:
        return None
    return RowFaults(number, example.id, found[0].finding.reason, told(found))

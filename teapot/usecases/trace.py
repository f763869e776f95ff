"""The use case `trace`: which models were trained on a record?

Only a model that verifies is asked, and only a ledger and data that its signed manifest states
answer. Where they are not here the answer is that it is not known, and never no.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from teapot.canonical import dumps, loads
from teapot.datafiles import DataFiles
from teapot.errors import Problem, UsageError
from teapot.heldaudit import line_of
from teapot.ledgercolumns import HELD_OUT
from teapot.ledgerqueries import NAMES, find_rows, is_text
from teapot.usecases.audit import AuditOptions
from teapot.usecases.lineage import Lineage, find_lineage, places_of
from teapot.usecases.trainedlines import TrainedLines
from teapot.usecases.verifymodel import examine_model, is_model_folder

SHOWN_LINES = 20
FOUND, NOT_FOUND, NOT_KNOWN = 0, 1, 3
"""Exit codes, as grep has them: a match, none; and that some model could not answer."""


class Word(StrEnum):
    """The answer of one model."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "not known"


@dataclass(frozen=True, kw_only=True, slots=True)
class Trace:
    """What one model answers; `lines` are the first, `count` is of all, `why` the reason."""

    model: str
    answer: Word
    why: str
    lines: tuple[int, ...] = ()
    count: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Return the answer as JSON values."""
        return asdict(self)


def trace(query: str, targets: Sequence[Path], options: AuditOptions | None = None) -> list[Trace]:
    """Return, for each model, whether it was trained on a record with an id, digest or text.

    A target is a model folder, or a folder in which model folders lie.

    Raises:
        UsageError: the query is empty, or a target holds no model.
        TrustError: a trust file is missing or cannot be read.
    """
    if not query:
        raise UsageError("an empty query names every record; ask for an id, a digest or a text")
    asked = options or AuditOptions()
    models = dict.fromkeys(model for target in targets for model in _models_in(target))
    return [_traced(query, model, asked) for model in models]


def exit_code_of(found: Sequence[Trace]) -> int:
    """Return 0 where any model says yes; else 3 where one could not answer, and 1 where all say no.

    A yes stands whatever the others cannot tell.
    """
    answers = {part.answer for part in found}
    if Word.YES in answers:
        return FOUND
    return NOT_KNOWN if Word.UNKNOWN in answers else NOT_FOUND


def _models_in(target: Path) -> list[Path]:
    if is_model_folder(target):
        return [target]
    if not target.is_dir():
        raise UsageError(Problem(str(target), "no such folder"))
    found = sorted(path for path in target.iterdir() if is_model_folder(path))
    if not found:
        told = "is no model folder, and holds none: a model folder has a train.statement.json"
        raise UsageError(Problem(str(target), told))
    return found


def _traced(query: str, folder: Path, options: AuditOptions) -> Trace:
    model = examine_model(folder, options.verify)
    wrong = [
        result.name for result in model.verification.results
        if result.status not in ("ok", "note", "skipped")
    ]  # fmt: skip
    if wrong or model.manifest is None or model.statement is None:
        why = f"it does not verify: {', '.join(wrong) or 'nobody vouches for it'}"
        return Trace(model=str(folder), answer=Word.UNKNOWN, why=why)
    made_of = folder, model.manifest, model.statement.composed.manifest_sha256
    lineage = find_lineage(*made_of, composition=options.composition)
    places = places_of(*made_of, composition=options.composition)
    trained = TrainedLines.of(model.statement, model.manifest, places)
    return _answer(query, folder, lineage, trained)


def _answer(query: str, folder: Path, lineage: Lineage, trained: TrainedLines) -> Trace:
    """Ask the ledger for an id or digest, then the data for a text."""
    ledger, data = lineage.ledger, lineage.data
    searches: list[tuple[str, object, Callable[[], Iterator[int]]]] = []
    if ledger is not None:
        searches.append(("its id or digest", ledger, lambda: _lines_of_name(ledger, query)))
    if data is not None:
        searches.append(("its text", data, lambda: _lines_of_text(data, query)))
    untrained: list[int] = []
    for by, path, search in searches:
        there = sorted(search())
        lines = trained.among(there)
        if lines is None:
            why = f"{_on_lines(there)} of {path}, and {trained.told}, of which an order is not here"
            return Trace(model=str(folder), answer=Word.UNKNOWN, why=why)
        if lines:
            return Trace(
                model=str(folder), answer=Word.YES, why=f"by {by}, in {path}",
                lines=tuple(lines[:SHOWN_LINES]), count=len(lines),
            )  # fmt: skip
        untrained = there or untrained
    held = _held_out(query, lineage)
    if untrained:
        held = f"{_on_lines(untrained)} of the data, which only later epochs have: {trained.told}"
    if data is not None:
        why = held or f"no record with this id, digest or text in {data}"
        return Trace(model=str(folder), answer=Word.NO, why=why)
    missing = [
        f"{result.name}: {result.found if path is None else 'no record with this id or digest'}"
        for result, path in zip(lineage.results, (ledger, data), strict=False)
    ]
    why = "; ".join([*missing, *([held] if held else [])])
    return Trace(model=str(folder), answer=Word.UNKNOWN, why=why)


def _held_out(query: str, lineage: Lineage) -> str | None:
    """Return on which lines of the validation file the query is, in words; None where on none."""
    lines = set(_lines_of_text(lineage.validation, query)) if lineage.validation else set()
    if lineage.ledger is not None:
        rows = find_rows(lineage.ledger, NAMES, is_text(query))
        lines |= {line_of(row["detail"]) or 0 for row in rows if row["reason"] == HELD_OUT}
    if not lines:
        return None
    return f"held out for validation, {_on_lines(lines)} of the validation file, and not trained"


def _on_lines(lines: Collection[int]) -> str:
    shown = ", ".join(map(str, sorted(lines)[:SHOWN_LINES]))
    return f"on line {shown}{' …' if len(lines) > SHOWN_LINES else ''}"


def _lines_of_name(ledger: Path, query: str) -> Iterator[int]:
    for row in find_rows(ledger, NAMES, is_text(query)):
        yield from row["lines"]


def _lines_of_text(data: DataFiles, query: str) -> Iterator[int]:
    """Yield the lines whose record has the query as its id, or in a text of its turns or tools."""
    needle = dumps(query)[1:-1]
    for number, line in enumerate(data.lines(), start=1):
        # The bytes are looked at first: few lines need to be parsed.
        if needle in line and _holds(loads(line), query):
            yield number


def _holds(record: dict[str, Any], query: str) -> bool:
    parts = record["messages"], record.get("tools", [])
    return record["id"] == query or any(query in text for text in _texts(parts))


def _texts(value: Any) -> Iterator[str]:
    """Yield every text in JSON values, but keys and roles."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, part in value.items():
            if key != "role":
                yield from _texts(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _texts(part)

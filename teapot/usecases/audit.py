"""The use case `audit`: from a model's card, link by link, to the row of a source.

Each link is one result: which digest ties it to the next, and what broke where it does not hold.
Nothing touches the network.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from teapot.canonical import loads
from teapot.datafiles import DataFiles
from teapot.digest import sha256_hex
from teapot.errors import Problem, UsageError, counted
from teapot.ledgerqueries import find_rows, holds_any
from teapot.model.exportstatement import EXPORT, ExportStatement
from teapot.model.manifest import Manifest
from teapot.model.trainstatement import CARD, STATEMENT, TrainStatement
from teapot.model.verification import CheckResult, Status, Verification, gravest
from teapot.usecases.lineage import Lineage, find_lineage, places_of
from teapot.usecases.trainedlines import TrainedLines
from teapot.usecases.verify import VerifyOptions
from teapot.usecases.verifymodel import ExaminedModel, examine_model, is_exported

_LINK_OF = {"card": "card", "export": "export", "manifest": "manifest", "data": "manifest"}
"""The link that a check of a model folder belongs to, by its first word; else the statement."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AuditOptions:
    """Whom to believe, where the composition lies, and which line to walk to.

    `composition` None means: beside the manifest, or in the current project.
    """

    verify: VerifyOptions = field(default_factory=VerifyOptions)
    composition: Path | None = None
    example: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Example:
    """One line of the data file, and the source's row that it came from.

    `messages` are those of the line, None where the data file is not here.
    """

    line: int
    id: str | None
    record_sha256: str
    content_sha256: str
    license: str | None
    module: str
    source: str
    row: int
    uri: str
    revision: str | None
    source_sha256: str
    messages: list[dict[str, Any]] | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Audit:
    """The links of a chain as results, the first that is broken ends it; and the example."""

    verification: Verification
    example: Example | None

    def to_dict(self) -> dict[str, Any]:
        """Return the audit as JSON values."""
        example = None if self.example is None else asdict(self.example)
        return {**self.verification.to_dict(), "example": example}


def audit(folder: Path, options: AuditOptions | None = None) -> Audit:
    """Return the chain from a model's card to its data, and to one line where that is asked for.

    Raises:
        UsageError: there is no model in the folder, no such line, or no such composition.
        TrustError: a trust file is missing or cannot be read.
    """
    asked = options or AuditOptions()
    model = examine_model(folder, asked.verify)
    auditor = _Auditor(model, asked)
    links = tuple(auditor.links())
    found = model.verification
    verification = Verification(
        target=found.target, manifest_sha256=found.manifest_sha256, results=links
    )
    return Audit(verification=verification, example=auditor.example)


class _Auditor:
    """One walk along the links of one model."""

    def __init__(self, model: ExaminedModel, options: AuditOptions) -> None:
        self._model = model
        self._options = options
        self.example: Example | None = None

    def links(self) -> Iterator[CheckResult]:
        """Yield the links; what lies behind one that is not believed was not walked."""
        statement, manifest = self._model.statement, self._model.manifest
        exported = self._model.exported
        yield self._link("card", _of_card(statement))
        if exported is not None or is_exported(self._model.folder):
            yield self._link("export", _of_export(exported))
        yield self._link("statement", _of_statement(statement))
        yield self._link("manifest", _of_manifest(manifest))
        if manifest is None or statement is None:
            yield _not_walked("ledger", "what is before it is not believed")
            return
        made_of = self._model.folder, manifest, statement.composed.manifest_sha256
        lineage = find_lineage(*made_of, composition=self._options.composition)
        yield from lineage.results
        if self._options.example is None:
            yield _sources(manifest)
        else:
            places = places_of(*made_of, composition=self._options.composition)
            trained = TrainedLines.of(statement, manifest, places)
            yield self._walked_to(self._options.example, manifest, lineage, trained)

    def _link(self, name: str, told: str) -> CheckResult:
        """Return what the checks of one link amount to, with those that say something."""
        results = [
            result for result in self._model.verification.results
            if _LINK_OF.get(result.name.split()[0], "statement") == name
        ]  # fmt: skip
        if not results:
            return _not_walked(name, "nobody trusted vouches for the train statement")
        told_of = [result for result in results if result.status != Status.OK]
        return CheckResult(
            name=name, status=gravest(result.status for result in results), compared=told,
            details=tuple(line for result in told_of for line in _broken(result)),
        )  # fmt: skip

    def _walked_to(
        self, line: int, manifest: Manifest, lineage: Lineage, trained: TrainedLines
    ) -> CheckResult:
        records = manifest.data.records
        if not 1 <= line <= records:
            told = f"there is no line {line}, expected 1 to {records:,}"
            raise UsageError(Problem("--example", told))
        if lineage.ledger is None:
            return _not_walked("example", "there is no ledger that can be believed")
        self.example = found = _example(line, manifest, lineage)
        text = _line(lineage.data, line) if lineage.data is not None else None
        digest = found.record_sha256 if text is None else sha256_hex(text)
        at = f"@{found.revision}" if found.revision else ""
        result = CheckResult.compare(
            "example", f"line {line} is row {found.row} of {found.uri}{at}, and its digest is that "
            "of its ledger row", expected=found.record_sha256, found=digest,
        )  # fmt: skip
        return replace(result, details=(*result.details, *trained.doubts(line)))


def _example(line: int, manifest: Manifest, lineage: Lineage) -> Example:
    assert lineage.ledger is not None  # noqa: S101 - asked for only where there is one
    row = next(find_rows(lineage.ledger, "lines", holds_any([line])))
    key = row["module"], row["source"]
    source = next(part for part in manifest.report.sources if (part.module, part.id) == key)
    text = _line(lineage.data, line) if lineage.data is not None else None
    return Example(
        line=line, id=row["id"], record_sha256=row["record_digest"],
        content_sha256=row["content_digest"], license=row["license"], module=row["module"],
        source=row["source"], row=row["row"], uri=source.uri, revision=source.revision,
        source_sha256=source.sha256, messages=None if text is None else loads(text)["messages"],
    )  # fmt: skip


def _line(data: DataFiles, number: int) -> bytes:
    found = next(line for at, line in enumerate(data.lines(), start=1) if at == number)
    return found.removesuffix(b"\n")


def _of_card(statement: TrainStatement | None) -> str:
    return f"{CARD} leads to {STATEMENT}" + (
        "" if statement is None else f", sha256 {statement.sha256()}"
    )


def _of_export(exported: ExportStatement | None) -> str:
    if exported is None:
        return f"{EXPORT}, whose content is not believed"
    weights = ", ".join(f"{name}, sha256 {sha256}" for name, sha256 in exported.weights.items())
    return f"{weights}, made of what {STATEMENT}, sha256 {exported.train_statement_sha256}, names"


def _of_statement(statement: TrainStatement | None) -> str:
    if statement is None:
        return f"{STATEMENT}, whose content is not believed"
    weights = ", ".join(f"{name}, sha256 {sha256}" for name, sha256 in statement.weights.items())
    composed = statement.composed
    return f"{weights}, made of {composed.manifest}, sha256 {composed.manifest_sha256}"


def _of_manifest(manifest: Manifest | None) -> str:
    if manifest is None:
        return "the manifest's copy, which is not believed"
    data, ledger, held = manifest.data, manifest.ledger, manifest.validation
    told = (
        f"{data.name}, sha256 {data.sha256}, {counted(data.records, 'record')}; {ledger.name}, "
        f"rows sha256 {ledger.rows_sha256}"
    )
    return told if held is None else f"{told}; not trained on: {held.name}, sha256 {held.sha256}"


def _sources(manifest: Manifest) -> CheckResult:
    """Tell the sources whose rows are in the ledger; their bytes are not here to be compared."""
    sources = manifest.report.sources
    return CheckResult(
        name="sources", status=Status.NOTE,
        compared=f"{counted(len(sources), 'source')}, as the manifest states what was read",
        details=tuple(
            f"{s.module} {s.id}: {s.uri}{f'@{s.revision}' if s.revision else ''}, sha256 "
            f"{s.sha256}, {counted(s.rows, 'row')}"
            for s in sources
        ),
    )  # fmt: skip


def _broken(result: CheckResult) -> Iterator[str]:
    """Yield a check that does not simply hold, in words."""
    told = f"{result.status}, {result.name}: {result.compared}"
    if result.found is not None:
        told += f": expected {result.expected}, found {result.found}"
    yield told
    yield from result.details


def _not_walked(name: str, why: str) -> CheckResult:
    return CheckResult(name=name, status=Status.SKIPPED, compared=f"not walked: {why}")

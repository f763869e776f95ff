"""The use case `explain`: why a row is in a data file, or why it is not."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from teapot.canonical import CanonicalError, dumps, loads
from teapot.checks.builtin import builtin_checks
from teapot.configfile import SUFFIX
from teapot.errors import DataError, Problem, UsageError
from teapot.files import OutputPaths, recover
from teapot.heldaudit import names_line
from teapot.ledgercolumns import HELD_OUT
from teapot.ledgerqueries import begins_with, find_rows, holds_any, is_text, read_ledger
from teapot.model.record import Row
from teapot.ordering import DRAW_LABEL, ORDER_LABEL, Ranker
from teapot.resolve import MixOptions
from teapot.usecases.targets import names_order

MAX_MATCHES = 20
LedgerRow = Mapping[str, Any]
RowKey = tuple[str, str, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class Explanation:
    """What became of one input row, and by which values.

    `asked` of the module's `usable` records came to `module_lines`. `draw_rank` is compared with
    `cutoff`: a row enters by the lines beyond whole copies when its rank is not above it.
    `order_rank` of copy 0 places its first line. Ranks are hex. Where epochs have orders, and those
    lie there, `uses` tells how often each epoch has it.
    """

    module: str
    version: str
    weight: str | None
    asked: str
    usable: int
    module_lines: int
    source: str
    uri: str
    revision: str | None
    row: int
    id: str | None
    license: str | None
    content_digest: str | None
    fate: str
    reason: str | None
    detail: str | None
    repairs: tuple[str, ...]
    digest_before: str | None
    checks_passed: tuple[str, ...]
    draw_rank: str | None
    cutoff: str | None
    order_rank: str | None
    lines: tuple[int, ...]
    uses: tuple[int, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the explanation as JSON values."""
        made = asdict(self)
        if not self.uses:
            del made["uses"]
        return made


@dataclass(frozen=True, slots=True)
class Answer:
    """The explanations of one query; `more` tells that only the first are given."""

    query: str
    explanations: tuple[Explanation, ...]
    more: bool

    def to_dict(self) -> dict[str, Any]:
        """Return the answer as JSON values."""
        found = [explanation.to_dict() for explanation in self.explanations]
        return {"query": self.query, "explanations": found, "more": self.more}


def explain(
    target: str | Path, queries: Sequence[str], options: MixOptions | None = None
) -> list[Answer]:
    """Return, for each query, the rows it names and what became of them.

    `target` is a config, whose sources are then read, or a manifest (or a data file with its
    manifest beside it), which needs no source. A query is tried as an output line, an id, a content
    digest (or 12 or more hex digits of one), and at last as text: in all rows read for a config, in
    the data file for a manifest. Of a validation file, lines are those of that file.

    Raises:
        UsageError: the target is none of them.
        DataError: a query names no row.
    """
    path = Path(target)
    if not all(queries):
        raise UsageError("an empty query names every row; ask for an id, a line or a text")
    if path.name.endswith(".manifest.json") or path.suffix == ".jsonl":
        paths = _paths_of(path)
        return _Explainer(paths, is_held=path.name == paths.validation.name).answers(queries)
    if names_order(path):
        told = "is the order of an epoch, expected a config, a data file or a manifest"
        raise UsageError(Problem(str(path), f"{told}; name the data file, whose lines it counts"))
    from teapot.usecases.compose import compose  # an engine, which a ledger does not need

    texts = _Texts(queries)
    watched = replace(options or MixOptions(), watcher=texts.watch)
    with tempfile.TemporaryDirectory(prefix="teapot-explain-") as folder:
        output = Path(folder) / "data.jsonl"
        composed = compose(path, watched, output=output)
        return _Explainer(composed.paths, texts).answers(queries)


class _Texts:
    """Remembers rows read whose text holds a query."""

    def __init__(self, queries: Sequence[str]) -> None:
        self._needles = {query: dumps(query)[1:-1] for query in queries}
        self.found: dict[str, list[RowKey]] = {query: [] for query in queries}

    def watch(self, module: str, source: str, number: int, row: Row) -> None:
        """Note a row that holds a query's text."""
        try:
            text = dumps(row)
        except CanonicalError:
            return
        for query, needle in self._needles.items():
            if len(self.found[query]) <= MAX_MATCHES and needle in text:
                self.found[query].append((module, source, number))


class _Explainer:
    def __init__(
        self, paths: OutputPaths, texts: _Texts | None = None, *, is_held: bool = False
    ) -> None:
        self._paths = paths
        self._texts = texts
        self._is_held = is_held
        value = _manifest(paths.manifest)
        self._data, predicate = _data_of(paths, value), value["predicate"]
        recipe = predicate["buildDefinition"]["externalParameters"]["recipe"]
        self._seed = int(recipe["seed"])
        self._recipes = {module["name"]: module for module in recipe["modules"]}
        stated = predicate["teapot_composition"]
        reports, self._orders = stated["modules"], stated.get("orders", ())
        self._reports = {module["name"]: module for module in reports}

    def answers(self, queries: Sequence[str]) -> list[Answer]:
        """Answer every query, or fail naming those that no row answers to."""
        answers = [self._answer(query) for query in queries]
        lost = [answer.query for answer in answers if not answer.explanations]
        if lost:
            where = "the rows read" if self._texts else "the ledger and the data file"
            raise DataError(
                *(
                    Problem(query, f"no line, id, content digest or text like this in {where}")
                    for query in lost
                )
            )
        return answers

    def _answer(self, query: str) -> Answer:
        rows: list[LedgerRow] = []
        for found_rows in self._searches(query):
            rows = list(islice(found_rows, MAX_MATCHES + 1))
            if rows:
                break
        try:
            found = tuple(self._explained(row) for row in rows[:MAX_MATCHES])
        except (LookupError, ArithmeticError, TypeError, ValueError) as error:
            told = (
                "it and its ledger contradict each other, so nothing is told; `teapot verify` says"
            )
            raise DataError(Problem(str(self._paths.manifest), f"{told} where")) from error
        return Answer(query, found, more=len(rows) > MAX_MATCHES)

    def _searches(self, query: str) -> Iterator[Iterator[LedgerRow]]:
        """Yield the rows that a query may mean, the most exact first."""
        ledger = self._paths.ledger
        yield find_rows(ledger, "id", is_text(query))
        if query.isdecimal() and self._is_held:
            yield find_rows(ledger, "detail", names_line([int(query)]))
        elif query.isdecimal():
            yield find_rows(ledger, "lines", holds_any([int(query)]))
        if re.fullmatch(r"[0-9a-f]{12,64}", query):
            yield find_rows(ledger, "content_digest", begins_with(query))
        if self._texts is not None:
            keys = set(self._texts.found[query])
            every = (row for batch in read_ledger(ledger) for row in batch)
            yield (row for row in every if (row["module"], row["source"], row["row"]) in keys)
        else:
            yield find_rows(ledger, "lines", holds_any(set(_lines_with(self._data, query))))
            held = [self._paths.validation] if self._paths.validation.is_file() else []
            yield find_rows(ledger, "detail", names_line(set(_lines_with(held, query))))

    def _explained(self, row: LedgerRow) -> Explanation:
        module, report = self._recipes[row["module"]], self._reports[row["module"]]
        source = {part["id"]: part for part in module["sources"]}[row["source"]]
        usable = row["occurrence"] is not None
        draw, order = self._ranks(row, report) if usable else (None, None)
        if row["reason"] == HELD_OUT:
            draw = None  # it was taken out before anything was drawn
        checks = ["schema", "license"]
        checks += [check.name for check in builtin_checks(module["max_length"])]
        return Explanation(
            module=row["module"], version=module["version"], weight=module.get("weight"),
            asked=report.get("amount") or f"weight {module.get('weight')}",
            usable=report["usable"], module_lines=report.get("epoch_lines", report["lines"]),
            source=row["source"], uri=source["uri"], revision=source["revision"],
            row=row["row"], id=row["id"], license=row["license"],
            content_digest=row["content_digest"], fate=row["fate"], reason=row["reason"],
            detail=row["detail"], repairs=tuple(row["repairs"]),
            digest_before=row["digest_before"],
            checks_passed=(*checks, *module["checks"]) if usable else (),
            draw_rank=draw, cutoff=report["cutoff"], order_rank=order,
            lines=tuple(row["lines"]), uses=self._uses(row),
        )  # fmt: skip

    def _uses(self, row: LedgerRow) -> tuple[int, ...]:
        """Return how often each epoch has a row that is in the data, if its orders are here."""
        paths = self._paths.orders(len(self._orders))
        if not row["lines"] or not all(path.is_file() for path in paths):
            return ()
        from teapot.orderfile import OrderReader  # arrays, which few need

        uses = []
        for path, stated in zip(paths, self._orders, strict=True):
            blocks = OrderReader(path, stated["bytes"]).blocks()
            uses.append(sum(int((block == row["lines"][0] - 1).sum()) for block in blocks))
        return tuple(uses)

    def _ranks(self, row: LedgerRow, report: Mapping[str, Any]) -> tuple[str, str]:
        """Return the rank of the copy that not every row has, and the order rank of copy 0."""
        digest, occurrence = bytes.fromhex(row["content_digest"]), row["occurrence"]
        whole = report["lines"] // max(report["usable"], 1)
        draw = Ranker(DRAW_LABEL, self._seed, row["module"]).rank(digest, occurrence, whole)
        order = Ranker(ORDER_LABEL, self._seed, row["module"]).rank(digest, occurrence)
        return draw.hex(), order.hex()


def _paths_of(path: Path) -> OutputPaths:
    if path.name.endswith(".manifest.json"):
        subject = _manifest(path)["subject"][0]["name"]
        paths = OutputPaths(path.with_name(Path(subject).name))
    else:
        paths = OutputPaths.of_file(path)
    recover(paths)
    for part in (paths.manifest, paths.ledger):
        if not part.is_file():
            message = f"no such file; explain a {SUFFIX} file to read the sources instead"
            raise UsageError(Problem(str(part), message))
    return paths


def _manifest(path: Path) -> dict[str, Any]:
    from teapot.schemas import schema_faults
    from teapot.strictyaml import YamlDocument

    try:
        value = loads(path.read_bytes())
    except OSError as error:
        raise UsageError(Problem(str(path), f"cannot be read: {error.strerror}")) from error
    except CanonicalError as error:
        raise DataError(Problem(str(path), f"is not a manifest: {error}")) from error
    document = YamlDocument(str(path), value, {})
    faults = list(schema_faults("manifest", document))
    if faults or not isinstance(value, dict):
        raise DataError(*document.problems(faults[:5]))
    return value


def _data_of(paths: OutputPaths, manifest: Mapping[str, Any]) -> tuple[Path, ...]:
    """Return the data file, or the shards that a manifest tells of, as far as they are here."""
    shards = manifest["predicate"]["teapot_composition"]["data"].get("shards", ())
    files = paths.shards(len(shards)) if shards else (paths.data,)
    return files if all(path.is_file() for path in files) else ()


def _lines_with(data: Sequence[Path], text: str) -> Iterator[int]:
    """Yield the numbers of the first lines whose canonical bytes hold `text`."""
    needle, found, before = dumps(text)[1:-1], 0, 0
    for path in data:
        number = before
        with path.open("rb") as file:
            for number, line in enumerate(file, start=before + 1):
                if needle in line:
                    yield number
                    found += 1
                    if found > MAX_MATCHES:
                        return
        before = number

"""All rows of a composition under every rule: who breaks which, and what would be trained."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict
from itertools import islice
from typing import Any

from teapot.canonical import loads
from teapot.errors import DataError
from teapot.interfaces import Progress, RowExaminer
from teapot.model.encoded import Conversation
from teapot.model.encodereport import DroppedLine, EncodeReport
from teapot.model.examined import Examined, TokenFacts
from teapot.model.verification import CheckResult, Status
from teapot.rowrules import is_supervised, masked_text, one_bos, same_template, turns_end
from teapot.thinking import thinks
from teapot.trainchecks import failed
from teapot.usecases.verify import Verified

_BATCH_LINES = 128
_SHOWN_LINES = 5
_Rule = Callable[[Examined, TokenFacts], str | None]
_ROW_RULES: dict[str, tuple[str, _Rule]] = {
    "template": (
        "each row as the training template writes it with the tokenizer's own chat template",
        same_template,
    ),
    "bos": (
        "each row for exactly one BOS, at its start",
        lambda row, tokens: one_bos(row.encoded, tokens),
    ),
    "masked-text": ("the text of the trained tokens with what the assistant says", masked_text),
    "turns-end": (
        "each trained part for a token at its end that ends the turn",
        lambda row, tokens: turns_end(row.encoded, tokens),
    ),
    "supervision": (
        "each row for trained tokens, labels with the ids they stand at",
        lambda row, tokens: is_supervised(row.encoded, tokens),
    ),
}
_MAY_BE_DROPPED = ("rows", "length")


class RowSurvey:
    """What became of the rows: the faults under each rule, and the account of what is trained.

    A row that the base cannot write, or that is too long, is no part of the account; whether it may
    be left out is for the caller to say. `vocab_size` None means that the model's is not known.
    With `held_out` the rows are those of the validation file.
    """

    def __init__(
        self, composition: Verified, examiner: RowExaminer, max_length: int,
        vocab_size: int | None, *, held_out: bool = False,
    ) -> None:  # fmt: skip
        self._stated, self._held_out = composition.part(held_out=held_out), held_out
        self._composition, self._examiner = composition, examiner
        self._tokens, self._vocab_size = examiner.tokens, vocab_size
        self._max_length = max_length
        self._rows = 0
        self.faults: dict[str, list[DroppedLine]] = {}
        self.report = EncodeReport(
            key="", manifest_sha256=composition.manifest_sha256, data_sha256=self._stated.sha256,
            facts=examiner.facts, max_length=max_length,
        )  # fmt: skip

    @property
    def kept(self) -> int:
        """Return how many rows would be trained."""
        return self.report.lengths.total()

    def run(self, progress: Progress) -> None:
        """Look at every line of the file, which is hashed once more meanwhile.

        Raises:
            DigestError: the file is no longer what was verified.
        """
        total = self._stated.records
        lines = enumerate(self._composition.lines(held_out=self._held_out), start=1)
        while batch := list(islice(lines, _BATCH_LINES)):
            records = [loads(line) for _, line in batch]
            rows = [Conversation(record["messages"], record.get("tools")) for record in records]
            examined = self._examiner.examine(rows)
            for (number, _), record, made in zip(batch, records, examined, strict=True):
                self._take(number, record, made)
            progress("check", batch[-1][0], total)

    def results(self, *, drops: bool) -> Iterator[CheckResult]:
        """Yield a check for each rule; with `drops`, rows that may be left out are no fault."""
        compared = {
            "rows": "each row: the base can write it and cut it into tokens",
            **{name: told for name, (told, _) in _ROW_RULES.items()},
            "length": f"the tokens of each row with max_length {self._max_length:,}",
            "vocabulary": "each token's id with the size of the model's vocabulary",
        }
        for name, told in compared.items():
            yield self._result(name, told, is_fault=not drops or name not in _MAY_BE_DROPPED)
        if not self.kept:
            yield failed("rows-left", "the rows that are left to train on", "none is left")

    def result(self, *, drops: bool) -> CheckResult:
        """Return one check for all rules, as `results` has one for each."""
        found = list(self.results(drops=drops))
        details = [f"{part.name}: {told}" for part in found for told in part.details]
        is_fault = any(part.status == Status.FAULT for part in found)
        if not self.kept:
            details.append("none is left; --no-eval trains without")
        return CheckResult(
            name="validation", status=Status.FAULT if is_fault else Status.OK,
            compared=f"each row of {self._stated.name} with all rules of rows",
            found=f"{self.kept:,} of {self._stated.records:,} rows to measure the loss on",
            details=tuple(details),
        )  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        """Return the account, with every fault, as JSON values."""
        made = self.report.to_dict()
        for part in made["modules"].values():
            part["thought_share"] = round(part["thoughts"] / part["rows"], 4)
        faults = {name: [asdict(line) for line in lines] for name, lines in self.faults.items()}
        return {**made, "faults": faults}

    def _take(self, number: int, record: dict[str, Any], made: Examined | DataError) -> None:
        self._rows += 1
        found = dict(self._faults_of(made))
        for rule, reason in found.items():
            line = DroppedLine(number, record["module"], reason)
            self.faults.setdefault(rule, []).append(line)
            if rule in _MAY_BE_DROPPED:
                self.report.dropped.append(line)
        if isinstance(made, Examined) and found.keys().isdisjoint(_MAY_BE_DROPPED):
            has_thought = thinks(record["messages"])
            self.report.count(record["module"], made.encoded, has_thought=has_thought)

    def _faults_of(self, made: Examined | DataError) -> Iterator[tuple[str, str]]:
        if isinstance(made, DataError):
            yield "rows", "; ".join(str(problem) for problem in made.problems)
            return
        for name, (_, rule) in _ROW_RULES.items():
            told = rule(made, self._tokens)
            if told is not None:
                yield name, told
        ids = made.encoded.ids
        if len(ids) > self._max_length:
            yield "length", f"has {len(ids):,} tokens, more than {self._max_length:,}"
        if self._vocab_size is not None and max(ids, default=0) >= self._vocab_size:
            yield "vocabulary", f"has the id {max(ids)}, the model knows {self._vocab_size:,}"

    def _result(self, name: str, compared: str, *, is_fault: bool) -> CheckResult:
        if name == "vocabulary" and self._vocab_size is None:
            return failed(name, compared, "the model's config.json does not tell")
        lines = self.faults.get(name, [])
        details = [f"line {at.line} ({at.module}): {at.reason}" for at in lines[:_SHOWN_LINES]]
        if len(lines) > _SHOWN_LINES:
            details.append(f"and {len(lines) - _SHOWN_LINES:,} more rows; --json lists all")
        found = f"{self._rows - len(lines):,} of {self._rows:,} rows"
        return CheckResult(
            name=name, status=Status.FAULT if lines and is_fault else Status.OK, compared=compared,
            found=f"{found}; the others are left out" if lines and not is_fault else found,
            details=tuple(details),
        )  # fmt: skip

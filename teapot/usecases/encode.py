"""The use case `encode`: a verified data file as token ids and labels, with an account of it.

The account (`<name>.<base>.encoded.json`) is written last and holds the digest of the rows, so rows
without one count for nothing. What was made from the same manifest, tokenizer, template and prompt
is not made again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from hashlib import sha256
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from teapot.canonical import dumps, dumps_readable, loads
from teapot.digest import sha256_hex
from teapot.encodedfile import EncodedWriter, digest_of_rows
from teapot.errors import DataError, OutputError, Problem, UsageError
from teapot.files import write_atomically
from teapot.interfaces import Progress, RowEncoder, Trainer, silent
from teapot.model.encoded import Conversation, Encoded, EncodedRow
from teapot.model.encodereport import DroppedLine, EncodeReport
from teapot.thinking import thinks
from teapot.usecases.verify import Verified, VerifyOptions, verified

SUFFIX = ".arrow"
_BATCH_LINES = 256
_SHOWN_FAULTS = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class EncodeOptions:
    """How a data file is encoded.

    A row of more than `max_length` tokens, or one that the base cannot write or mask, fails the
    whole (`fail`) or is left out and listed (`drop`). It is never cut.
    """

    tokenizer: Path
    system_prompt: str | None = None
    max_length: int | None = None
    on_bad_row: Literal["fail", "drop"] = "fail"
    output: Path | None = None
    verify: VerifyOptions = field(default_factory=VerifyOptions)
    progress: Progress = silent


@dataclass(frozen=True, kw_only=True, slots=True)
class Encoding:
    """An encoded data file; `was_there` tells that it was made before, from the same things."""

    rows: Path
    report_path: Path
    report: dict[str, Any]
    was_there: bool


def encode(target: str | Path, trainer: Trainer, options: EncodeOptions) -> Encoding:
    """Encode a composition that verifies, for one base.

    Raises:
        DataError, UnsignedError, UntrustedError: the composition does not verify, or a row cannot
            be trained and may not be dropped; names the first lines.
        UsageError, ConfigError: there is no such tokenizer, it is not one of this base, or the
            output has another suffix.
        OutputError: the output cannot be written.
    """
    if options.output is not None and options.output.suffix != SUFFIX:
        raise UsageError(Problem(str(options.output), f"is no name for rows, expected *{SUFFIX}"))
    encoder = trainer.encoder(options.tokenizer, options.system_prompt)
    composition = verified(target, options.verify)
    stem = composition.paths.stem
    rows = options.output or composition.paths.data.with_name(
        f"{stem}.{encoder.facts.base}{SUFFIX}"
    )
    account = rows.with_name(f"{rows.stem}.encoded.json")
    key = _empty_report(composition, encoder, options).key
    known = _made_before(rows, account, key)
    if known is not None:
        return Encoding(rows=rows, report_path=account, report=known, was_there=True)
    with _draft(rows) as draft:
        made = write_rows(composition, encoder, options, draft).to_dict()
        account.unlink(missing_ok=True)
        draft.replace(rows)
    write_atomically(account, dumps_readable(made))
    return Encoding(rows=rows, report_path=account, report=made, was_there=False)


def write_rows(
    composition: Verified, encoder: RowEncoder, options: EncodeOptions, path: Path, *,
    held_out: bool = False,
) -> EncodeReport:  # fmt: skip
    """Write the encoded rows of a composition to a path, and return their account.

    With `held_out` they are the rows of its validation file.

    Raises:
        DataError: a row cannot be trained and may not be dropped, or none is left.
        DigestError: the data is no longer what was verified.
    """
    report = _empty_report(composition, encoder, options, held_out=held_out)
    writer = EncodedWriter(path)
    try:
        for row in _encoded(composition, encoder, options, report, held_out=held_out):
            writer.add(row)
    finally:
        digest = writer.close()
    paths = composition.paths
    _refuse_faults(report, options, paths.validation if held_out else paths.data)
    return replace(report, rows_sha256=digest)


def _empty_report(
    composition: Verified, encoder: RowEncoder, options: EncodeOptions, *, held_out: bool = False
) -> EncodeReport:
    facts = encoder.facts
    made_from = {
        "manifest": composition.manifest_sha256, "facts": asdict(facts),
        "max_length": options.max_length, "on_bad_row": options.on_bad_row,
    }  # fmt: skip
    return EncodeReport(
        key=sha256_hex(dumps(made_from)), manifest_sha256=composition.manifest_sha256,
        data_sha256=composition.part(held_out=held_out).sha256, facts=facts,
        max_length=options.max_length,
    )  # fmt: skip


def _encoded(
    composition: Verified, encoder: RowEncoder, options: EncodeOptions, report: EncodeReport, *,
    held_out: bool,
) -> Iterator[EncodedRow]:  # fmt: skip
    total = composition.part(held_out=held_out).records
    for batch in _batches(enumerate(composition.lines(held_out=held_out), start=1)):
        records = [loads(line) for _, line in batch]
        rows = [Conversation(record["messages"], record.get("tools")) for record in records]
        for (number, line), record, made in zip(batch, records, encoder.encode(rows), strict=True):
            fault = _fault(made, options.max_length)
            if fault is not None or isinstance(made, DataError):
                report.dropped.append(DroppedLine(number, record["module"], str(fault)))
                continue
            report.count(record["module"], made, has_thought=thinks(record["messages"]))
            yield EncodedRow(line=number, record_digest=sha256(line).digest(), encoded=made)
        options.progress("encode", batch[-1][0], total)


def _fault(made: Encoded | DataError, max_length: int | None) -> str | None:
    if isinstance(made, DataError):
        return "; ".join(str(problem) for problem in made.problems)
    if max_length is not None and len(made.ids) > max_length:
        return f"has {len(made.ids):,} tokens, more than {max_length:,}"
    return None


def _refuse_faults(report: EncodeReport, options: EncodeOptions, data: Path) -> None:
    if options.on_bad_row == "drop" and report.lengths:
        return
    problems = [
        Problem(f"{data}:{dropped.line}", f"{dropped.reason} ({dropped.module})")
        for dropped in report.dropped[:_SHOWN_FAULTS]
    ]
    more = len(report.dropped) - _SHOWN_FAULTS
    if more > 0:
        problems.append(Problem(str(data), f"and {more:,} more lines; --on-bad-row drop lists all"))
    if not report.lengths:
        problems.append(Problem(str(data), "no line is left to train on"))
    if problems:
        raise DataError(*problems)


def _made_before(rows: Path, account: Path, key: str) -> dict[str, Any] | None:
    """Return the account of what was made from the same things, if its rows are still there."""
    with suppress(OSError, ValueError, KeyError, TypeError, DataError):
        report: dict[str, Any] = json.loads(account.read_bytes())
        if report["key"] == key and digest_of_rows(rows) == report["rows_sha256"]:
            return report
    return None


@contextmanager
def _draft(final: Path) -> Iterator[Path]:
    """Give a place beside a file where it is written first; nothing stays after an error."""
    try:
        with TemporaryDirectory(prefix=f".{final.name}.", dir=final.parent) as folder:
            yield Path(folder, final.name)
    except OSError as error:
        told = f"cannot be written: {error.strerror or error}"
        raise OutputError(Problem(str(final), told)) from error


def _batches(lines: Iterable[tuple[int, bytes]]) -> Iterator[list[tuple[int, bytes]]]:
    waiting = iter(lines)
    while batch := list(islice(waiting, _BATCH_LINES)):
        yield batch

"""The checks of a composition's orders of epochs: the files, and what ranks make of the ledger."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy
from pyarrow import parquet

from teapot.datafile import open_beside
from teapot.epochs import LINE, EpochOrders, UniqueRecords
from teapot.errors import DataError, Problem, counted
from teapot.files import OutputPaths
from teapot.index import DIGEST_BYTES, Numbers
from teapot.ledgerdigest import bounds_of, digests_of, elements_of, numbers_of, places_of
from teapot.ledgerguard import BATCH_ROWS, UNREADABLE, refuse_nulls, refuse_other_sizes
from teapot.model.manifest import Manifest, OrderFile
from teapot.model.verification import CheckResult, Status
from teapot.orderfile import OrderReader
from teapot.scratch import room

MAX_SHOWN = 10
RANKS = "epochs"
_COMPARED = "each order with the one that ranks make of the ledger's records"
_READ = ["module", "content_digest", "occurrence", "lines"]


def check_orders(paths: OutputPaths, manifest: Manifest, *, is_data: bool) -> CheckResult:
    """Return whether each order is the one stated, and together they use every line.

    Only of data that is as stated is it known how many lines there are.
    """
    faults = list(_file_faults(paths, manifest, is_data=is_data))
    expected = f"{counted(len(manifest.orders), 'order')} over {manifest.data.records} lines"
    return CheckResult.compare(
        "orders", "SHA-256, size and numbers of each epoch's order, and that all lines are used",
        expected=expected, found=counted(len(faults), "fault") if faults else expected,
        details=_shown(faults),
    )  # fmt: skip


def check_ranks(paths: OutputPaths, manifest: Manifest) -> CheckResult:
    """Return whether the orders are those that ranks make of a ledger which is as stated."""
    count = len(manifest.orders)
    expected = counted(count, "epoch")
    try:
        faults = list(_rank_faults(paths.ledger, manifest))
    except DataError as error:
        faults = [str(problem) for problem in error.problems]
    return CheckResult.compare(
        RANKS, _COMPARED, expected=expected,
        found=counted(len(faults), "fault") if faults else expected, details=_shown(faults),
    )  # fmt: skip


def examples_are_those_of_modules(manifest: Manifest) -> bool:
    """Tell whether modules give as many examples as each order has; so files bound the work."""
    examples = sum(module.epoch_lines or 0 for module in manifest.report.modules)
    return all(
        (order.examples, order.bytes) == (examples, LINE.itemsize * examples)
        for order in manifest.orders
    )


def ranks_not_looked_at() -> CheckResult:
    """Return what stands for the check of ranks where what they would be compared with is wrong."""
    told = f"{_COMPARED}; the ledger or an order is not the one composed"
    return CheckResult(name=RANKS, status=Status.SKIPPED, compared=told)


def _file_faults(paths: OutputPaths, manifest: Manifest, *, is_data: bool) -> Iterator[str]:
    lines = manifest.data.records if is_data else 0
    is_used = room(lines, numpy.bool_, None)
    is_used[:] = False
    files = paths.orders(len(manifest.orders))
    are_read = True
    for path, stated in zip(files, manifest.orders, strict=True):
        try:
            fault = _fault(path, stated, is_used if is_data else None)
        except DataError as error:
            fault, are_read = "; ".join(problem.message for problem in error.problems), False
        if fault is not None:
            yield f"{path.name} {fault}"
    others = [path for path in paths.all_orders() if path not in files]
    yield from (f"{path.name} is no part of this composition: remove it" for path in others)
    unused = lines - int(numpy.count_nonzero(is_used))
    if are_read and unused:
        first = int(numpy.argmin(is_used)) + 1
        yield f"{counted(unused, 'line')} of the data, line {first} first, are in no epoch"


def _fault(path: Path, stated: OrderFile, is_used: Numbers | None) -> str | None:
    """Return what is wrong with one order; note the lines that it uses, where they are known."""
    reader, most = OrderReader(path, stated.bytes), -1
    for numbers in reader.blocks():
        most = max(most, int(numbers.max(initial=0)))
        if is_used is not None:
            is_used[numbers[numbers < len(is_used)]] = True
    if reader.bytes > stated.bytes:
        return f"has more than the {stated.bytes} bytes stated"
    if (reader.sha256, reader.bytes) != (stated.sha256, stated.bytes):
        found = f"found {reader.sha256}, {counted(reader.bytes, 'byte')}"
        return f"was altered: expected sha256 {stated.sha256}, {stated.bytes} bytes, {found}"
    if is_used is not None and most >= len(is_used):
        return f"names line {most + 1}, and the data has {len(is_used)}"
    return None


def _rank_faults(ledger: Path, manifest: Manifest) -> Iterator[str]:
    lines = {module.name: module.epoch_lines or 0 for module in manifest.report.modules}
    orders = EpochOrders(
        _records_of(ledger, manifest), lines, count=len(manifest.orders), seed=manifest.recipe.seed
    )
    for epoch, stated in enumerate(manifest.orders):
        digest = sha256()
        for block in orders.order(epoch):
            digest.update(block.astype(LINE, copy=False).tobytes())
        if digest.hexdigest() != stated.sha256:
            found = f"stated sha256 {stated.sha256}, the ranks give {digest.hexdigest()}"
            yield f"{stated.name} is not the order of epoch {epoch + 1}: {found}"


def _records_of(ledger: Path, manifest: Manifest) -> UniqueRecords:
    """Return the records that a ledger has on lines.

    Raises:
        DataError: it cannot be read, or a record does not stand on exactly one line.
    """
    made = UniqueRecords(manifest.data.records)
    try:
        with open_beside(ledger) as opened, parquet.ParquetFile(opened) as file:
            refuse_other_sizes(file, ledger, manifest.ledger.rows, manifest.data.records)
            told = parquet.ParquetFile(opened, metadata=file.metadata, read_dictionary=["module"])
            for batch in told.iter_batches(BATCH_ROWS, columns=_READ, use_threads=False):
                batch.validate(full=True)
                _add(made, batch, ledger)
    except UNREADABLE as error:
        told = f"cannot be read as a ledger: {' '.join(str(error).split())[:200]}"
        raise DataError(Problem(str(ledger), told)) from error
    return made


def _add(records: UniqueRecords, batch: Any, ledger: Path) -> None:
    """Add the rows of a batch that are on a line.

    Raises:
        DataError: one is on several, or on one that the data has not.
    """
    refuse_nulls(batch, names=_READ)
    lengths = numpy.diff(bounds_of(batch.column("lines")))
    lines = numbers_of(elements_of(batch.column("lines"))) - 1
    is_kept = lengths > 0
    if (lengths > 1).any() or not ((lines >= 0) & (lines < records.total)).all():
        told = "has a row on several lines, or on one that the data has not"
        raise DataError(Problem(str(ledger), f"{told}; where epochs have orders, each is on one"))
    digests = digests_of(batch.column("content_digest"), is_kept)
    contents = numpy.frombuffer(digests.tobytes(), dtype=numpy.uint8).reshape(-1, DIGEST_BYTES)
    occurrences = numbers_of(batch.column("occurrence"))[is_kept]
    modules = places_of(batch.column("module"))[is_kept]
    starts = [0, *(numpy.flatnonzero(numpy.diff(modules)) + 1).tolist(), len(modules)]
    for start, stop in pairwise(starts):
        if stop > start:
            name, rows = batch.column("module").dictionary[modules[start]], slice(start, stop)
            records.add(name.as_py(), contents[rows], occurrences[rows], lines[rows])


def _shown(faults: list[str]) -> list[str]:
    more = len(faults) - MAX_SHOWN
    return [*faults[:MAX_SHOWN], *([f"and {counted(more, 'more fault')}"] if more > 0 else [])]

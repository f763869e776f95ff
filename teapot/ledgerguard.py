"""What a ledger may be before a row of it is read, and the process that may break over one."""

from __future__ import annotations

import resource
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as arrow
from pyarrow import parquet

from teapot import processes
from teapot.datafile import open_beside
from teapot.errors import DataError, Problem
from teapot.ledgercolumns import LEDGER
from teapot.ledgerdigest import elements_of

BATCH_ROWS = 16384
_MAX_GROUP_ROWS = 1 << 17
_MAX_GROUP_BYTES = 1 << 30
_MAX_VALUES_A_ROW = 64  # repairs, and one for an empty list; lines come on top
_UNPACKED_BYTES = 1 << 30
_OWN_MEMORY_BYTES = 8 << 30
_NEVER_NULL = ("module", "source", "row", "fate", "repairs", "lines")
UNREADABLE = (
    arrow.ArrowException, OSError, MemoryError, ValueError, OverflowError, TypeError,
)  # fmt: skip


def unpacks_to_much(path: Path) -> bool:
    """Tell whether a small ledger could unpack to much: texts are stored once, if equal."""
    size = path.stat().st_size
    try:
        with open_beside(path) as opened, parquet.ParquetFile(opened) as file:
            if not _is_ledger(file):
                return False
            if any(group.total_byte_size > _MAX_GROUP_BYTES >> 4 for group in _groups(file)):
                return True
            return any(
                min(group.num_rows, BATCH_ROWS) * column.total_uncompressed_size > _UNPACKED_BYTES
                for group, column in _columns(file, size)
            )
    except (DataError, *UNREADABLE):
        return False  # whoever audits it will say why


def _is_ledger(file: Any) -> bool:
    found = file.schema_arrow
    return bool(found.names == LEDGER.names and found.types == LEDGER.types)


def _groups(file: Any) -> Iterator[Any]:
    return (file.metadata.row_group(number) for number in range(file.num_row_groups))


def _columns(file: Any, size: int) -> Iterator[tuple[Any, Any]]:
    """Yield what a file says of each column of each row group, with the group.

    Where it says nothing, pyarrow ends the process (seen in 26.0) and raises nothing. A scan, which
    keeps no value, finds such a file, and raises. A large file is spared the scan: it is looked at
    in a process of its own only, whose end is a fault.
    """
    if size <= processes.OWN_PROCESS_BYTES:
        file.scan_contents()
    for group in _groups(file):
        yield from ((group, group.column(number)) for number in range(group.num_columns))


def bound_memory() -> None:
    """Have this process fail where it wants more memory than any ledger needs."""
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    bound = _OWN_MEMORY_BYTES if hard == resource.RLIM_INFINITY else min(hard, _OWN_MEMORY_BYTES)
    resource.setrlimit(resource.RLIMIT_DATA, (bound, hard))


def refuse_other_sizes(file: Any, path: Path, rows: int, lines: int) -> None:
    """Refuse a ledger of other columns or rows than stated, or one that could unpack without end.

    Raises:
        DataError: it is such a file.
    """
    if not _is_ledger(file):
        raise DataError(Problem(str(path), "is no ledger: it has other columns"))
    if file.metadata.num_rows != rows:
        told = f"has {file.metadata.num_rows:,} rows, the manifest states {rows:,}"
        raise DataError(Problem(str(path), told))
    for group in _groups(file):
        if group.num_rows > _MAX_GROUP_ROWS or group.total_byte_size > _MAX_GROUP_BYTES:
            told = f"has a row group of {group.num_rows:,} rows and {group.total_byte_size:,} bytes"
            raise DataError(Problem(str(path), f"{told}, more than any ledger of Teapot's"))
    for group, column in _columns(file, path.stat().st_size):
        values, held = column.num_values, group.num_rows
        if values > lines + _MAX_VALUES_A_ROW * held:
            told = f"has lists of {values:,} values for {held:,} rows and {lines:,} lines"
            raise DataError(Problem(str(path), f"{told}, more than any ledger of Teapot's"))


def refuse_nulls(batch: Any, names: Sequence[str] = _NEVER_NULL) -> None:
    """Refuse nulls where no ledger has one, in the columns that were read.

    Raises:
        ValueError: there is one.
    """
    for name in set(names).intersection(_NEVER_NULL):
        column = batch.column(name)
        is_list = arrow.types.is_list(column.type)
        if column.null_count or (is_list and elements_of(column).null_count):
            raise ValueError(f"the column {name} holds a null")

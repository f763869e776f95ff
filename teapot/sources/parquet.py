"""Parquet through pyarrow, a batch of rows at a time.

Where every column is of text, whole numbers and truth values, JSON says a row exactly as it is:
such a file is given as blocks of JSON Lines too, whose rows compiled code judges.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

from teapot.canonical import dumps_lines
from teapot.errors import DataError, SourceError
from teapot.interfaces import Block, SourceContext, SourceReader
from teapot.model.module import SourceSpec
from teapot.sources.local import LocalFile, Rows, WholeFileReader, open_local

_BATCH_ROWS = 1024
_MAX_DEPTH = 32


class ParquetSource:
    """Source kind `parquet`: a file beside the module."""

    def open(self, spec: SourceSpec, context: SourceContext) -> SourceReader:
        """Return a reader of `spec.path`, taken relative to the module file."""
        return open_local(LocalFile(path=context.folder / (spec.path or ""), spec=spec), "parquet")


class ParquetReader(WholeFileReader):
    """The rows of one Parquet file."""

    def _refuse_twins(self, fields: list[Any], inside: str) -> None:
        """Refuse two columns of one name at any depth: a row could hold only one of them."""
        names = [field.name for field in fields]
        twin = next((name for name in names if names.count(name) > 1), None)
        if twin is not None:
            raise DataError(self.file.problem(f"two columns of one name, {inside}{twin}"))
        for field in fields:
            nested = [field.type.field(place) for place in range(field.type.num_fields)]
            self._refuse_twins(nested, f"{inside}{field.name}.")

    def rows(self) -> Rows:
        """Yield rows in file order, numbered through all row groups."""
        number = 0
        for batch in self._batches():
            for row in batch:
                number += 1
                yield number, row

    def _batches(self) -> Iterator[list[Any]]:
        from pyarrow.parquet import ParquetFile

        number = 0
        with self._told(lambda: number), ParquetFile(self.file.path) as parquet:
            self._refuse_twins(list(parquet.schema_arrow), "")
            for batch in parquet.iter_batches(batch_size=_BATCH_ROWS):
                yield _without_clocks(batch).to_pylist()
                number += batch.num_rows
                self.file.progress(self.file.spec.id, number, parquet.metadata.num_rows)

    @contextmanager
    def _told(self, rows_read: Callable[[], int]) -> Iterator[None]:
        """Tell of a file that cannot be read where it is read."""
        from pyarrow import ArrowException

        try:
            yield
        except (ArrowException, OSError, ValueError, OverflowError) as error:
            after = f" after row {rows_read()}" if rows_read() else ""
            message = f"cannot be read as Parquet{after}: {error}"
            raise DataError(self.file.problem(message)) from error


class PlainParquetReader(ParquetReader):
    """The rows of a Parquet file that JSON says as they are, in blocks too."""

    def blocks(self) -> Iterator[Block]:
        """Yield the rows as JSON Lines, and know how many there were in the end."""
        self._rows = 0
        digest = bytes.fromhex(self._sha256)
        try:
            for number, rows in enumerate(self._batches()):
                yield Block(dumps_lines(rows), number=number, prefix_sha256=digest)
                self._rows += len(rows)
        except OSError as error:
            message = f"cannot be read: {error.strerror or error}"
            raise SourceError(self.file.problem(message)) from error
        self._guard.check()

    def again(self) -> BinaryIO | None:
        """Return nothing: the lines are not in the file."""
        return None


def parquet_reader(file: LocalFile) -> ParquetReader:
    """Return a reader of a Parquet file, one that gives blocks where its columns allow that."""
    from pyarrow import ArrowException
    from pyarrow.parquet import read_schema

    try:
        is_plain = all(_is_plain(field.type) for field in read_schema(file.path))
    except (ArrowException, OSError, ValueError):
        is_plain = False  # told when it is read
    return PlainParquetReader(file) if is_plain else ParquetReader(file)


def _is_plain(kind: Any, depth: int = 0) -> bool:
    """Tell whether what is in a column comes back from JSON as it went in.

    Fractions are not among it (NaN), nor bytes, times, decimals, maps, or types of others.
    """
    from pyarrow import types

    if types.is_struct(kind) or types.is_list(kind) or types.is_large_list(kind):
        inner = (kind.field(place).type for place in range(kind.num_fields))
        return depth < _MAX_DEPTH and all(_is_plain(one, depth + 1) for one in inner)
    is_text = types.is_string(kind) or types.is_large_string(kind)
    is_number = types.is_integer(kind) and not types.is_uint64(kind)
    return bool(is_text or is_number or types.is_boolean(kind) or types.is_null(kind))


def _without_clocks(batch: Any) -> Any:
    """Return a batch with dates and times as text: nanoseconds are more than Python's can hold."""
    import pyarrow

    for place, field in enumerate(batch.schema):
        if pyarrow.types.is_temporal(field.type):
            batch = batch.set_column(place, field.name, batch.column(place).cast(pyarrow.string()))
    return batch

"""Parquet through pyarrow, a batch of rows at a time."""

from __future__ import annotations

from typing import Any

from teapot.errors import DataError
from teapot.interfaces import SourceContext, SourceReader
from teapot.model.module import SourceSpec
from teapot.sources.local import LocalFile, Rows, WholeFileReader, open_local

_BATCH_ROWS = 1024


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
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile

        number = 0
        try:
            with ParquetFile(self.file.path) as parquet:
                self._refuse_twins(list(parquet.schema_arrow), "")
                for batch in parquet.iter_batches(batch_size=_BATCH_ROWS):
                    for row in _without_clocks(batch).to_pylist():
                        number += 1
                        yield number, row
                    self.file.progress(self.file.spec.id, number, parquet.metadata.num_rows)
        except (ArrowException, OSError, ValueError, OverflowError) as error:
            after = f" after row {number}" if number else ""
            message = f"cannot be read as Parquet{after}: {error}"
            raise DataError(self.file.problem(message)) from error


def _without_clocks(batch: Any) -> Any:
    """Return a batch with dates and times as text: nanoseconds are more than Python's can hold."""
    import pyarrow

    for place, field in enumerate(batch.schema):
        if pyarrow.types.is_temporal(field.type):
            batch = batch.set_column(place, field.name, batch.column(place).cast(pyarrow.string()))
    return batch

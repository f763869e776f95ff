"""CSV as RFC 4180 has it, with a header: UTF-8, every row as wide as the header."""

from __future__ import annotations

import csv

from teapot.errors import DataError
from teapot.interfaces import SourceContext, SourceReader
from teapot.model.module import SourceSpec
from teapot.model.record import Fault
from teapot.sources.jsonl import MAX_LINE_BYTES
from teapot.sources.local import LocalFile, Rows, WholeFileReader, open_local


class CsvSource:
    """Source kind `csv`: a file beside the module."""

    def open(self, spec: SourceSpec, context: SourceContext) -> SourceReader:
        """Return a reader of `spec.path`, taken relative to the module file."""
        return open_local(LocalFile(path=context.folder / (spec.path or ""), spec=spec), "csv")


class CsvReader(WholeFileReader):
    """The rows of one CSV file, as text by column name; rows are counted after the header."""

    def rows(self) -> Rows:
        """Yield rows in file order."""
        csv.field_size_limit(MAX_LINE_BYTES)
        number = 0
        try:
            with self.file.path.open(encoding="utf-8", errors="strict", newline="") as text:
                reader = csv.reader(text, strict=True)
                header = self._header(next(reader, []))
                for number, cells in enumerate(reader, start=1):
                    if len(cells) == len(header):
                        yield number, dict(zip(header, cells, strict=True))
                    else:
                        found = f"{len(cells)} cells, expected {len(header)} as in the header"
                        yield number, Fault("csv", found)
        except (csv.Error, UnicodeDecodeError) as error:
            message = f"cannot be read as CSV (row {number + 1}): {error}"
            raise DataError(self.file.problem(message)) from error

    def _header(self, cells: list[str]) -> list[str]:
        if not cells:
            raise DataError(self.file.problem("it is empty, expected a header"))
        if cells[0].startswith("\ufeff"):
            raise DataError(self.file.problem("it starts with a byte order mark; save it without"))
        if len(set(cells)) < len(cells):
            raise DataError(self.file.problem(f"two columns of one name in {', '.join(cells)}"))
        return cells

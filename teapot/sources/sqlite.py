"""SQLite through a query, on a database opened read-only and immutable: nothing is ever written."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from teapot.errors import DataError, UsageError
from teapot.interfaces import SourceContext, SourceReader
from teapot.model.module import SourceSpec
from teapot.model.record import Fault
from teapot.sources.local import LocalFile, Rows, WholeFileReader, open_local


class SqliteSource:
    """Source kind `sqlite`: a database beside the module, and a query."""

    def open(self, spec: SourceSpec, context: SourceContext) -> SourceReader:
        """Return a reader of `spec.query` on `spec.path`, taken relative to the module file."""
        return open_local(LocalFile(path=context.folder / (spec.path or ""), spec=spec), "sqlite")


class SqliteReader(WholeFileReader):
    """The rows that a query makes, by column name."""

    def __init__(self, file: LocalFile) -> None:
        if file.spec.query is None:
            raise UsageError(file.problem("an SQLite source needs query:, a SELECT"))
        real = file.path.resolve()
        beside = [real.with_name(real.name + ending) for ending in ("-wal", "-journal")]
        for journal in filter(_has_changes, beside):
            raise DataError(
                file.problem(f"{journal.name} holds changes not yet in the database; close the "
                             "program that writes it, or checkpoint it")
            )  # fmt: skip
        super().__init__(file)

    def rows(self) -> Rows:
        """Yield rows in the order of the query."""
        uri = f"file:{quote(str(self.file.path.resolve()))}?mode=ro&immutable=1"
        number = 0
        try:
            with closing(sqlite3.connect(uri, uri=True)) as connection:
                connection.execute("PRAGMA query_only = 1")
                # ATTACH and VACUUM INTO would write files of their own.
                connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
                cursor = connection.execute(self.file.spec.query or "")
                columns = [column[0] for column in cursor.description or ()]
                if len(set(columns)) < len(columns) or not columns:
                    found = ", ".join(columns) or "no columns"
                    raise UsageError(self.file.problem(f"the query gives {found}; name each once"))
                for number, values in enumerate(cursor, start=1):
                    blob = next((c for c, v in zip(columns, values, strict=True)
                                 if isinstance(v, bytes)), None)  # fmt: skip
                    if blob is None:
                        yield number, dict(zip(columns, values, strict=True))
                    else:
                        yield number, Fault("sqlite", f"the column {blob} holds a BLOB")
        except sqlite3.Error as error:
            denied = " (a source's query may only read, with one SELECT)"
            wrote = any(sign in str(error) for sign in ("readonly database", "too many attached"))
            hint = denied if wrote else ""
            message = f"the query fails{_after(number)}: {error}{hint}"
            raise DataError(self.file.problem(message)) from error


def _after(number: int) -> str:
    return f" after row {number}" if number else ""


def _has_changes(journal: Path) -> bool:
    """Tell whether a journal holds changes; a finished one is empty or begins with zeros."""
    if not journal.is_file():
        return False
    with journal.open("rb") as file:
        return bool(file.read(8).strip(b"\0"))

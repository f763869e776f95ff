"""The use case `render`: chat rows as a base writes them, one after the other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from teapot.canonical import loads
from teapot.errors import DataError, Problem, SourceError
from teapot.interfaces import Trainer
from teapot.model.module import SourceSpec
from teapot.model.record import Dropped, Fault, Row
from teapot.model.rendered import Rendered
from teapot.sources.jsonl import parse_row, split_lines
from teapot.sources.local import LocalFile, open_local
from teapot.usecases.onerecord import maker_of_any

_BLOCK_BYTES = 1 << 16


def render_rows(
    trainer: Trainer, source: Path | BinaryIO, system_prompt: str | None = None
) -> Iterator[Rendered]:
    """Yield each row of a chat JSONL file, or of a stream of one, as the base writes it.

    Rows are read as records are: strictly, in any shape that rows have, tools in canonical order.
    Only what the base can write is checked, not what `check` would say of them.

    Raises:
        DataError: a row cannot be read, or the base cannot write it; names file and line.
        SourceError: there is no such file.
    """
    label = str(source) if isinstance(source, Path) else "<stdin>"
    maker = maker_of_any("rows", label, checks=())
    for number, row in _rows(source, label):
        where = f"{label}:{number}"
        if isinstance(row, Fault):
            raise DataError(Problem(where, row.shown()))
        made = maker.make(row)
        if isinstance(made, Dropped):
            raise DataError(Problem(where, made.shown))
        tools = loads(made.line).get("tools") if "tools" in row else None
        try:
            yield trainer.render(made.messages, tools, system_prompt)
        except DataError as error:
            raise DataError(*(replace(told, where=where) for told in error.problems)) from error


def _rows(source: Path | BinaryIO, label: str) -> Iterable[tuple[int, Row | Fault]]:
    if not isinstance(source, Path):
        return _stream_rows(source, label)
    if not source.is_file():
        found = "a folder, expected a file" if source.is_dir() else "no such file"
        raise SourceError(Problem(label, found))
    spec = SourceSpec(id=source.stem, kind="jsonl", path=source.name)
    return open_local(LocalFile(path=source, spec=spec, label=label), "jsonl")


def _stream_rows(stream: BinaryIO, label: str) -> Iterator[tuple[int, Row | Fault]]:
    # What has come is taken at once, so that a row is answered before the next one is written.
    read = getattr(stream, "read1", stream.read)
    number = 0
    blocks = iter(lambda: read(_BLOCK_BYTES), b"")
    for number, line in enumerate(split_lines(blocks), start=1):
        yield number, line if isinstance(line, Fault) else parse_row(line)
    if number == 0:
        raise DataError(Problem(label, "it is empty, expected at least one row"))

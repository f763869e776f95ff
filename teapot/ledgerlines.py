"""A ledger's rows as canonical JSON lines, made from whole columns at a time.

The result equals `ledger.ledger_bytes` to the byte; a property test compares the two.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

import numpy
import pyarrow as arrow
import pyarrow.compute as pc

from teapot.canonical import dumps_plain

Column = Any
_ESCAPED = numpy.zeros(256, dtype=numpy.bool_)
_ESCAPED[[*range(0x20), *b'"\\']] = True


def canonical_lines(batch: Any) -> bytes:
    """Return the rows of a record batch as canonical JSON lines, keys in order, each with its LF.

    Columns are text, whole numbers, or lists of either; a null stays null.
    """
    if not batch.num_rows:
        return b""
    parts: list[str | Column] = []
    for number, name in enumerate(sorted(batch.schema.names)):
        parts.append(f'{"," if number else "{"}"{name}":')
        parts.extend(_json(batch.column(name)))
    joined = _joined([*parts, "}\n"])
    if isinstance(joined, arrow.Scalar):  # every value is null
        line: bytes = joined.as_buffer().to_pybytes()
        return line * int(batch.num_rows)
    _, offsets, data = joined.buffers()
    if data is None:
        return b""
    bounds = arrow.Array.from_buffers(
        arrow.int32(), len(joined) + 1, [None, offsets], offset=joined.offset
    )
    lines: bytes = data.to_pybytes()[bounds[0].as_py() : bounds[len(joined)].as_py()]
    return lines


def _json(column: Column) -> list[str | Column]:
    """Return parts that, joined row by row, are a column's values as JSON texts.

    A text among the parts is that of every row.
    """
    if column.null_count == len(column):
        return ["null"]
    if arrow.types.is_list(column.type):
        return [_lists(column)]
    if arrow.types.is_integer(column.type):
        return [pc.fill_null(pc.cast(column, arrow.string()), "null")]
    if not column.null_count and pc.all(pc.equal(column, column[0])).as_py():
        return [dumps_plain(column[0].as_py()).decode("utf-8")]
    if _needs_escape(column):
        return [arrow.array(_escaped(column.to_pylist()), arrow.string())]
    quoted = ['"', column, '"']
    return quoted if not column.null_count else [pc.fill_null(_joined(quoted), "null")]


def _joined(parts: Sequence[str | Column]) -> Column:
    """Return parts joined row by row; texts that stand side by side become one first."""
    merged: list[Column] = []
    for is_text, group in groupby(parts, key=lambda part: isinstance(part, str)):
        members = list(group)
        merged.extend([_text("".join(members))] if is_text else members)
    return pc.binary_join_element_wise(*merged, _text(""))


def _needs_escape(column: Column) -> bool:
    """Tell whether any text holds a quote, a backslash or a control character."""
    data = column.buffers()[2]
    if data is None:
        return False
    characters = numpy.frombuffer(data, dtype=numpy.uint8)
    return bool(_ESCAPED[characters].any())


def _lists(column: Column) -> str | Column:
    if not column.null_count and not len(column.flatten()):
        return "[]"
    if column.null_count or column.values.null_count or not len(column.values):
        return arrow.array([dumps_plain(value).decode() for value in column.to_pylist()])
    values = _joined(_json(column.values))
    if isinstance(values, arrow.Scalar):  # all values are one and the same
        values = arrow.repeat(values, len(column.values))
    items = arrow.ListArray.from_arrays(column.offsets, values)
    joined = pc.binary_join(items, _text(","))
    return pc.binary_join_element_wise(_text("["), joined, _text("]"), _text(""))


def _escaped(values: Iterable[str | None]) -> list[str]:
    return [dumps_plain(value).decode("utf-8") for value in values]


def _text(value: str) -> Any:
    return arrow.scalar(value, arrow.string())

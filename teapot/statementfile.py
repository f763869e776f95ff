"""Reading a statement's file: strict JSON, its schema, and one way to write it."""

from __future__ import annotations

from typing import Any

from teapot.canonical import CanonicalError, check_numbers, loads
from teapot.errors import DataError, Problem
from teapot.schemas import schema_faults
from teapot.strictyaml import YamlDocument

_SHOWN_FAULTS = 5


def read_object(data: bytes, where: str, *, schema: str, max_bytes: int) -> dict[str, Any]:
    """Return the JSON object in a file's bytes; `where` is shown in errors.

    Raises:
        DataError: it is too large, not strict JSON, or does not fit the schema of this name.
    """
    if len(data) > max_bytes:
        raise DataError(Problem(where, f"has {len(data):,} bytes, expected {max_bytes:,} at most"))
    try:
        value = loads(data)
        check_numbers(value)
    except CanonicalError as error:
        raise DataError(Problem(where, f"is not strict JSON: {error}")) from error
    document = YamlDocument(where, value, {})
    faults = list(schema_faults(schema, document))
    if faults or not isinstance(value, dict):
        raise DataError(*document.problems(faults[:_SHOWN_FAULTS]))
    return value


def refuse_other_form(found: bytes, written: bytes, where: str, told: str) -> None:
    """Refuse bytes that say in another way what Teapot would write; `told` begins the error.

    Raises:
        DataError: they differ; shows the first line that does.
    """
    if found != written:
        raise DataError(Problem(where, f"{told}: {_other_line(found, written)}"))


def _other_line(found: bytes, written: bytes) -> str:
    lines, wanted = (part.decode("utf-8").split("\n") for part in (found, written))
    number = next(
        (n for n, pair in enumerate(zip(lines, wanted, strict=False)) if pair[0] != pair[1]),
        min(len(lines), len(wanted)),
    )
    line, expected = ((part[number] if number < len(part) else "") for part in (lines, wanted))
    return f"line {number + 1} is {line.strip()[:80]!r}, expected {expected.strip()[:80]!r}"

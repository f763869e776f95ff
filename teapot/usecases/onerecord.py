"""The digests of one record in a file of its own: as it lies, and of its content."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from teapot.canonical import CanonicalError, dumps, loads
from teapot.checks.builtin import builtin_checks
from teapot.digest import sha256
from teapot.errors import DataError, Problem
from teapot.interfaces import Check
from teapot.licensing import LicenseVerdict
from teapot.model.module import Module, SourceSpec
from teapot.model.record import Dropped, Fault
from teapot.records import RecordMaker, RecordOptions

_MAX_BYTES = 64 << 20
_UNCHECKED = LicenseVerdict("unchecked", allowed=True)


class AnyLicense:
    """Lets every row pass: the licence of a file at hand is its reader's business."""

    def judge(self, license_text: object) -> LicenseVerdict | Fault:
        """Return the verdict that lets a row pass."""
        return _UNCHECKED


def maker_of_any(name: str, path: str, checks: Sequence[Check] | None = None) -> RecordMaker:
    """Return what makes records of chat rows that no module describes; `checks` default to all."""
    source = SourceSpec(id=name, kind="jsonl", path=path)
    module = Module(
        name="check", version="0", description="any chat file", license="unchecked",
        sources=(source,),
    )  # fmt: skip
    chosen = builtin_checks() if checks is None else checks
    return RecordMaker(module, source, RecordOptions(licenses=AnyLicense(), checks=chosen))


def digest_of_record(path: Path) -> bytes:
    """Return the record digest of a file that holds one record, as its line or in other JSON.

    Raises:
        DataError: the file does not hold one JSON object.
    """
    data = _read(path)
    _object(data, path)
    line = data.removesuffix(b"\n")
    try:
        return sha256(dumps(loads(line)))
    except CanonicalError as error:
        raise DataError(Problem(str(path), f"is not a record: {error}")) from error


def content_digest_of(path: Path) -> bytes:
    """Return the content digest of a file that holds one chat row, in any shape that rows have.

    Raises:
        DataError: the file does not hold one chat row, or the row would be dropped.
    """
    outcome = maker_of_any(path.stem, path.name).make(_object(_read(path), path))
    if isinstance(outcome, Dropped):
        raise DataError(Problem(str(path), f"could be in no data file: {outcome.shown}"))
    return outcome.content_digest


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise DataError(Problem(str(path), f"cannot be read: {error.strerror}")) from error
    if len(data) > _MAX_BYTES:
        raise DataError(Problem(str(path), f"is over {_MAX_BYTES:,} bytes, expected one record"))
    return data


def _object(data: bytes, path: Path) -> dict[str, object]:
    try:
        value = loads(data)
    except CanonicalError as error:
        told = f"is not one record in strict JSON: {error}"
        raise DataError(Problem(str(path), told)) from error
    if not isinstance(value, dict):
        raise DataError(Problem(str(path), "is not one record, expected a JSON object"))
    return value

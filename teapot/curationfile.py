"""Reads and appends to curation files: JSON Lines, one verdict a line, strict to the byte.

A published file lies beside its module's file: `modules/<ns>/<name>.curation.<version>.jsonl`. A
local one lies under the same name in `.curations`. Lines of the prototype, which have an `id` and a
`verdict` or an `action`, are read as well.
"""

from __future__ import annotations

import re
from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, cast

from teapot.canonical import CanonicalError, check_numbers, dumps, loads
from teapot.digest import sha256_hex
from teapot.errors import ConfigError, OutputError, Problem, UsageError
from teapot.files import alone_in, open_regular, write_atomically
from teapot.messages import read_turns
from teapot.model.verdict import Decision, IdVerdict, Kind, Verdict
from teapot.schemas import schema_faults, shown
from teapot.strictyaml import YamlDocument, dotted
from teapot.verdicts import settle, settle_ids

FOLDER = ".curations"
MAX_LINE_BYTES = 16 << 20
_SHOWN = 20
_VERSION = re.compile("[A-Za-z0-9][A-Za-z0-9._-]*")
_WORDS: Mapping[str, Kind] = {
    "keep": "keep", "accept": "keep", "accepted": "keep", "approve": "keep", "approved": "keep",
    "drop": "drop", "delete": "drop", "remove": "drop", "reject": "drop", "rejected": "drop",
}  # fmt: skip
"""The words of the prototype's files; any other word is an error, and no sentence is a word."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CurationFile:
    """A curation file as it was read; `sha256` is of its very bytes."""

    path: Path
    sha256: str
    verdicts: tuple[Verdict, ...]
    by_id: tuple[IdVerdict, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Curation:
    """What a mix does with one module's rows: decisions by content digest, and by id."""

    use: str
    path: Path
    sha256: str
    unreviewed: str
    decisions: Mapping[bytes, Decision]
    by_id: Mapping[str, Decision] = field(default_factory=dict)

    def changing(self) -> dict[bytes, Decision]:
        """Return the decisions that change a record: edits and moves."""
        return {
            content: decision
            for content, decision in self.decisions.items()
            if decision.verdict in ("edit", "move")
        }


def file_name(module: str, version: str) -> Path:
    """Return where a module's file lies under `modules` or `.curations`.

    Raises:
        UsageError: no config could name this version.
    """
    if _VERSION.fullmatch(version) is None:
        told = f"found {shown(version)}, expected letters, digits and . _ - such as v1"
        raise UsageError(Problem("--version", told))
    return Path(f"{module}.curation.{version}.jsonl")


def read_curation(path: Path) -> CurationFile:
    """Return the verdicts in a file.

    Raises:
        ConfigError: it is missing, or a line is no verdict; names every such line.
    """
    try:
        data = _bytes_of(path)
    except OSError as error:
        raise ConfigError(Problem(str(path), f"cannot be read: {error.strerror}")) from error
    return parse_curation(data, path)


def parse_curation(data: bytes, path: Path) -> CurationFile:
    """Return the verdicts in the bytes of a file.

    Raises:
        ConfigError: a line is no verdict; names every such line.
    """
    verdicts: list[Verdict] = []
    by_id: list[IdVerdict] = []
    problems: list[Problem] = []
    lines = data.split(b"\n")
    if lines[-1] == b"":
        lines.pop()
    for number, line in enumerate(lines, start=1):
        found = list(_read_line(line))
        if isinstance(found[0], Verdict):
            verdicts.append(found[0])
        elif isinstance(found[0], IdVerdict):
            by_id.append(found[0])
        else:
            problems.extend(Problem(f"{path}:{number}", told[1], told[0]) for told in _told(found))
    if problems:
        raise ConfigError(*problems[:_SHOWN])
    return CurationFile(
        path=path, sha256=sha256_hex(data), verdicts=tuple(verdicts), by_id=tuple(by_id)
    )


def settled(file: CurationFile, *, use: str, unreviewed: str) -> Curation:
    """Return what is done with rows by a file.

    Raises:
        ConfigError: verdicts on one record differ, and no line says which of them stands.
    """
    found, ids = settle(file.verdicts), settle_ids(file.by_id)
    conflicts = [Problem(str(file.path), str(one)) for one in (*found.conflicts, *ids.conflicts)]
    if conflicts:
        raise ConfigError(*conflicts[:_SHOWN])
    return Curation(
        use=use, path=file.path, sha256=file.sha256, unreviewed=unreviewed,
        decisions={bytes.fromhex(key): one for key, one in found.decisions.items()},
        by_id=ids.decisions,
    )  # fmt: skip


def lines_of(verdicts: Iterable[Verdict]) -> bytes:
    """Return verdicts as the canonical lines of a file."""
    return b"".join(dumps(verdict.to_dict()) + b"\n" for verdict in verdicts)


def append_verdicts(path: Path, verdicts: Iterable[Verdict]) -> None:
    """Append verdicts to a file, all or none: it is written beside its place and renamed.

    Others who append to a file of the folder meanwhile wait, so nobody's line is lost.

    Raises:
        OutputError: it cannot be written.
    """
    try:
        with alone_in(path.parent):
            before = _bytes_of(path) if path.exists() else b""
            if before and not before.endswith(b"\n"):
                before += b"\n"
            write_atomically(path, before + lines_of(verdicts))
    except OSError as error:
        raise OutputError(Problem(str(path), f"cannot be written: {error.strerror}")) from error


def withdraw_verdict(path: Path, verdict: Verdict) -> None:
    """Take back the last line of a file, which must be of this verdict.

    Raises:
        OutputError: something else was appended since, or the file cannot be written.
    """
    line = lines_of([verdict])
    try:
        with alone_in(path.parent):
            data = _bytes_of(path)
            if not data.endswith(line):
                told = "its last line is of somebody else by now; nothing was taken back"
                raise OutputError(Problem(str(path), told))
            write_atomically(path, data.removesuffix(line))
    except OSError as error:
        raise OutputError(Problem(str(path), f"cannot be written: {error.strerror}")) from error


def _bytes_of(path: Path) -> bytes:
    with open_regular(path) as file:
        return file.read()


Fault = tuple[str, str]


def _told(found: list[Verdict | IdVerdict | Fault]) -> list[Fault]:
    return [one for one in found if isinstance(one, tuple)]


def _read_line(line: bytes) -> Iterator[Verdict | IdVerdict | Fault]:
    """Yield the verdict of a line, or all that is wrong with it, each after its path."""
    if len(line) > MAX_LINE_BYTES:
        yield "", f"the line has {len(line):,} bytes, expected at most {MAX_LINE_BYTES:,}"
        return
    if line.startswith(BOM_UTF8):
        yield "", "begins with a byte order mark; save the file as UTF-8 without one"
        return
    if not line.strip():
        yield "", "is empty, expected a verdict; remove the line"
        return
    try:
        value = loads(line)
        check_numbers(value)
    except CanonicalError as error:
        yield "", f"is not strict JSON: {error}"
        return
    if not isinstance(value, dict):
        yield "", f"found {shown(value)}, expected a verdict"
        return
    if "id" in value and "content_digest" not in value:
        yield from _by_id(value)
        return
    faults = [(dotted(p), m) for p, m in schema_faults("curation", YamlDocument("", value, {}))]
    faults = faults or list(_semantic_faults(value))
    if faults:
        yield from faults
    else:
        yield Verdict.from_dict(value)


def _semantic_faults(value: Mapping[str, Any]) -> Iterator[Fault]:
    """Yield what a schema cannot say."""
    try:
        datetime.fromisoformat(value["time"])
    except ValueError:
        yield "time", f"found {value['time']}, which is no time"
    kind = value["verdict"]
    for key, needed in (("messages", "edit"), ("category", "move"), ("module", "move")):
        if key in value and kind != needed:
            yield key, f"belongs to the verdict {needed}, and this is {kind}"
    if kind == "move" and "category" not in value and "module" not in value:
        yield "", "a move needs the key category"
    if kind == "edit" and "messages" not in value:
        yield "", "an edit needs the key messages: all of them, as they should be"
    for fault in read_turns(value["messages"]).faults if "messages" in value else ():
        yield "messages", str(fault)


def _by_id(value: Mapping[str, Any]) -> Iterator[IdVerdict | Fault]:
    """Yield the verdict of a line of the prototype; only its fields are read, never its notes."""
    words = [value[key] for key in ("verdict", "action") if value.get(key) is not None]
    if not words:
        yield "", "neither content_digest nor, as the prototype has it, verdict or action"
        return
    kinds = {_WORDS.get(word.strip().lower()) if isinstance(word, str) else None for word in words}
    if None in kinds:
        told = ", ".join(map(shown, words))
        yield "verdict", f"found {told}, expected one of {', '.join(_WORDS)}"
    elif len(kinds) > 1:
        yield "verdict", "verdict and action say different things"
    elif not isinstance(value["id"], str | int) or isinstance(value["id"], bool):
        yield "id", f"found {shown(value['id'])}, expected an id"
    else:
        reviewer = value.get("reviewer")
        notes = [value.get(key) for key in ("reason", "note", "notes")]
        reason = next((note for note in notes if isinstance(note, str) and note), None)
        name = reviewer if isinstance(reviewer, str) and reviewer else "unnamed"
        kind = cast("Kind", next(iter(kinds)))
        yield IdVerdict(id=str(value["id"]), verdict=kind, reviewer=name, reason=reason)

"""Common rows of JSON Lines, made into entries of the index and into lines by compiled code.

`teapot/_rows.c` looks at whole blocks without the interpreter's lock. A row that holds anything to
look at twice it leaves to `records`, which must end exactly where it would have ended; a property
test compares the two on any row. Where Teapot was installed without a C compiler, every row is
left, and all of this is slower and nothing else.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy
from numpy.typing import NDArray

from teapot.canonical import dumps_plain
from teapot.digest import sha256
from teapot.index import ENTRY, SPOOLED, Entries
from teapot.licensing import LicenseVerdict
from teapot.model.module import Module, SourceSpec

try:
    from teapot import _rows

    IS_COMPILED = True
except ImportError:
    IS_COMPILED = False

_MAX_LICENSES, _MAX_SOURCE_BYTES = 64, 200
_NO_LIMIT, _MAX_LIMIT = -1, (1 << 63) - 1
_THOUGHTS = {"allow": 0, "require": 1, "forbid": 2, "strip": 3}
Rules = tuple[Any, ...]

CHECKED_BYTES = 16
PLACE = numpy.dtype(
    [
        ("check", "u1", (CHECKED_BYTES,)),  # the first half of the record digest
        ("offset", "<u8"),
        ("length", "<u4"),
        ("source", "<u2"),
        ("state", "u1"),
    ]
)
"""Where a record's line is found again: in its source (`FROM_ROW`), or in the spool (`SPOOLED`)."""


@dataclass(frozen=True, slots=True)
class Scanned:
    """The rows of a block: entries, ids end to end in UTF-8, and lines where they were wanted.

    `bounds[row]` is where the id of a row ends; `licenses` are those that entries name by place. A
    row that is left has no id and no digest, and the state `NO_RECORD`.
    """

    entries: Entries
    ids: bytes
    bounds: NDArray[numpy.uint32]
    lines: bytes
    licenses: tuple[str, ...]
    said: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Rules:
    """What `_rows.c` is given, the licences that its entries name by place, how rows say them."""

    given: Rules
    licenses: tuple[str, ...]
    said: Mapping[str, str]


class CommonRows:
    """What makes a row of one source common; learns licences as rows say them.

    Several threads may use one: what they use is replaced whole, never changed, and only grows.
    """

    def __init__(
        self, module: Module, source: SourceSpec, tail: bytes, *, default: LicenseVerdict | None
    ) -> None:
        self._module, self._source, self._tail = module, source, tail
        self._growing = Lock()
        self._said: dict[str | None, str] = {}
        if default is not None and default.allowed:
            self._said[None] = default.text
        self.rules = self._rules(self._said)

    def learn(self, said: object, verdict: LicenseVerdict) -> None:
        """Take note of how a row said a licence that may enter."""
        if isinstance(said, str) and _stands_as_it_is(said):
            self.know({said: verdict.text})

    def know(self, said: Mapping[str, str]) -> bool:
        """Take note of how rows say licences, as another learnt it; False if there is no room."""
        if said.keys() <= self._said.keys():
            return True
        with self._growing:
            told = dict(self._said)
            for words, text in said.items():
                told.setdefault(words, text)
            if len(told) > _MAX_LICENSES:
                return False
            self._said, self.rules = told, self._rules(told)
            return True

    def _rules(self, said: Mapping[str | None, str]) -> _Rules:
        names = tuple(dict.fromkeys(said.values()))
        licenses = tuple(
            (None if words is None else words.encode(), dumps_plain(text), names.index(text))
            for words, text in said.items()
        )
        module, length = self._module, self._module.max_length
        limit = _NO_LIMIT if length is None else min(length, _MAX_LIMIT)
        given = (
            *(name.encode() for name in _names(module)), self._tail, self._source.id.encode(),
            licenses, limit, _THOUGHTS[module.reasoning],
            "outer-whitespace" not in module.repair,
        )  # fmt: skip
        known = {words: text for words, text in said.items() if words is not None}
        return _Rules(given, names, known)


def common_rows(
    module: Module, source: SourceSpec, tail: bytes, *, default: LicenseVerdict | None
) -> CommonRows | None:
    """Return what makes a source's rows common; None where a row of it never is."""
    fields = module.fields
    texts = [*_names(module), source.id]
    unusual = not all(map(_stands_as_it_is, texts))
    asks_more = module.system_prompt or fields.user or fields.assistant or fields.reasoning
    bent = {"role", "content", "from", "value"} & {*module.ignore_message_keys}
    too_long = len(source.id.encode()) > _MAX_SOURCE_BYTES
    columns = [*_names(module)]
    shared = len({*columns}) < len(columns) - (fields.messages is not None)
    if not IS_COMPILED or unusual or asks_more or bent or too_long or shared:
        return None
    return CommonRows(module, source, tail, default=default)


def scan_block(
    block: bytes | memoryview, common: CommonRows | None, *, keeps_lines: bool
) -> Scanned:
    """Return the rows of a block of JSON Lines, the last of which need not end in LF.

    Without `common`, every row is left.
    """
    if common is None:
        return _all_left(block)
    rules = common.rules
    entries, ids, bounds, lines = _rows.scan_block(block, rules.given, keeps_lines)
    return Scanned(
        entries=numpy.frombuffer(bytearray(entries), dtype=ENTRY),
        ids=ids,
        bounds=numpy.frombuffer(bounds, dtype=numpy.uint32),
        lines=lines,
        licenses=rules.licenses,
        said=rules.said,
    )


def gather_lines(
    places: NDArray[Any], origins: Sequence[tuple[int, int, Rules | None]]
) -> tuple[bytes, bytes, int]:
    """Return the lines found at places, with LF, their digests, end to end, and how many there are.

    `places` are of the type `PLACE`; for each source that they name, `origins` has the handles of
    its file and of the spool, and what makes its rows common. Where there are fewer lines than
    places, the line at the next one is not what it was.
    """
    if not IS_COMPILED:
        return _spooled_lines(places, origins)
    return _rows.gather_lines(numpy.ascontiguousarray(places).data.cast("B"), tuple(origins))


def _spooled_lines(
    places: NDArray[Any], origins: Sequence[tuple[int, int, Rules | None]]
) -> tuple[bytes, bytes, int]:
    lines, digests = [], []
    for place in places:
        spool = origins[place["source"]][1]
        line = os.pread(spool, int(place["length"]), int(place["offset"]))
        digest = sha256(line)
        if place["state"] != SPOOLED or digest[:CHECKED_BYTES] != place["check"].tobytes():
            break
        lines.append(line + b"\n")
        digests.append(digest)
    return b"".join(lines), b"".join(digests), len(lines)


def _all_left(block: bytes | memoryview) -> Scanned:
    lengths = [len(line) for line in bytes(block).split(b"\n")]
    if block[-1:] == b"\n":
        lengths.pop()
    entries = numpy.zeros(len(lengths), dtype=ENTRY)
    entries["length"] = lengths
    entries["offset"][1:] = numpy.cumsum(entries["length"][:-1].astype(numpy.uint64) + 1)
    return Scanned(entries, b"", numpy.zeros(len(lengths), dtype=numpy.uint32), b"", (), {})


def _stands_as_it_is(text: str) -> bool:
    """Tell whether a text needs no escape in JSON."""
    return dumps_plain(text) == b'"%b"' % text.encode()


def _names(module: Module) -> Sequence[str]:
    """Return the columns that a common row may have, in the order in which `_rows.c` takes them."""
    fields = module.fields
    return (
        fields.messages or "messages", fields.messages or "conversations", fields.id or "id",
        fields.category or "category", fields.license or "license", fields.tools or "tools",
        fields.system or "system",
    )  # fmt: skip

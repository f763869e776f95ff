"""Makes the parts of a source: common rows by compiled code, every other one by `records`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy

from teapot.digest import sha256
from teapot.index import ENTRY, FROM_ROW, NO_LICENSE, NO_RECORD, SPOOLED, Entries, license_code
from teapot.interfaces import Block
from teapot.model.record import Dropped, Example, Fault, Message, Record, Row
from teapot.model.verdict import Decision
from teapot.parts import Ids, Part, Repaired
from teapot.records import RecordMaker
from teapot.rowscan import Scanned, scan_block
from teapot.sources.jsonl import parse_row
from teapot.tokens import TokenCounter

_64_BITS = (1 << 64) - 1


class PartMaker:
    """Makes the parts of one source of one module; may be used by several threads."""

    def __init__(
        self, maker: RecordMaker, tokens: TokenCounter | None = None, *, alone: bool = False
    ) -> None:
        """Leave every row to `maker` where `alone` is set, as for counting tokens."""
        self._maker = maker
        self._tokens = tokens
        self.common = None if alone or tokens is not None else maker.common_rows()

    @property
    def asks_plugins(self) -> bool:
        """Return whether a plug-in says what becomes of rows: what it is made of nobody knows."""
        return self._maker.asks_plugins

    def knows(self, part: Part) -> bool:
        """Learn how the rows of a part say licences; False where that cannot be known any more."""
        return self.common is None or self.common.know(part.said)

    def of_block(self, block: Block) -> Part:
        """Return the part that a block of JSON Lines makes."""
        if block.fault is not None:
            return self.of_rows([block.fault])
        scanned = self._scanned(block)
        if block.offset is not None:
            entries = scanned.entries
            entries["offset"][entries["state"] == FROM_ROW] += numpy.uint64(block.offset)
        left = numpy.flatnonzero(scanned.entries["state"] == NO_RECORD).tolist()
        building = _Building(scanned)
        for place in left:
            row = _row_at(block.data, scanned.entries, place)
            self._put(building, place, row)
            if self.common is not None and not isinstance(row, Fault):
                self._maker.teach(row, self.common)
        return building.part()

    def of_rows(self, rows: Sequence[Row | Fault]) -> Part:
        """Return the part that rows make which were read by another format's reader."""
        entries = numpy.zeros(len(rows), dtype=ENTRY)
        nothing = numpy.zeros(len(rows), dtype=numpy.uint32)
        building = _Building(Scanned(entries, b"", nothing, b"", (), {}))
        for place, row in enumerate(rows):
            self._put(building, place, row)
        return building.part()

    def revise(self, row: Row, identity: str, decision: Decision) -> Example | Dropped:
        """Return what a row makes after a reviewer's edit or move."""
        return self._maker.revise(row, identity, decision)

    def remake(self, record: Record, messages: list[Message]) -> Example | Dropped:
        """Return what a record makes with other messages, checked as any other."""
        return self._maker.remake(record, messages)

    def tokens_of(self, example: Example) -> int:
        """Return the tokens of an example, 0 where nobody counts them."""
        return self._tokens.count(example.messages) if self._tokens is not None else 0

    def _scanned(self, block: Block) -> Scanned:
        """Return the rows of a block; a licence that most of them are left for is learnt first."""
        scanned = scan_block(block.data, self.common, keeps_lines=not block.again)
        left = numpy.flatnonzero(scanned.entries["state"] == NO_RECORD)
        if self.common is None or 2 * len(left) < len(scanned.entries) or not len(left):
            return scanned
        row, known = _row_at(block.data, scanned.entries, int(left[0])), self.common.rules
        if not isinstance(row, Fault):
            self._maker.teach(row, self.common)
        if self.common.rules is known:
            return scanned
        return scan_block(block.data, self.common, keeps_lines=not block.again)

    def _put(self, building: _Building, place: int, row: Row | Fault) -> None:
        outcome = unparsed(row) if isinstance(row, Fault) else self._maker.make(row)
        if isinstance(outcome, Dropped):
            building.drop(place, outcome)
            return
        building.keep(place, outcome, self.tokens_of(outcome))


def unparsed(fault: Fault) -> Dropped:
    """Return what becomes of a row that could not be parsed."""
    return Dropped(reason=fault.code, detail=str(fault), shown=fault.shown())


def id_hash(identity: str) -> int:
    """Return the 64 bits by which ids are told apart: FNV-1a, mixed, as `_rows.c` computes them."""
    mixed = 0xCBF29CE484222325
    for byte in identity.encode():
        mixed = (mixed ^ byte) * 0x100000001B3 & _64_BITS
    return (mixed ^ mixed >> 32) * 0x9E3779B97F4A7C15 & _64_BITS


class _Building:
    """A part in the making: what was scanned, and one row after another that was left."""

    def __init__(self, scanned: Scanned) -> None:
        self._entries, self._scanned = scanned.entries, scanned
        self._entries["row"] = numpy.arange(1, len(self._entries) + 1)
        self._licenses = {text: code for code, text in enumerate(scanned.licenses)}
        self._ids: dict[int, str | None] = {}
        self._odd: dict[int, Dropped | Repaired] = {}
        self._lines = [scanned.lines]
        self._spooled_bytes = len(scanned.lines)

    def keep(self, place: int, example: Example, tokens: int) -> None:
        """Enter an example that `records` has made."""
        entry = self._entries[place]
        entry["content"] = numpy.frombuffer(example.content_digest, dtype=numpy.uint8)
        entry["record"] = numpy.frombuffer(sha256(example.line), dtype=numpy.uint8)
        entry["offset"], entry["length"] = self._spooled_bytes, len(example.line)
        entry["id_hash"], entry["characters"] = id_hash(example.id), example.characters
        entry["tokens"] = tokens
        entry["license"] = license_code(self._licenses, example.license)
        entry["state"] = SPOOLED
        self._lines.append(example.line)
        self._spooled_bytes += len(example.line)
        self._ids[place] = example.id
        if example.repairs:
            self._odd[place] = Repaired(example.repairs, example.digest_before or b"")

    def drop(self, place: int, dropped: Dropped) -> None:
        """Enter a row that is no example."""
        entry = self._entries[place]
        if dropped.content_digest is not None:
            entry["content"] = numpy.frombuffer(dropped.content_digest, dtype=numpy.uint8)
        entry["license"] = NO_LICENSE
        if dropped.license is not None:
            entry["license"] = license_code(self._licenses, dropped.license)
        self._ids[place] = dropped.id
        self._odd[place] = dropped

    def part(self) -> Part:
        """Return what was built."""
        ids = Ids(self._scanned.ids, self._scanned.bounds, self._ids)
        lines = b"".join(self._lines)
        return Part(self._entries, tuple(self._licenses), ids, self._odd, lines, self._scanned.said)


def _row_at(data: bytes | memoryview, entries: Entries, place: int) -> Row | Fault:
    start = int(entries["offset"][place])
    return parse_row(bytes(data[start : start + int(entries["length"][place])]))

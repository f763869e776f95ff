"""The compact index: some 70 bytes for each usable record, and nothing else grows with the data.

Records are numbered in the order they were read: module by module in the order of names, source by
source, row by row. Digests are kept as they are (32 bytes), the rest as unsigned integers.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator

import numpy
from numpy.typing import NDArray

DIGEST_BYTES = 32
Keys = NDArray[numpy.uint64]


class RecordIndex:
    """Columns over all usable records; `spans` tells which of them a module has."""

    def __init__(self) -> None:
        self._digests = bytearray()
        self.offsets = array("Q")
        self.lengths = array("I")
        self.rows = array("Q")
        self.sources = array("H")
        self.licenses = array("H")
        self.characters = array("Q")
        self.tokens = array("Q")
        self.spans: dict[str, range] = {}
        self.source_names: list[str] = []
        self.license_names: list[str] = []
        self._license_codes: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self.rows)

    def begin_source(self, name: str) -> None:
        """Say that the records added from here on come from the source of this name."""
        self.source_names.append(name)

    def end_module(self, name: str) -> None:
        """Say that all records added since the last module belong to the module of this name."""
        start = max((span.stop for span in self.spans.values()), default=0)
        self.spans[name] = range(start, len(self))

    def add(
        self, digest: bytes, license_text: str, *, row: int, characters: int, tokens: int
    ) -> None:
        """Append one usable record, without a place in a spool."""
        self._digests += digest
        self.rows.append(row)
        self.sources.append(len(self.source_names) - 1)
        self.licenses.append(self._license_code(license_text))
        self.characters.append(characters)
        self.tokens.append(tokens)

    def place(self, offset: int, length: int) -> None:
        """Say where the record added last lies in the spool, in bytes."""
        self.offsets.append(offset)
        self.lengths.append(length)

    def digest(self, record: int) -> bytes:
        """Return the 32-byte content digest of one record."""
        start = record * DIGEST_BYTES
        return bytes(self._digests[start : start + DIGEST_BYTES])

    def digest_keys(self, span: range | None = None) -> Keys:
        """Return the content digests of all records, or of a span, as keys, shape (records, 4)."""
        if span is None:
            return keys_of(self._digests)
        return keys_of(self._digests[span.start * DIGEST_BYTES : span.stop * DIGEST_BYTES])

    def module_numbers(self) -> NDArray[numpy.int64]:
        """Return for each record the place of its module in `spans`, shape (records,)."""
        sizes = [len(span) for span in self.spans.values()]
        return numpy.repeat(numpy.arange(len(sizes)), sizes)

    def modules(self) -> Iterator[tuple[str, range]]:
        """Yield each module's name with its records."""
        yield from self.spans.items()

    def _license_code(self, text: str) -> int:
        code = self._license_codes.get(text)
        if code is None:
            code = self._license_codes[text] = len(self.license_names)
            self.license_names.append(text)
        return code


def keys_of(digests: bytes | bytearray) -> Keys:
    """Return 32-byte digests laid end to end as rows of four numbers that sort as the bytes do."""
    big_endian = numpy.frombuffer(digests, dtype=">u8").reshape(-1, 4)
    return big_endian.astype(numpy.uint64)


def sort_order(keys: Keys) -> NDArray[numpy.int64]:
    """Return the order that sorts rows of `keys`; equal rows keep their order."""
    first = keys[:, 0]
    order = numpy.argsort(first)  # not stable, but fast; where all are unlike it is the same
    if (first[order[1:]] != first[order[:-1]]).all():
        return order
    return numpy.lexsort((keys[:, 3], keys[:, 2], keys[:, 1], keys[:, 0])).astype(numpy.int64)

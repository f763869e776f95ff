"""Ranks: the content-derived keys by which rows are drawn and ordered.

    rank = SHA-256(label NUL seed NUL module NUL content-digest occurrence copy)

`label` is `teapot/draw/v1` when choosing the rows of a fraction and `teapot/order/v1` when sorting
the output: with one label for both, a module with weight 0.3 would lie wholly in the first third of
the file. `teapot/split/v1`, with no module, decides which records are held out (see `splitting`).
`seed` is decimal ASCII, `module` UTF-8, the digest 32 bytes, `occurrence` (which of
several equal records in a module) and `copy` (which repetition) unsigned 32-bit big-endian numbers.
No random-number stream is used, so nothing but these values decides choice and order.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import numpy
from numpy.typing import NDArray

from teapot.batches import hash_rows

DRAW_LABEL = b"teapot/draw/v1"
ORDER_LABEL = b"teapot/order/v1"
SPLIT_LABEL = b"teapot/split/v1"
_ROW = numpy.dtype([("content", "u1", (32,)), ("occurrence", ">u4"), ("copy", ">u4")])


class Ranker:
    """Ranks for one label, seed and module."""

    def __init__(self, label: bytes, seed: int, module: str) -> None:
        self._prefix = b"\0".join((label, str(seed).encode(), module.encode(), b""))

    def rank(self, content_digest: bytes, occurrence: int = 0, copy: int = 0) -> bytes:
        """Return the 32-byte rank of one copy of one record."""
        numbers = occurrence.to_bytes(4, "big") + copy.to_bytes(4, "big")
        return sha256(self._prefix + content_digest + numbers).digest()

    def ranks(
        self, contents: NDArray[numpy.uint8], occurrences: NDArray[Any], copy: int = 0
    ) -> NDArray[numpy.uint8]:
        """Return the ranks of one copy of many records, shape (n, 32) as their content digests."""
        rows = numpy.empty(len(contents), dtype=_ROW)
        rows["content"], rows["occurrence"], rows["copy"] = contents, occurrences, copy
        ranks = hash_rows(self._prefix, rows.data.cast("B"), _ROW.itemsize)
        return numpy.frombuffer(ranks, dtype=numpy.uint8).reshape(-1, 32)

"""The Merkle tree of RFC 9162 §2.1, computed as leaves arrive, and proofs that a leaf is in it.

Leaves are 32-byte digests: `leaf = SHA-256(0x00 || digest)`,
`node = SHA-256(0x01 || left || right)`, and the root of an empty tree is the SHA-256 of nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256

from teapot.batches import subtree_root
from teapot.digest import DIGEST_BYTES

BLOCK_LEAVES = 4096
"""How many leaves `extend_digests` hashes in one call."""


class MerkleTree:
    """A running tree that holds one hash per level, so its size is the logarithm of its leaves."""

    def __init__(self) -> None:
        self._subtrees: list[bytes] = []
        self.leaves = 0

    def add(self, entry: bytes) -> None:
        """Append one entry as the next leaf."""
        self._push(sha256(b"\x00" + entry).digest(), 1)

    def extend(self, entries: Iterable[bytes]) -> None:
        """Append entries as the next leaves."""
        for entry in entries:
            self.add(entry)

    def extend_digests(self, digests: bytes | bytearray) -> None:
        """Append digests of 32 bytes, which lie end to end, as the entries of the next leaves."""
        view, place = memoryview(digests), 0
        leaves = len(digests) // DIGEST_BYTES
        while place < leaves:
            size = self._fitting(leaves - place)
            subtree = view[place * DIGEST_BYTES : (place + size) * DIGEST_BYTES]
            self._push(subtree_root(subtree), size)
            place += size

    def root(self) -> bytes:
        """Return the 32-byte tree hash over all leaves added so far."""
        if not self._subtrees:
            return sha256(b"").digest()
        node = self._subtrees[-1]
        for left in reversed(self._subtrees[:-1]):
            node = sha256(b"\x01" + left + node).digest()
        return node

    def _fitting(self, left: int) -> int:
        """Return the size of the largest whole subtree that can come next."""
        size = 1 << (min(left, BLOCK_LEAVES).bit_length() - 1)
        while self.leaves % size:
            size >>= 1
        return size

    def _push(self, node: bytes, size: int) -> None:
        """Append the root of a whole subtree of `size` leaves, a power of two that fits here."""
        place = self.leaves // size
        while place & 1:
            node = sha256(b"\x01" + self._subtrees.pop() + node).digest()
            place >>= 1
        self._subtrees.append(node)
        self.leaves += size


def sibling_ranges(index: int, size: int) -> list[range]:
    """Return the leaves under each node of an inclusion path, from the leaf up (RFC 9162 §2.1.3.1).

    Raises:
        ValueError: there is no leaf of this index in a tree of this size.
    """
    if not 0 <= index < size:
        raise ValueError(f"no leaf {index} in a tree of {size} leaves")
    start, stop = 0, size
    ranges = []
    while stop - start > 1:
        middle = start + (1 << ((stop - start - 1).bit_length() - 1))
        if index < middle:
            ranges.append(range(middle, stop))
            stop = middle
        else:
            ranges.append(range(start, middle))
            start = middle
    return ranges[::-1]


class PathBuilder:
    """Computes one leaf's inclusion path while all leaves pass by, in memory of a few hashes."""

    def __init__(self, index: int, size: int) -> None:
        self._ranges = sibling_ranges(index, size)
        self._trees = [MerkleTree() for _ in self._ranges]
        self._at = 0

    def extend(self, entries: Sequence[bytes]) -> None:
        """Take the next leaves' entries."""
        stop = self._at + len(entries)
        for span, tree in zip(self._ranges, self._trees, strict=True):
            first, last = max(span.start, self._at), min(span.stop, stop)
            if first < last:
                tree.extend(entries[first - self._at : last - self._at])
        self._at = stop

    def path(self) -> tuple[bytes, ...]:
        """Return the 32-byte hashes from the leaf's sibling up; valid after the last leaf."""
        return tuple(tree.root() for tree in self._trees)


def root_of_path(entry: bytes, index: int, size: int, path: Iterable[bytes]) -> bytes:
    """Return the root that an inclusion path leads to (RFC 9162 §2.1.3.2).

    Raises:
        ValueError: the path is not as long as the path of this leaf must be.
    """
    ranges, hashes = sibling_ranges(index, size), list(path)
    if len(ranges) != len(hashes):
        raise ValueError(f"the path has {len(hashes)} hashes, expected {len(ranges)}")
    node = sha256(b"\x00" + entry).digest()
    for span, sibling in zip(ranges, hashes, strict=True):
        pair = sibling + node if span.start < index else node + sibling
        node = sha256(b"\x01" + pair).digest()
    return node

"""The Merkle tree hash of RFC 9162 §2.1.1, computed as leaves arrive.

Leaves are record digests (32 bytes each), in the order of the output lines:
`leaf = SHA-256(0x00 || digest)`, `node = SHA-256(0x01 || left || right)`, and the root of an empty
tree is the SHA-256 of nothing.
"""

from __future__ import annotations

from hashlib import sha256


class MerkleTree:
    """A running tree that holds one hash per level, so its size is the logarithm of its leaves."""

    def __init__(self) -> None:
        self._subtrees: list[bytes] = []
        self.leaves = 0

    def add(self, entry: bytes) -> None:
        """Append one entry as the next leaf."""
        node = sha256(b"\x00" + entry).digest()
        size = self.leaves
        while size & 1:
            node = sha256(b"\x01" + self._subtrees.pop() + node).digest()
            size >>= 1
        self._subtrees.append(node)
        self.leaves += 1

    def root(self) -> bytes:
        """Return the 32-byte tree hash over all leaves added so far."""
        if not self._subtrees:
            return sha256(b"").digest()
        node = self._subtrees[-1]
        for left in reversed(self._subtrees[:-1]):
            node = sha256(b"\x01" + left + node).digest()
        return node

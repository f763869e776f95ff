"""Many SHA-256 hashes in one call, compiled where Teapot was installed with a C compiler.

Compiled or not, a function gives the same; the compiled ones (`_batches.c`) take a fraction of the
time for small inputs and leave the interpreter to other threads.
"""

from __future__ import annotations

from hashlib import sha256

from teapot.digest import DIGEST_BYTES, split_digests

__all__ = [
    "Block", "count_lines", "count_lines_in_python", "hash_lines", "hash_lines_in_python",
    "hash_rows", "hash_rows_in_python", "subtree_root", "subtree_root_in_python",
]  # fmt: skip

Block = bytes | bytearray | memoryview


def count_lines_in_python(block: Block) -> int:
    """Return how many lines end in a block."""
    return bytes(block).count(b"\n")


def hash_lines_in_python(block: Block) -> bytes:
    """Return the digests of all lines that end in a block, without their LF, end to end."""
    *lines, _ = bytes(block).split(b"\n")
    return b"".join([sha256(line).digest() for line in lines])


def hash_rows_in_python(prefix: Block, rows: Block, width: int) -> bytes:
    """Return the digests of `prefix` with each of the rows, `width` bytes each, end to end.

    Raises:
        ValueError: the rows are not whole.
    """
    if width <= 0 or len(rows) % width:
        raise ValueError("expected whole rows of the given width")
    begun, view, digests = sha256(prefix), memoryview(rows), bytearray()
    for start in range(0, len(view), width):
        hasher = begun.copy()
        hasher.update(view[start : start + width])
        digests += hasher.digest()
    return bytes(digests)


def subtree_root_in_python(digests: Block) -> bytes:
    """Return the root over 2^n digests that lie end to end, each a leaf's entry (RFC 9162 §2.1.1).

    Raises:
        ValueError: it is another number of them, or none.
    """
    leaves, rest = divmod(len(digests), DIGEST_BYTES)
    if rest or leaves.bit_count() != 1:
        raise ValueError("expected 2, 4, 8, … digests of 32 bytes, or one")
    nodes = [sha256(b"\x00" + entry).digest() for entry in split_digests(digests)]
    while len(nodes) > 1:
        pairs = zip(nodes[::2], nodes[1::2], strict=True)
        nodes = [sha256(b"\x01" + left + right).digest() for left, right in pairs]
    return nodes[0]


try:
    from teapot._batches import count_lines, hash_lines, hash_rows, subtree_root
except ImportError:
    count_lines = count_lines_in_python
    hash_lines, subtree_root = hash_lines_in_python, subtree_root_in_python
    hash_rows = hash_rows_in_python

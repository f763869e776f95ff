"""The tree over a data file's contents, in order, from which a content's absence is proven.

All content digests, each once and ascending, are cut into pages of 256; the leaves of the tree
(RFC 9162 §2.1.1) are the pages, digests end to end. A page, or two that are neighbours, shows what
stands where a content would stand. Pages keep the tree, and what it costs, small.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from teapot.digest import DIGEST_BYTES
from teapot.merkle import MerkleTree

PAGE_DIGESTS = 256


@dataclass(frozen=True, kw_only=True, slots=True)
class ContentsFacts:
    """How many unlike contents there are, and the root of the tree over their pages, in hex."""

    count: int
    merkle_root: str


def pages(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the pages of sorted digests that come end to end in blocks of any size."""
    held, step = b"", PAGE_DIGESTS * DIGEST_BYTES
    for block in blocks:
        held += block
        whole = len(held) - len(held) % step
        for start in range(0, whole, step):
            yield held[start : start + step]
        held = held[whole:]
    if held:
        yield held


def hash_contents(blocks: Iterable[bytes]) -> ContentsFacts:
    """Return what the sorted digests of contents, each once and end to end, amount to."""
    tree, size = MerkleTree(), 0
    for page in pages(blocks):
        tree.add(page)
        size += len(page)
    return ContentsFacts(count=size // DIGEST_BYTES, merkle_root=tree.root().hex())


def page_of(place: int) -> int:
    """Return the page on which the content of a place stands, both from 0."""
    return place // PAGE_DIGESTS


def page_count(contents: int) -> int:
    """Return how many pages so many contents fill."""
    return -(-contents // PAGE_DIGESTS)


def page_size(page: int, contents: int) -> int:
    """Return how many digests a page holds: all of them are full but the last."""
    return min(PAGE_DIGESTS, contents - page * PAGE_DIGESTS)

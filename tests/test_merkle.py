from __future__ import annotations

from functools import cache
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from teapot.merkle import BLOCK_LEAVES, MerkleTree, PathBuilder, root_of_path, sibling_ranges

# The reference data of github.com/google/certificate-transparency (cpp/merkletree).
LEAVES = [
    "", "00", "10", "2021", "3031", "40414243", "5051525354555657",
    "606162636465666768696a6b6c6d6e6f",
]  # fmt: skip
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def _tree_hash(entries: list[bytes]) -> bytes:
    """RFC 9162 §2.1.1, word for word."""
    n = len(entries)
    if n == 0:
        return sha256(b"").digest()
    if n == 1:
        return sha256(b"\x00" + entries[0]).digest()
    k = 1 << (n - 1).bit_length() - 1
    left, right = _tree_hash(entries[:k]), _tree_hash(entries[k:])
    return sha256(b"\x01" + left + right).digest()


def _root(entries: list[bytes]) -> bytes:
    tree = MerkleTree()
    for entry in entries:
        tree.add(entry)
    assert tree.leaves == len(entries)
    return tree.root()


@pytest.mark.parametrize("size", range(9))
def test_root_is_that_of_certificate_transparency(size: int) -> None:
    assert _root([bytes.fromhex(leaf) for leaf in LEAVES[:size]]).hex() == ROOTS[size]


@pytest.mark.parametrize("steps", [[9000], [1, 4095, 4097, 3, 804], [4096, 0, 4096, 808]])
def test_root_over_digests_end_to_end_is_that_of_the_recursive_definition(steps: list[int]) -> None:
    entries = [sha256(b"%d" % place).digest() for place in range(9000)]
    tree, place = MerkleTree(), 0
    for step in steps:
        tree.extend_digests(b"".join(entries[place : place + step]))
        place += step
    assert tree.leaves == 9000
    assert tree.root() == _tree_hash(entries)


@pytest.mark.parametrize("size", range(71))
def test_root_is_that_of_the_recursive_definition(size: int) -> None:
    entries = [sha256(bytes([place])).digest() for place in range(size)]
    assert _root(entries) == _tree_hash(entries)


def test_asking_for_the_root_does_not_disturb_what_follows() -> None:
    tree = MerkleTree()
    entries = [bytes([place]) for place in range(20)]
    for place, entry in enumerate(entries):
        tree.add(entry)
        assert tree.root() == tree.root() == _tree_hash(entries[: place + 1])


@given(st.lists(st.binary(max_size=4), max_size=20), st.lists(st.binary(max_size=4), max_size=20))
def test_other_entries_or_another_order_make_another_root(
    some: list[bytes], others: list[bytes]
) -> None:
    assert (_root(some) == _root(others)) == (some == others)


# Proofs that a leaf is in a tree.

# From the same reference data: the leaf counted from 1, the size of the tree, and the path.
PATHS = [
    (1, 1, []),
    (1, 8, [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ]),
    (6, 8, [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ]),
    (3, 3, ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"]),
    (2, 5, [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ]),
]  # fmt: skip


def _inclusion_path(index: int, entries: list[bytes]) -> list[bytes]:
    """RFC 9162 §2.1.3.1, word for word."""
    n = len(entries)
    if n == 1:
        return []
    k = 1 << (n - 1).bit_length() - 1
    if index < k:
        return [*_inclusion_path(index, entries[:k]), _known_hash(*entries[k:])]
    return [*_inclusion_path(index - k, entries[k:]), _known_hash(*entries[:k])]


@cache
def _known_hash(*entries: bytes) -> bytes:
    return _tree_hash(list(entries))


def _built_path(index: int, entries: list[bytes], block: int) -> tuple[bytes, ...]:
    builder = PathBuilder(index, len(entries))
    for start in range(0, len(entries), block):
        builder.extend(entries[start : start + block])
    return builder.path()


@pytest.mark.parametrize(("leaf", "size", "path"), PATHS)
def test_path_is_that_of_certificate_transparency(leaf: int, size: int, path: list[str]) -> None:
    entries = [bytes.fromhex(entry) for entry in LEAVES[:size]]
    hashes = [bytes.fromhex(part) for part in path]
    assert list(_built_path(leaf - 1, entries, 3)) == hashes
    assert root_of_path(entries[leaf - 1], leaf - 1, size, hashes).hex() == ROOTS[size]


@pytest.mark.parametrize("size", range(1, 131))
def test_every_path_is_that_of_the_recursive_definition_and_leads_to_the_root(size: int) -> None:
    entries = [sha256(bytes([place])).digest() for place in range(size)]
    root = _tree_hash(entries)
    for index in range(size):
        path = _built_path(index, entries, block=index % 7 + 1)
        assert list(path) == _inclusion_path(index, entries)
        assert root_of_path(entries[index], index, size, path) == root


@pytest.mark.parametrize("size", range(1, 131))
def test_siblings_and_leaf_are_all_leaves_each_once(size: int) -> None:
    for index in range(size):
        ranges = sibling_ranges(index, size)
        assert sorted([index, *(leaf for span in ranges for leaf in span)]) == list(range(size))
        assert len(ranges) <= (size - 1).bit_length()


@pytest.mark.parametrize(("index", "size"), [(0, 0), (-1, 3), (3, 3), (4, 3), (2**70, 2**64)])
def test_a_leaf_that_the_tree_has_not_is_refused(index: int, size: int) -> None:
    for refused in (
        lambda: sibling_ranges(index, size),
        lambda: PathBuilder(index, size),
        lambda: root_of_path(b"", index, size, []),
    ):
        with pytest.raises(ValueError, match=f"^no leaf {index} in a tree of {size} leaves$"):
            refused()


@given(st.integers(1, 40), st.data())
def test_a_path_of_another_length_is_refused(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    length = data.draw(st.integers(0, 8))
    needed = len(sibling_ranges(index, size))
    if length == needed:
        return
    with pytest.raises(ValueError, match=f"the path has {length} hashes, expected {needed}"):
        root_of_path(b"entry", index, size, [bytes(32)] * length)


@given(st.integers(2, 40), st.data())
def test_a_path_leads_to_the_root_for_its_leaf_place_and_size_alone(
    size: int, data: st.DataObject
) -> None:
    entries = [sha256(bytes([place])).digest() for place in range(size)]
    index = data.draw(st.integers(0, size - 1))
    path = list(_built_path(index, entries, size))
    root = _tree_hash(entries)
    other = data.draw(st.integers(0, size - 1))
    if len(sibling_ranges(other, size)) == len(path):
        assert (root_of_path(entries[index], other, size, path) == root) == (other == index)
    assert root_of_path(entries[index] + b"!", index, size, path) != root
    place, bit = data.draw(st.integers(0, len(path) - 1)), data.draw(st.integers(0, 255))
    flipped = bytearray(path[place])
    flipped[bit // 8] ^= 1 << bit % 8
    path[place] = bytes(flipped)
    assert root_of_path(entries[index], index, size, path) != root


@settings(max_examples=50)
@given(st.lists(st.integers(0, 300), max_size=12), st.integers(1, 64))
def test_leaves_in_blocks_of_any_size_make_the_same_tree(sizes: list[int], largest: int) -> None:
    one_by_one, in_blocks = MerkleTree(), MerkleTree()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("teapot.merkle.BLOCK_LEAVES", largest)
        for number, size in enumerate(sizes):
            block = [b"%d %d" % (number, leaf) for leaf in range(size)]
            for entry in block:
                one_by_one.add(entry)
            in_blocks.extend(block)
            assert in_blocks.root() == one_by_one.root()
            assert in_blocks.leaves == one_by_one.leaves


def test_blocks_larger_than_the_largest_subtree_make_the_same_tree() -> None:
    entries = [b"%d" % place for place in range(2 * BLOCK_LEAVES + 3)]
    for before in (0, 1, BLOCK_LEAVES - 1):
        tree = MerkleTree()
        for entry in entries[:before]:
            tree.add(entry)
        tree.extend(entries[before:])
        assert tree.root() == _tree_hash(entries)

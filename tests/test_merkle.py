from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from teapot.merkle import MerkleTree

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

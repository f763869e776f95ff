"""Compiled or in Python, many hashes in one call are what hashlib computes one by one.

The compiled functions are imported by name: where they were not built, these tests fail.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

import teapot.batches
from teapot import _batches
from teapot.batches import (
    Block,
    count_lines_in_python,
    hash_lines_in_python,
    hash_rows_in_python,
    subtree_root_in_python,
)

Hashing = Callable[[Block], bytes]
both_lines = pytest.mark.parametrize("hash_lines", [_batches.hash_lines, hash_lines_in_python])
both_counts = pytest.mark.parametrize("count_lines", [_batches.count_lines, count_lines_in_python])
both_rows = pytest.mark.parametrize("hash_rows", [_batches.hash_rows, hash_rows_in_python])
both_roots = pytest.mark.parametrize(
    "subtree_root", [_batches.subtree_root, subtree_root_in_python]
)
_BLOCKS = st.lists(st.sampled_from([b"\n", b"a", b"\0", b"\r", b"x" * 55, b"y" * 64])).map(b"".join)


def _naive_root(entries: list[bytes]) -> bytes:
    """RFC 9162 §2.1.1, word for word, over 2^n entries."""
    if len(entries) == 1:
        return sha256(b"\x00" + entries[0]).digest()
    half = len(entries) // 2
    return sha256(b"\x01" + _naive_root(entries[:half]) + _naive_root(entries[half:])).digest()


def test_what_teapot_uses_is_compiled_here() -> None:
    assert teapot.batches.count_lines is _batches.count_lines
    assert teapot.batches.hash_rows is _batches.hash_rows
    assert teapot.batches.hash_lines is _batches.hash_lines
    assert teapot.batches.subtree_root is _batches.subtree_root


def test_without_the_compiled_part_python_does_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "teapot._batches", None)
    monkeypatch.delattr(teapot, "_batches")
    monkeypatch.delitem(sys.modules, "teapot.batches")
    plain = importlib.import_module("teapot.batches")
    assert plain.count_lines is plain.count_lines_in_python
    assert plain.hash_lines is plain.hash_lines_in_python
    assert plain.hash_rows is plain.hash_rows_in_python
    assert plain.subtree_root is plain.subtree_root_in_python


@both_counts
@given(block=_BLOCKS)
def test_each_line_that_ends_is_counted(count_lines: Callable[[Block], int], block: bytes) -> None:
    assert count_lines(block) == block.count(b"\n")


@both_rows
@given(prefix=st.binary(max_size=200), rows=st.lists(st.binary(min_size=7, max_size=7)))
def test_each_row_is_hashed_behind_the_prefix(
    hash_rows: Callable[[Block, Block, int], bytes], prefix: bytes, rows: list[bytes]
) -> None:
    hashed = b"".join(sha256(prefix + row).digest() for row in rows)
    assert hash_rows(prefix, b"".join(rows), 7) == hashed


@both_rows
@pytest.mark.parametrize("width", [3, 0, -1])
def test_rows_that_are_not_whole_are_refused(
    hash_rows: Callable[[Block, Block, int], bytes], width: int
) -> None:
    with pytest.raises(ValueError, match="whole rows"):
        hash_rows(b"", b"1234", width)


@both_lines
@given(block=_BLOCKS)
def test_each_line_that_ends_is_hashed_without_its_lf(hash_lines: Hashing, block: bytes) -> None:
    *lines, _ = block.split(b"\n")
    assert hash_lines(block) == b"".join(sha256(line).digest() for line in lines)


@both_lines
@pytest.mark.parametrize("length", [*range(130), 1 << 20])
def test_lines_of_any_length_are_hashed_as_hashlib_does(hash_lines: Hashing, length: int) -> None:
    line = bytes(range(11, 251)) * (length // 240 + 1)
    assert hash_lines(line[:length] + b"\n") == sha256(line[:length]).digest()


@both_lines
def test_a_part_of_a_buffer_can_be_hashed(hash_lines: Hashing) -> None:
    block = bytearray(b"one\ntwo\nthree\n")
    assert hash_lines(memoryview(block)[4:10]) == sha256(b"two").digest()
    assert hash_lines(block)[:32] == sha256(b"one").digest()


@both_roots
@pytest.mark.parametrize("leaves", [1, 2, 4, 8, 64, 4096])
def test_root_is_that_of_the_recursive_definition(subtree_root: Hashing, leaves: int) -> None:
    entries = [sha256(b"%d" % place).digest() for place in range(leaves)]
    assert subtree_root(b"".join(entries)) == _naive_root(entries)


@both_roots
@pytest.mark.parametrize("size", [0, 1, 31, 33, 63, 96, 160])
def test_another_number_of_digests_has_no_root(subtree_root: Hashing, size: int) -> None:
    with pytest.raises(ValueError, match="digests of 32 bytes"):
        subtree_root(bytes(size))


@pytest.mark.parametrize("function", [_batches.hash_lines, _batches.subtree_root])
@pytest.mark.parametrize("odd", [None, "text", 7, memoryview(bytes(64))[::2]])
def test_what_is_no_run_of_bytes_is_refused(function: Hashing, odd: object) -> None:
    with pytest.raises((TypeError, BufferError)):
        function(odd)  # type: ignore[arg-type]

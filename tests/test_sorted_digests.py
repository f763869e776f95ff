"""Digests in any number and order come back sorted, each once, and leave nothing on the disk."""

from __future__ import annotations

import tempfile
from collections import Counter
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from teapot.sorted_digests import DigestSorter, shared_digests, sorted_once

# Digests that agree in their first bits, and some that differ in their last alone.
_DIGESTS = st.builds(
    lambda first, middle, last: bytes([first]) + bytes([middle]) * 30 + bytes([last]),
    st.sampled_from([0, 1, 127, 128, 255]), st.sampled_from([0, 255]), st.integers(0, 3),
) | st.binary(min_size=32, max_size=32)  # fmt: skip


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which temporary files are made."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@settings(max_examples=60)
@given(st.lists(st.lists(_DIGESTS, max_size=8), max_size=6), st.sampled_from([0, 1, 9, 2**40]))
def test_any_digests_in_any_batches_come_back_sorted_each_once(
    batches: list[list[bytes]], expected: int
) -> None:
    wanted = sorted({digest for batch in batches for digest in batch})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("teapot.sorted_digests._BUCKET_DIGESTS", 4)
        patch.setattr("teapot.sorted_digests._MAX_BUCKETS", 16)
        with DigestSorter(expected) as sorter:
            for batch in batches:
                sorter.add(b"".join(batch))
            blocks = list(sorter.blocks())
            assert list(sorter.blocks()) == blocks
            counts = Counter(digest for batch in batches for digest in batch)
            repeated = [count - 1 for count in counts.values() if count > 1]
            assert sorter.repeats() == (len(repeated), sum(repeated))
    assert b"".join(blocks) == b"".join(wanted)
    assert all(blocks)


@given(st.lists(_DIGESTS, max_size=40))
def test_digests_in_memory_are_sorted_each_once(digests: list[bytes]) -> None:
    assert sorted_once(b"".join(digests)) == b"".join(sorted(set(digests)))


def test_many_equal_digests_fill_one_bucket_and_come_back_once() -> None:
    same = sha256(b"same").digest()
    with DigestSorter(1 << 20) as sorter:
        for _ in range(5):
            sorter.add(same * 10_000)
        assert list(sorter.blocks()) == [same]


def test_a_block_holds_a_part_of_many_digests() -> None:
    digests = [sha256(b"%d" % number).digest() for number in range(200_000)]
    with DigestSorter(len(digests)) as sorter:
        sorter.add(b"".join(digests))
        blocks = list(sorter.blocks())
    assert max(map(len, blocks)) <= 32 * 120_000
    assert b"".join(blocks) == b"".join(sorted(digests))


@pytest.mark.parametrize("digests", [b"short", bytes(33)])
def test_what_are_no_whole_digests_is_refused(digests: bytes) -> None:
    with DigestSorter(1) as sorter, pytest.raises(ValueError, match=r"."):
        sorter.add(digests)


def test_nothing_stays_on_the_disk(scratch: Path) -> None:
    with DigestSorter(10**6) as sorter:
        sorter.add(bytes(64))
        assert list(scratch.iterdir())
        assert list(sorter.blocks()) == [bytes(32)]
    assert not list(scratch.iterdir())


def test_nothing_stays_on_the_disk_after_an_error(scratch: Path) -> None:
    with pytest.raises(ZeroDivisionError), DigestSorter(10**6) as sorter:
        sorter.add(bytes(32))
        next(sorter.blocks())
        raise ZeroDivisionError
    assert not list(scratch.iterdir())


def test_however_many_are_expected_few_files_are_open(scratch: Path) -> None:
    with DigestSorter(10**15):
        assert len([path for path in scratch.rglob("*") if path.is_file()]) <= 128


def _blocks(digests: set[bytes], size: int) -> list[bytes]:
    ordered = sorted(digests)
    return [b"".join(ordered[at : at + size]) for at in range(0, len(ordered), size)]


@given(st.sets(_DIGESTS, max_size=20), st.sets(_DIGESTS, max_size=20), st.integers(1, 5))
def test_digests_in_both_are_found_whatever_the_blocks(
    one: set[bytes], other: set[bytes], size: int
) -> None:
    found = list(shared_digests(_blocks(one, size), _blocks(other, 6 - size)))
    assert found == sorted(one & other)

from __future__ import annotations

import errno
import os
import sys
from itertools import pairwise
from pathlib import Path

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from teapot import scratch
from teapot.scratch import Spread, room

KIND = numpy.dtype([("key", "<u8"), ("value", "<u4")])


def _spread(keys: list[int], rows_in_memory: int, key_bits: int = 64) -> list[list[int]]:
    """Return the keys of each bucket; each row's value is its place among those that were given."""
    rows = numpy.array([(key, place) for place, key in enumerate(keys)], dtype=KIND)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scratch, "ROWS_IN_MEMORY", rows_in_memory)
        spread = Spread(KIND, len(rows), None, key_bits=key_bits)
        for start in range(0, len(rows), 3):
            spread.add(rows[start : start + 3])
        buckets = list(spread.buckets())
        spread.close()
    for bucket in buckets:
        assert bucket["key"].tolist() == [keys[place] for place in bucket["value"]]
        order = numpy.argsort(bucket["key"], kind="stable")
        assert (numpy.diff(bucket["value"][order][bucket["key"][order] == 0]) > 0).all()
    return [bucket["key"].tolist() for bucket in buckets]


@given(st.lists(st.integers(0, 2**64 - 1)), st.integers(1, 50))
def test_buckets_of_rising_keys_hold_all_rows(keys: list[int], rows_in_memory: int) -> None:
    buckets = _spread(keys, rows_in_memory)
    assert sorted(key for bucket in buckets for key in bucket) == sorted(keys)
    filled = [bucket for bucket in buckets if bucket]
    for before, after in pairwise(filled):
        assert max(before) < min(after)
    if len(keys) <= rows_in_memory:
        assert len(buckets) == 1


@given(st.lists(st.integers(0, 9)), st.integers(1, 5))
def test_small_keys_are_spread_too(keys: list[int], rows_in_memory: int) -> None:
    buckets = _spread(keys, rows_in_memory, key_bits=4)
    assert [key for bucket in buckets for key in sorted(bucket)] == sorted(keys)


def test_room_is_a_file_without_a_name_where_it_is_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scratch, "ROWS_IN_MEMORY", 10)
    small, large = room(10, numpy.uint32, tmp_path), room(11, numpy.uint32, tmp_path)
    assert type(small) is numpy.ndarray
    assert type(large) is numpy.memmap
    large[:] = range(11)
    assert large.sum() == 55
    assert not list(tmp_path.iterdir())


def test_closed_early_nothing_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scratch, "ROWS_IN_MEMORY", 1)
    spread = Spread(KIND, 100, tmp_path)
    spread.add(numpy.zeros(5, dtype=KIND))
    spread.close()
    assert not list(tmp_path.iterdir())
    assert list(spread.buckets()) == []


def test_room_that_the_disk_has_not_is_an_error_before_it_is_filled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def fallocate(handle: int, start: int, size: int) -> None:
        asked.append((start, size))
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(scratch, "ROWS_IN_MEMORY", 4)
    monkeypatch.setattr(os, "posix_fallocate", fallocate, raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    assert len(room(4, "u4", tmp_path)) == 4
    with pytest.raises(OSError, match="No space left"):
        room(5, "u4", tmp_path)
    assert asked == [(0, 20)]


@pytest.mark.parametrize("code", [errno.EOPNOTSUPP, errno.EINVAL])
def test_room_is_given_where_space_cannot_be_set_aside(
    code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fallocate(handle: int, start: int, size: int) -> None:
        raise OSError(code, "not here")

    monkeypatch.setattr(scratch, "ROWS_IN_MEMORY", 4)
    monkeypatch.setattr(os, "posix_fallocate", fallocate, raising=False)
    assert len(room(5, "u4", tmp_path)) == 5

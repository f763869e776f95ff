from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from teapot import index as of_index
from teapot.errors import DataError
from teapot.index import (
    ENTRY,
    FROM_ROW,
    NO_LICENSE,
    NO_RECORD,
    SPOOLED,
    RecordIndex,
    keys_of,
    prefixes_of,
    sort_order,
)

STATES = st.lists(st.sampled_from([NO_RECORD, FROM_ROW, SPOOLED]), max_size=12)


def _entries(states: Sequence[int], first: int = 0) -> NDArray[Any]:
    """Return entries whose content is 32 times their number."""
    entries = numpy.zeros(len(states), dtype=ENTRY)
    entries["state"] = states
    entries["row"] = numpy.arange(first, first + len(states))
    entries["content"] = (entries["row"] % 251)[:, None]
    return entries


@pytest.fixture
def index() -> Iterator[RecordIndex]:
    with closing(RecordIndex()) as made:
        yield made


@given(st.lists(STATES, min_size=1, max_size=4), st.integers(1, 5))
def test_what_was_put_in_comes_out_whatever_the_chunks(parts: list[list[int]], size: int) -> None:
    states = [state for part in parts for state in part]
    with closing(RecordIndex()) as index, pytest.MonkeyPatch.context() as patch:
        patch.setattr(of_index, "_CHUNK_ENTRIES", size)
        for part in parts:
            index.begin_source("m s")
            index.extend(_entries(part, len(index)), [])
            index.end_module(f"m{len(index.spans)}")
        found = [(start, entries["row"].tolist()) for start, entries in index.chunks()]
        assert [row for _, rows in found for row in rows] == list(range(len(states)))
        assert [start for start, _ in found] == list(range(0, len(states), size))
        assert index.column("state").tolist() == states
        for number, (_, span) in enumerate(index.modules()):
            assert index.column("row", span).tolist() == list(span)
            numbers = index.module_numbers(numpy.array(span))
            assert numbers.tolist() == [number] * len(span)


def test_an_entry_says_where_it_is_from(index: RecordIndex) -> None:
    for name, licenses in (("m a", ["MIT", "ISC"]), ("m b", ["ISC"])):
        index.begin_source(name)
        entries = _entries([SPOOLED] * 2)
        entries["license"] = [len(licenses) - 1, NO_LICENSE]
        index.extend(entries, licenses)
    assert index.column("source").tolist() == [0, 0, 1, 1]
    assert [index.source_names[index.entry(row)["source"]] for row in (1, 2)] == ["m a", "m b"]
    codes = index.column("license").tolist()
    assert [None if c == NO_LICENSE else index.license_names[c] for c in codes] == [
        "ISC", None, "ISC", None,
    ]  # fmt: skip


def test_an_empty_index_has_nothing(index: RecordIndex) -> None:
    index.end_module("none")
    assert len(index) == 0
    assert list(index.chunks()) == []
    assert index.column("row").tolist() == []


def test_its_file_has_no_name(tmp_path: Path) -> None:
    with closing(RecordIndex(tmp_path)) as index:
        index.begin_source("m s")
        index.extend(_entries([SPOOLED]), [])
        assert os.fstat(index.fileno()).st_size == ENTRY.itemsize
        assert list(tmp_path.iterdir()) == []


def test_more_licences_than_an_entry_can_name_are_refused(index: RecordIndex) -> None:
    index.begin_source("m s")
    texts = [f"MIT OR LicenseRef-{number}" for number in range(NO_LICENSE + 1)]
    entries = _entries([SPOOLED])
    entries["license"] = NO_LICENSE - 1
    index.extend(entries, texts[:NO_LICENSE])
    assert index.license_names[index.entry(0)["license"]] == texts[-2]
    with pytest.raises(DataError, match="rows name over 65,535 licences"):
        index.extend(_entries([SPOOLED]), texts[-1:])


def test_more_sources_than_an_entry_can_name_are_refused(index: RecordIndex) -> None:
    for number in range(1 << 16):
        index.begin_source(f"m {number}")
    index.extend(_entries([SPOOLED]), [])
    assert index.source_names[index.entry(0)["source"]] == "m 65535"
    with pytest.raises(DataError, match="at most 65,536 sources"):
        index.begin_source("m more")


DIGESTS = st.lists(st.lists(st.sampled_from([0, 1, 255]), min_size=32, max_size=32).map(bytes))


@given(DIGESTS)
def test_keys_sort_as_the_bytes_of_their_digests_do(digests: list[bytes]) -> None:
    keys = keys_of(b"".join(digests))
    assert sort_order(keys).tolist() == sorted(range(len(digests)), key=digests.__getitem__)
    rows = numpy.frombuffer(b"".join(digests), dtype=numpy.uint8).reshape(-1, 32)
    assert prefixes_of(rows).tolist() == [int.from_bytes(d[:8], "big") for d in digests]

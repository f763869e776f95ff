"""Byte ranges: whatever their size, each line is read once, and the pieces are the whole file's."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from teapot.digest import sha256_hex
from teapot.errors import DataError, SourceError
from teapot.model.module import SourceSpec
from teapot.sources import jsonl, ranges
from teapot.sources.ranges import PlainFile, RangeReader, Span, pieces_of, spans_of

SPEC = SourceSpec(id="s", kind="jsonl", path="s.jsonl")


def plain(path: Path, data: bytes) -> PlainFile:
    path.write_bytes(data)
    return PlainFile(spec=SPEC, size=len(data), path=path)


@given(
    st.lists(st.sampled_from([b"\n", b"a", b"bc", b"x" * 9, b"y" * 30, b'{"a":1}\n']), max_size=30),
    st.integers(1, 40),
    st.integers(1, 12),
)
def test_ranges_of_any_size_read_each_line_once(
    parts: list[bytes], range_bytes: int, block_bytes: int
) -> None:
    data = b"".join(parts)
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        patch.setattr(ranges, "BLOCK_BYTES", block_bytes)
        patch.setattr(jsonl, "MAX_LINE_BYTES", 20)
        file = plain(Path(folder, "s.jsonl"), data)
        spans = spans_of(file.size, range_bytes)
        readers = [RangeReader(file, span) for span in spans]
        rows = [
            line if block.fault is None else str(block.fault)
            for reader in readers
            for block in reader.blocks(again=False)
            for line in (bytes(block.data).removesuffix(b"\n").split(b"\n"))
        ]
        whole = pieces_of(file, spans)
    assert [reader.piece for reader in readers] == list(whole.pieces)
    assert (whole.sha256, whole.bytes) == (sha256_hex(data), len(data))
    lines = data.removesuffix(b"\n").split(b"\n") if data else []
    faults = [f"line-too-long: a line of {len(line)} bytes" for line in lines if len(line) > 20]
    assert [row for row in rows if isinstance(row, bytes)] == [x for x in lines if len(x) <= 20]
    told = [row for row in rows if isinstance(row, str)]
    assert len(told) == len(faults)


def test_a_range_tells_a_file_of_another_kind_by_its_start(tmp_path: Path) -> None:
    file = plain(tmp_path / "s.jsonl", b"\xef\xbb\xbf{}\n{}\n")
    with pytest.raises(DataError, match=r"source s \(s\.jsonl\): it is UTF-8 with a byte order"):
        list(RangeReader(file, Span(0, 3)).blocks(again=True))
    assert len(list(RangeReader(file, Span(4, None)).blocks(again=True))) == 1


def test_a_file_that_is_gone_is_told(tmp_path: Path) -> None:
    file = PlainFile(spec=SPEC, size=9, path=tmp_path / "s.jsonl")
    with pytest.raises(SourceError, match=r"source s \(s\.jsonl\): cannot be read: No such file"):
        pieces_of(file, spans_of(9, 4))
    far = PlainFile(spec=SPEC, size=9, url="file:///nowhere/s.jsonl")
    with pytest.raises(SourceError, match=r"s: file:///nowhere/s\.jsonl cannot be read: File"):
        pieces_of(far, spans_of(9, 4))

"""JSONL read plain and packed: the same rows, strictly, from the bytes that are hashed."""

from __future__ import annotations

import gzip
import os
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st

from teapot.digest import sha256_hex
from teapot.errors import DataError, SourceError, TeapotError
from teapot.interfaces import SourceContext
from teapot.model.module import SourceSpec
from teapot.model.record import Fault
from teapot.sources import jsonl as reading
from teapot.sources.jsonl import (
    MAX_LINE_BYTES,
    JsonlReader,
    JsonlSource,
    few_lines,
    split_lines,
    whole_lines,
)
from teapot.sources.local import LocalFile
from tests.support.project import chat_rows, jsonl
from tests.support.sources import read

ROWS = [*chat_rows("tea", 7), {"text": "a\u2028b\u2029c\u0085d"}, *chat_rows("milk", 3)]
TEXT = jsonl(ROWS)
HALF = TEXT.index(b"\n", len(TEXT) // 2) - 10  # within a row
MIB = 1 << 20

Pack = Callable[[bytes], bytes]


def _members(pack: Pack) -> Pack:
    return lambda text: pack(text[:HALF]) + pack(b"") + pack(text[HALF:])


PACKED: dict[str, Pack] = {
    "rows.jsonl": bytes,
    "rows.ndjson": bytes,
    "rows.jsonl.gz": gzip.compress,
    "many-members.jsonl.gz": _members(gzip.compress),
    "rows.jsonl.zst": zstd.compress,
    "many-frames.jsonl.zst": _members(zstd.compress),
    "UPPER.JSONL.GZ": gzip.compress,
}


@pytest.mark.parametrize("name", PACKED)
def test_all_packings_give_the_same_rows_and_the_digest_of_the_file_as_it_lies(
    name: str, tmp_path: Path
) -> None:
    packed = PACKED[name](TEXT)
    (tmp_path / name).write_bytes(packed)
    rows, identity = read("jsonl", tmp_path, path=name)
    assert rows == list(enumerate(ROWS, start=1))
    assert (identity.uri, identity.rows, identity.bytes) == (name, len(ROWS), len(packed))
    assert (identity.sha256, identity.digest_of) == (sha256_hex(packed), "file")


def test_progress_is_told_of_a_file_beside_its_module(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_bytes(TEXT)
    told: list[tuple[str, int, int | None]] = []
    context = SourceContext(folder=tmp_path, progress=lambda *step: told.append(step))
    list(JsonlSource().open(SourceSpec(id="s", kind="jsonl", path="rows.jsonl"), context))
    assert told == [("s", len(TEXT), len(TEXT))]


def test_last_row_needs_no_line_feed(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_bytes(TEXT.removesuffix(b"\n"))
    rows, identity = read("jsonl", tmp_path, path="rows.jsonl")
    assert [row for _, row in rows] == ROWS
    assert identity.sha256 == sha256_hex(TEXT.removesuffix(b"\n"))


def test_carriage_return_before_the_line_feed_is_white_space(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_bytes(TEXT.replace(b"\n", b"\r\n"))
    assert [row for _, row in read("jsonl", tmp_path, path="rows.jsonl")[0]] == ROWS


def test_line_that_is_no_row_is_a_fault_of_that_line(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_bytes(b'{"a":1}\n\n[]\n{"a":1,"a":2}\n{"a":NaN}\n{"b":2}\n')
    rows, identity = read("jsonl", tmp_path, path="rows.jsonl")
    codes = [row.code if isinstance(row, Fault) else row for _, row in rows]
    assert codes == [{"a": 1}, "blank-line", "json", "json", "json", {"b": 2}]
    assert identity.rows == 6


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstd.compress])
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be"])
def test_other_encodings_are_refused_as_a_whole(encoding: str, pack: Pack, tmp_path: Path) -> None:
    text = TEXT.decode().encode(encoding)
    text = text if encoding != "utf-16-be" else b"\xfe\xff" + text
    name = {bytes: "a.jsonl", gzip.compress: "a.jsonl.gz", zstd.compress: "a.jsonl.zst"}[pack]
    (tmp_path / name).write_bytes(pack(text))
    with pytest.raises(DataError, match="it is UTF-"):
        read("jsonl", tmp_path, path=name)


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.jsonl.zst"])
def test_empty_file_is_an_error(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(DataError):
        read("jsonl", tmp_path, path=name)


@given(st.sampled_from(["a.jsonl.gz", "a.jsonl.zst"]), st.data())
def test_packed_file_cut_anywhere_is_an_error(
    tmp_path_factory: pytest.TempPathFactory, name: str, data: st.DataObject
) -> None:
    packed = (gzip.compress if name.endswith(".gz") else zstd.compress)(TEXT)
    cut = data.draw(st.integers(0, len(packed) - 1))
    folder = tmp_path_factory.mktemp("cut")
    (folder / name).write_bytes(packed[:cut])
    with pytest.raises(DataError):
        read("jsonl", folder, path=name)


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.jsonl.zst"])
def test_packed_file_with_something_behind_is_an_error(name: str, tmp_path: Path) -> None:
    packed = (gzip.compress if name.endswith(".gz") else zstd.compress)(TEXT)
    (tmp_path / name).write_bytes(packed + b"something else")
    with pytest.raises(DataError, match="cannot be unpacked"):
        read("jsonl", tmp_path, path=name)


@pytest.mark.parametrize("pack", [gzip.compress, zstd.compress])
def test_decompression_bomb_is_refused(pack: Pack, tmp_path: Path) -> None:
    name = "a.jsonl.gz" if pack is gzip.compress else "a.jsonl.zst"
    (tmp_path / name).write_bytes(pack(jsonl([{"a": "x" * MIB}] * 64)))
    with pytest.raises(DataError, match="decompression bomb"):
        read("jsonl", tmp_path, path=name)


def _append(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"{}\n")


def _replace(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(path.read_bytes())
    other.replace(path)


def _backdate(path: Path) -> None:
    os.utime(path, ns=(0, 0))


@pytest.mark.parametrize("change", [_append, _replace, _backdate, Path.unlink])
def test_file_that_changes_while_it_is_read_is_an_error(
    change: Callable[[Path], None], tmp_path: Path
) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(TEXT)
    rows = iter(JsonlReader(LocalFile(path=path, spec=SourceSpec(id="s", kind="jsonl"))))
    next(rows)
    change(path)
    with pytest.raises(TeapotError, match=r"it changed while it was read|cannot be read"):
        list(rows)


def test_identity_before_the_rows_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(TEXT)
    with pytest.raises(SourceError, match="before it was read"):
        JsonlReader(LocalFile(path=path, spec=SourceSpec(id="s", kind="jsonl"))).identity()


def _in_blocks(data: bytes, sizes: Iterator[int]) -> Iterator[bytes]:
    start = 0
    while start < len(data):
        size = next(sizes)
        yield data[start : start + size]
        start += size


PIECES = st.sampled_from([b"\n", b"\n\n", b"\r\n", b"a", b"{}", "\u2028".encode(), b"\x00\xff"])


@given(
    st.one_of(st.binary(max_size=200), st.lists(PIECES).map(b"".join)),
    st.lists(st.integers(1, 40), min_size=1),
)
def test_lines_do_not_depend_on_the_borders_of_blocks(data: bytes, sizes: list[int]) -> None:
    expected = data.split(b"\n")
    if not expected[-1]:
        expected.pop()
    cycle = (size for _ in iter(int, 1) for size in sizes)
    assert list(split_lines(_in_blocks(data, cycle))) == expected


@given(
    st.one_of(st.binary(max_size=200), st.lists(PIECES).map(b"".join)),
    st.lists(st.integers(1, 5), min_size=1),
)
def test_whole_lines_are_the_lines_wherever_blocks_end(data: bytes, sizes: list[int]) -> None:
    cycle = (size for _ in iter(int, 1) for size in sizes)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "MAX_LINE_BYTES", 5)
        found = list(whole_lines(_in_blocks(data, cycle)))
        expected = list(split_lines(iter([data])))
    lines = [line for part in found for line in ([part] if isinstance(part, int) else _lines(part))]
    assert [isinstance(line, int) for line in lines] == [isinstance(e, Fault) for e in expected]
    assert [line for line in lines if not isinstance(line, int)] == [
        line for line in expected if not isinstance(line, Fault)
    ]
    ends = sum(part + 1 if isinstance(part, int) else len(part) for part in found)
    assert ends in (len(data), len(data) + 1)  # one more where an overlong last line has no LF


@given(st.lists(PIECES).map(b"".join).filter(bool), st.integers(1, 40))
def test_a_part_has_few_lines_however_short_they_are(data: bytes, size: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "BLOCK_ROWS", 3)
        cycle = (size for _ in iter(int, 1))
        parts = list(few_lines(whole_lines(_in_blocks(data, cycle))))
    made = [bytes(part) for part in parts if not isinstance(part, int)]
    assert b"".join(made) == data
    assert all(0 < len(_lines(memoryview(part))) <= 4 for part in made)
    assert all(part.endswith(b"\n") for part in made[:-1])


def test_blocks_of_short_rows_have_few_rows_and_true_offsets(tmp_path: Path) -> None:
    row = b'{"a":1}\n'
    data = row + b"\n" * 200_000 + row
    (tmp_path / "rows.jsonl").write_bytes(data)
    file = LocalFile(path=tmp_path / "rows.jsonl", spec=SourceSpec(id="s", kind="jsonl"))
    blocks = list(JsonlReader(file).blocks())
    assert max(bytes(block.data).count(b"\n") for block in blocks) <= 1 << 16
    for block in blocks:
        assert block.offset is not None
        assert data[block.offset : block.offset + len(block.data)] == block.data
    assert sum(len(block.data) for block in blocks) == len(data)
    assert [block.number for block in blocks] == list(range(len(blocks)))


def _lines(part: memoryview) -> list[bytes]:
    lines = bytes(part).split(b"\n")
    return lines if lines[-1] else lines[:-1]


@pytest.mark.parametrize("end", [b"", b"\n", b"\nb", b"\n\nb\n"])
@pytest.mark.parametrize("block_bytes", [MIB, 7 * MIB + 3, MAX_LINE_BYTES, 64 * MIB])
def test_line_over_the_cap_is_a_fault_wherever_blocks_end(block_bytes: int, end: bytes) -> None:
    data = b"a\n" + b"x" * (MAX_LINE_BYTES + 1) + end
    after = end.removeprefix(b"\n").split(b"\n")
    after = after if after[-1] else after[:-1]
    first, fault, *rest = split_lines(_in_blocks(data, iter(lambda: block_bytes, 0)))
    assert (first, rest) == (b"a", after)
    assert isinstance(fault, Fault)
    assert (fault.code, str(MAX_LINE_BYTES + 1) in fault.message) == ("line-too-long", True)


def test_line_of_just_the_cap_is_a_line() -> None:
    line = b"x" * MAX_LINE_BYTES
    assert list(split_lines(iter([line[:MIB], line[MIB:], b"\n", line, b""]))) == [line, line]


def test_line_over_the_cap_is_never_held_whole() -> None:
    block = b"x" * MIB
    tracemalloc.start()
    try:
        faults = list(split_lines(block for _ in range(256)))
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert [fault.code for fault in faults if isinstance(fault, Fault)] == ["line-too-long"]
    assert peak_bytes < 3 * MAX_LINE_BYTES


def test_row_over_the_cap_leaves_the_other_rows_whole(tmp_path: Path) -> None:
    long = b'{"a":"' + b"x" * MAX_LINE_BYTES + b'"}\n'
    (tmp_path / "rows.jsonl").write_bytes(TEXT + long + TEXT)
    rows, identity = read("jsonl", tmp_path, path="rows.jsonl")
    assert [row for _, row in rows if not isinstance(row, Fault)] == ROWS + ROWS
    assert [number for number, row in rows if isinstance(row, Fault)] == [len(ROWS) + 1]
    assert identity.sha256 == sha256_hex(TEXT + long + TEXT)

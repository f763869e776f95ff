"""What a data file is, by one walk over it, is what a naive reading finds; what is none is told."""

from __future__ import annotations

import io
import os
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from teapot.datafile import MeasuredData, measure_data, open_beside
from teapot.errors import DataError
from teapot.merkle import MerkleTree

_CUT = "has no LF at its end: the file was cut"


def measured(path: Path) -> tuple[MeasuredData, bytes]:
    digests = io.BytesIO()
    return measure_data(path, digests), digests.getvalue()


def naive(data: bytes) -> tuple[MeasuredData, bytes]:
    """Return what a reading in one piece finds."""
    *lines, rest = data.split(b"\n")
    tree = MerkleTree()
    leaves = [sha256(line).digest() for line in lines]
    for leaf in leaves:
        tree.add(leaf)
    found = MeasuredData(
        sha256=sha256(data).hexdigest(), bytes=len(data), records=len(lines),
        merkle_root=tree.root().hex(), fault=f"line {len(lines) + 1} {_CUT}" if rest else None,
    )  # fmt: skip
    return found, b"".join(leaves)


def refusal(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        measure_data(path)
    (problem,) = caught.value.problems
    assert problem.where == str(path)
    return problem.message


def lowest_free_handle() -> int:
    handle = os.open(os.devnull, os.O_RDONLY)
    os.close(handle)
    return handle


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data") / "x.jsonl"


_CONTENT = st.lists(
    st.sampled_from([b"\n", b"\n\n", b"a", b"\r\n", b"\0", b"a line of some length", b"x" * 40]),
    max_size=30,
).map(b"".join)


@settings(max_examples=150)
@given(data=_CONTENT, block=st.integers(1, 64))
def test_any_content_in_blocks_of_any_size_is_read_as_in_one_piece(
    data: bytes, block: int, scratch: Path
) -> None:
    scratch.write_bytes(data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("teapot.datafile.BLOCK_BYTES", block)
        patch.setattr("teapot.datafile.BLOCK_LEAVES", block)
        assert measured(scratch) == naive(data)


def test_a_file_of_many_lines_is_read_as_in_one_piece(scratch: Path) -> None:
    data = b"".join(b"%d %b\n" % (n, b"x" * (n % 97)) for n in range(20_000))
    scratch.write_bytes(data)
    assert measured(scratch) == naive(data)


@pytest.mark.parametrize("data", [b"", b"\n", b"a\n", b"a", b"\na", b"a\n\n"])
def test_small_files_are_read_right(data: bytes, scratch: Path) -> None:
    scratch.write_bytes(data)
    assert measured(scratch) == naive(data)


def test_an_empty_file_has_no_lines_and_no_fault(scratch: Path) -> None:
    scratch.write_bytes(b"")
    found, digests = measured(scratch)
    assert (found.bytes, found.records, found.fault, digests) == (0, 0, None, b"")
    assert found.merkle_root == found.sha256 == sha256(b"").hexdigest()


def test_a_line_without_end_is_a_fault_and_the_rest_is_hashed_all_the_same(
    scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("teapot.datafile.BLOCK_BYTES", 8)
    monkeypatch.setattr("teapot.datafile.MAX_LINE_BYTES", 16)
    data = b"one\ntwo\n" + b"x" * 999 + b"\nfour\n" * 99
    scratch.write_bytes(data)
    found, digests = measured(scratch)
    assert found.fault == "line 3 is longer than 16 bytes"
    assert (found.sha256, found.bytes) == (sha256(data).hexdigest(), len(data))
    assert found.records == 2
    assert digests == sha256(b"one").digest() + sha256(b"two").digest()
    tree = MerkleTree()
    tree.extend([digests[:32], digests[32:]])
    assert found.merkle_root == tree.root().hex()


@given(block=st.integers(1, 40), length=st.integers(0, 16))
def test_a_line_that_is_not_too_long_is_no_fault(block: int, length: int, scratch: Path) -> None:
    data = (b"x" * length + b"\n") * 3
    scratch.write_bytes(data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("teapot.datafile.BLOCK_BYTES", block)
        patch.setattr("teapot.datafile.MAX_LINE_BYTES", 16)
        assert measured(scratch) == naive(data)


def test_progress_ends_with_the_size_of_the_file(scratch: Path) -> None:
    scratch.write_bytes(b"a line\n" * 1000)
    told: list[tuple[str, int, int | None]] = []
    measure_data(scratch, progress=lambda *what: told.append(what))
    assert told[-1] == ("verify", 7000, 7000)
    assert [done for _, done, _ in told] == sorted(done for _, done, _ in told)


# What is no data file.


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    assert refusal(tmp_path / "x.jsonl") == "cannot be read: No such file or directory"
    assert refusal(tmp_path / "none" / "x.jsonl") == "cannot be read: No such file or directory"


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("mix.jsonl", "MIX.jsonl"),
        ("caf\u00e9.jsonl", "cafe\u0301.jsonl"),
        ("file.jsonl", "\ufb01le.jsonl"),
        ("mix.jsonl", "\uff4dix.jsonl"),
    ],
)
def test_a_file_whose_name_only_looks_right_is_named(name: str, other: str, tmp_path: Path) -> None:
    (tmp_path / "unlike.jsonl").write_bytes(b"")
    (tmp_path / other).write_bytes(b"")
    assert refusal(tmp_path / name) == (
        f"no such file; {other!a} looks like it, but its name is another one"
    )


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    pipe = tmp_path / "x.jsonl"
    os.mkfifo(pipe)
    assert "regular file" in refusal(pipe)


def test_a_folder_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "x.jsonl"
    folder.mkdir()
    assert refusal(folder).startswith("cannot be read: ")


def test_refused_files_are_not_left_open(tmp_path: Path) -> None:
    folder, pipe = tmp_path / "x.jsonl", tmp_path / "y.jsonl"
    folder.mkdir()
    os.mkfifo(pipe)
    before = lowest_free_handle()
    for _ in range(5):
        refusal(folder)
        refusal(pipe)
    assert lowest_free_handle() == before


def test_a_device_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").symlink_to("/dev/zero")
    assert "leads out of its folder" in refusal(tmp_path / "x.jsonl")


def test_a_link_within_the_folder_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real.jsonl").write_bytes(b"a\n")
    (tmp_path / "x.jsonl").symlink_to("real.jsonl")
    (tmp_path / "y.jsonl").symlink_to(tmp_path / "x.jsonl")
    assert measured(tmp_path / "y.jsonl") == naive(b"a\n")


def test_a_file_is_read_through_a_link_to_its_folder(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "x.jsonl").write_bytes(b"a\n")
    (tmp_path / "linked").symlink_to("real")
    assert measured(tmp_path / "linked" / "x.jsonl") == naive(b"a\n")


@pytest.mark.parametrize("target", ["../outside.jsonl", "sub/inside.jsonl", "hop.jsonl"])
def test_a_link_that_leads_out_of_the_folder_is_refused(target: str, tmp_path: Path) -> None:
    folder = tmp_path / "mix"
    (folder / "sub").mkdir(parents=True)
    (tmp_path / "outside.jsonl").write_bytes(b"a\n")
    (folder / "sub" / "inside.jsonl").write_bytes(b"a\n")
    (folder / "hop.jsonl").symlink_to("../outside.jsonl")
    (folder / "x.jsonl").symlink_to(target)
    told = "is a symbolic link that leads out of its folder; put the file itself here"
    assert refusal(folder / "x.jsonl") == told


def test_a_link_to_nothing_or_to_itself_is_told(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").symlink_to("gone.jsonl")
    (tmp_path / "y.jsonl").symlink_to("y.jsonl")
    assert refusal(tmp_path / "x.jsonl") == "cannot be read: No such file or directory"
    assert refusal(tmp_path / "y.jsonl").startswith("cannot be read: ")


def test_a_file_that_is_there_is_opened_at_its_start(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_bytes(b"a\nb\n")
    with open_beside(tmp_path / "x.jsonl") as file:
        assert file.readlines() == [b"a\n", b"b\n"]

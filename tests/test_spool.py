"""Lines that are made again: from the very rows that were read, or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy
import pytest

import teapot
from teapot import MixOptions
from teapot.checks.builtin import builtin_checks
from teapot.digest import sha256
from teapot.errors import DataError
from teapot.index import ENTRY, FROM_ROW, SPOOLED, RecordIndex
from teapot.interfaces import Block
from teapot.licensing import LicensePolicy
from teapot.model.module import Module, SourceSpec
from teapot.partmaker import PartMaker
from teapot.records import RecordMaker, RecordOptions
from teapot.spool import Origin, Origins
from tests.support.project import chat_row, chat_rows, jsonl, write_config, write_module

Change = Callable[[Path], object]
MODULE = {"name": "m", "version": "1", "description": "d", "license": "MIT", "sources": []}
ROWS = [*chat_rows("a", 3), chat_row("odd", "◁?", "Odd.")]


def _composed(folder: Path, change: Change, workers: int = 1) -> teapot.Composition:
    """Compose two modules; the first one's file changes while the second is read."""
    write_module(folder, "t/a", ROWS)
    write_module(folder, "t/b", chat_rows("b", 3))
    source = folder / "modules" / "t" / "t-a.jsonl"

    def progress(what: str, done: int, total: int | None) -> None:
        if what == "t-b":
            change(source)

    made = MixOptions(progress=progress, keep_parts=False, workers=workers)
    return teapot.compose(
        write_config(folder, {"t/a": 1, "t/b": 1}), made, output=folder / "o.jsonl"
    )


def _overwrite(old: bytes, new: bytes) -> Change:
    """Return what puts other bytes, as many, into the same file."""
    assert len(old) == len(new)

    def change(source: Path) -> None:
        data = source.read_bytes()
        with source.open("r+b") as file:
            file.write(data.replace(old, new))

    return change


def _replace(source: Path) -> None:
    """Put another file in its place."""
    other = source.with_suffix(".other")
    other.write_bytes(jsonl(chat_rows("z", 4)))
    other.replace(source)


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize(
    ("change", "row"),
    [
        (_overwrite(b"Question 2", b"Question 9"), "2"),
        (_overwrite(b"Question 3", b"<think> 33"), "3"),
        (_overwrite(b"Question 1", b"Question\xff1"), "1"),
        (_overwrite(b'"An answer."', b'"An answer" '), ""),
        (lambda source: os.truncate(source, 10), ""),
        (lambda source: os.truncate(source, 0), ""),
    ],
)
def test_a_row_that_changed_since_it_was_read_is_named_and_nothing_is_written(
    change: Change, row: str, workers: int, tmp_path: Path
) -> None:
    with pytest.raises(DataError) as caught:
        _composed(tmp_path, change, workers=workers)
    (problem,) = caught.value.problems
    assert problem.where.startswith(f"t/a t-a:{row}")
    assert problem.message == (
        "the row is not what it was when it was read: the file changed; run again"
    )
    assert not [path for path in tmp_path.iterdir() if path.name.startswith("o.")]


@pytest.mark.parametrize(
    "change",
    [
        _replace,
        Path.unlink,
        _overwrite(b"\n", b" "),  # no row
        _overwrite(b"Odd", b"odd"),  # a row whose line was kept
    ],
)
def test_what_no_line_is_made_of_may_change(change: Change, tmp_path: Path) -> None:
    calm = _composed(tmp_path / "calm", lambda source: None)
    moved = _composed(tmp_path / "moved", change)
    assert moved.manifest_sha256 == calm.manifest_sha256
    assert moved.paths.data.read_bytes() == calm.paths.data.read_bytes()


@pytest.mark.parametrize("longest", [100, 1 << 20, 15 << 20])
def test_a_batch_holds_few_lines_and_few_bytes(longest: int, tmp_path: Path) -> None:
    lengths = numpy.random.default_rng(1).integers(0, longest, 5000)
    entries = numpy.zeros(len(lengths), dtype=ENTRY)
    entries["length"] = lengths
    records = numpy.arange(len(lengths))[::-1]
    with closing(RecordIndex()) as index, closing(Origins(tmp_path, index)) as origins:
        index.begin_source("m s")
        index.extend(entries, [])
        origins.load()
        batches = list(origins.batches(records))
        assert list(origins.batches(records[:0])) == []
    assert numpy.concatenate(batches).tolist() == records.tolist()
    assert max(map(len, batches)) <= 1024
    assert max(lengths[batch].sum() for batch in batches) < 32 << 20
    assert len(batches) < 6 + lengths.sum() // (8 << 20)


def test_lines_are_found_in_the_spool_and_in_their_files(tmp_path: Path) -> None:
    data = jsonl(ROWS)
    (tmp_path / "rows.jsonl").write_bytes(data)
    source, module = SourceSpec(id="s", kind="jsonl"), Module.from_dict(MODULE)
    options = RecordOptions(licenses=LicensePolicy(None), checks=builtin_checks())
    maker = PartMaker(RecordMaker(module, source, options))
    with closing(RecordIndex()) as index, closing(Origins(tmp_path, index)) as origins:
        for block in (Block(data, 0), Block(data)):
            part = maker.of_block(block)
            index.begin_source("m s")
            origins.place(part)
            index.extend(part.entries, part.licenses)
            file = (tmp_path / "rows.jsonl").open("rb") if block.again else None
            origins.add(Origin(file, maker.common))
        origins.load()
        assert index.column("state").tolist() == [FROM_ROW] * 3 + [SPOOLED] * 5
        lines, digests = origins.gather(numpy.array([7, 3, 0, 4, 0]))
        assert origins.gather(numpy.array([], dtype=numpy.uint32)) == (b"", b"")
    odd, again, *first = lines.splitlines()
    assert odd == again and first == first[:1] * 3
    assert [json.loads(line)["id"] for line in (odd, *first)] == ["odd", "a-1", "a-1", "a-1"]
    assert digests == b"".join(sha256(line) for line in lines.splitlines())

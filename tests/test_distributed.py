"""A mix made by tasks: the bytes of one machine, whatever is cut where, or an error that says why.

The tasks run in this process; `test_raycluster.py` has them run on Ray.
"""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

import numpy
import pytest

import teapot
from teapot import MixOptions
from teapot.cluster import Engine
from teapot.errors import (
    BadRowsError,
    DataError,
    DigestError,
    PluginError,
    SourceError,
    TeapotError,
    UsageError,
)
from teapot.stages import Judging, Run, merge_bucket
from tests.support.inline import ALL, inline_engine
from tests.support.mixtures import write_mixture
from tests.support.project import chat_row, chat_rows, jsonl, write_config, write_module
from tests.support.tokenizers import tokenizer_json


def digests(config: Path, engine: Engine | None = None, **options: Any) -> dict[str, str]:
    """Return what a mix is made of, by the names of its files."""
    output = config.parent / "out" / "mix.jsonl"
    output.parent.mkdir(exist_ok=True)
    given = MixOptions(engine=engine, keep_parts=False, **options)
    teapot.compose(config, given, output=output)
    files = sorted(output.parent.iterdir())
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    for path in files:
        path.unlink()
    return found


@pytest.fixture(scope="module")
def mixture(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """A mix that holds some of everything, and what it is on one machine."""
    config = write_mixture(tmp_path_factory.mktemp("mixture"), long_line=True)
    return config, digests(config)


@pytest.mark.parametrize("range_bytes", [1 << 20, 33_333, ALL])
@pytest.mark.parametrize("bucket_bytes", [ALL, 2_000])
def test_the_size_of_ranges_and_buckets_changes_nothing(
    range_bytes: int, bucket_bytes: int, mixture: tuple[Path, dict[str, str]]
) -> None:
    # the line over the cap is 16 MiB: most ranges have no line
    engine = inline_engine(range_bytes=range_bytes, bucket_bytes=bucket_bytes)
    assert digests(mixture[0], engine) == mixture[1]


def test_a_range_for_each_few_bytes_changes_nothing(tmp_path: Path) -> None:
    write_module(tmp_path, "t/a", chat_rows("a", 40))
    config = write_config(tmp_path, {"t/a": "1.5"})
    wanted = digests(config)
    for size in (1, 50, 119, 120, 121):
        assert digests(config, inline_engine(range_bytes=size, bucket_bytes=size)) == wanted


@pytest.mark.parametrize("shards", [3, 40])
def test_shards_are_the_same(shards: int, mixture: tuple[Path, dict[str, str]]) -> None:
    config, _ = mixture
    wanted = digests(config, shards=shards)
    engine = inline_engine(range_bytes=5_000, bucket_bytes=1_500)
    assert len(wanted) == shards + 2
    assert digests(config, engine, shards=shards) == wanted


@pytest.mark.parametrize(
    "config",
    [
        {"duplicates": "drop"},
        {"duplicates": {"policy": "drop", "prefer": ["t/b"]}},
        {"license": {"allowed": ["MIT"]}},
        {"training": {"strip_think": True, "seed": 7}},
        {"tokenizer": "tokenizer.json"},
    ],
    ids=["drop", "prefer", "licences", "strip", "tokens"],
)
def test_policies_are_the_same(config: dict[str, Any], tmp_path: Path) -> None:
    file = write_mixture(tmp_path, 20, **config)
    base = teapot.plugins.load_trainer("apertus")[0].base
    (tmp_path / "tokenizer.json").write_text(tokenizer_json(base))
    engine = inline_engine(range_bytes=4_000, bucket_bytes=3_000)
    assert digests(file, engine) == digests(file)


def test_more_licences_than_a_scan_knows_are_the_same(tmp_path: Path) -> None:
    from license_expression import get_spdx_licensing

    names = sorted(get_spdx_licensing().known_symbols)[:150]
    rows = [
        {**row, "license": names[number % len(names)]}
        for number, row in enumerate(chat_rows("a", 600))
    ]
    write_module(tmp_path, "t/a", rows, on_bad_row="drop", license="mixed")
    config = write_config(tmp_path, {"t/a": 1})
    engine = inline_engine(range_bytes=9_000, bucket_bytes=9_000)
    assert digests(config, engine) == digests(config)


def refusals(config: Path, **sizes: Any) -> list[TeapotError]:
    """Return the errors that a mix ends with on one machine, and with tasks."""
    found = []
    for engine in (None, inline_engine(**sizes)):
        with pytest.raises(TeapotError) as caught:
            digests(config, engine)
        found.append(caught.value)
    return found


def source(folder: Path, rows: bytes, **declared: Any) -> Path:
    keys = {"id": "t-a", "kind": "jsonl", "path": "t-a.jsonl", **declared}
    write_module(folder, "t/a", rows, sources=[keys])
    return write_config(folder, {"t/a": 1})


@pytest.mark.parametrize(
    ("data", "declared", "error"),
    [
        (b"", {}, DataError),
        (jsonl(chat_rows("a", 9)), {"sha256": "0" * 64}, DigestError),
        (b"\xff\xfe{}", {}, DataError),
        (jsonl([*chat_rows("a", 9), chat_row("b", "Why?", "<think>")]), {}, BadRowsError),
        (jsonl(chat_rows("a", 9)), {"path": "nowhere.jsonl"}, SourceError),
        (jsonl(chat_rows("a", 9)), {"kind": "nobodys"}, PluginError),
        (b"", {"kind": "parquet", "path": "t-a.jsonl"}, DataError),
        (b"", {"kind": "fsspec", "url": "oci://x/x.jsonl"}, UsageError),
    ],
)
def test_what_one_machine_refuses_tasks_refuse_in_its_words(
    data: bytes, declared: dict[str, Any], error: type[TeapotError], tmp_path: Path
) -> None:
    here, there = refusals(source(tmp_path, data, **declared), range_bytes=200)
    assert type(there) is type(here) is error
    assert there.problems == here.problems
    assert not list((tmp_path / "out").iterdir())


def test_what_lies_in_memory_is_refused(tmp_path: Path) -> None:
    config = source(tmp_path, b"", kind="fsspec", url="memory:///x.jsonl")
    with pytest.raises(UsageError, match="memory of one process; use --engine local"):
        digests(config, inline_engine())


@pytest.mark.parametrize(
    ("moment", "changed"),
    [("hash_file", "t-a.jsonl"), ("judge_range", "t-a.jsonl"), ("sort_range", "t-a.jsonl"),
     ("sort_source", "g.jsonl.gz")],
)  # fmt: skip
def test_a_source_that_changes_at_any_moment_is_told(
    moment: str, changed: str, tmp_path: Path
) -> None:
    config = write_mixture(tmp_path, 20)
    place = tmp_path / "modules" / "t"
    other = write_mixture(tmp_path / "other", 21).parent / "modules" / "t"
    seen: list[str] = []

    def before(name: str) -> None:
        seen.append(name)
        if name == moment and seen.count(name) == (2 if name == "judge_range" else 1):
            (place / changed).write_bytes((other / changed).read_bytes())

    engine = inline_engine(range_bytes=2_000, before=before)
    if moment == "hash_file":  # it is the first to read: nothing has changed for anybody
        assert digests(config, engine) != {}
        return
    with pytest.raises(DataError, match=r"it changed while it was read; run again"):
        digests(config, engine)


def test_an_edit_that_keeps_size_and_time_is_told(tmp_path: Path) -> None:
    config = source(tmp_path, jsonl(chat_rows("a", 50)))
    path = tmp_path / "modules" / "t" / "t-a.jsonl"
    status = path.stat()

    def before(name: str) -> None:
        if name == "sort_range":
            import os

            data = path.read_bytes()
            with path.open("r+b") as file:
                file.write(data.replace(b"answer", b"ANSWER", 1))
            os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))

    with pytest.raises(DataError, match="it changed while it was read"):
        digests(config, inline_engine(range_bytes=1_000, before=before))


def test_a_worker_with_other_code_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = source(tmp_path, jsonl(chat_rows("a", 5)))
    monkeypatch.setattr("teapot.stages.code_here", lambda: "other")
    with pytest.raises(UsageError, match="a worker has another Teapot, or other libraries, than"):
        digests(config, inline_engine())
    assert {field.name for field in dataclasses.fields(Judging)} >= {"code"}


def a_run(*lines: tuple[int, bytes]) -> Run:
    found = [hashlib.sha256(line[:-1]).digest() for _, line in lines]
    return Run(
        lines=numpy.array([number for number, _ in lines], dtype=numpy.int64),
        sizes=numpy.array([len(line) for _, line in lines], dtype=numpy.int64),
        digests=numpy.frombuffer(b"".join(found), dtype=numpy.uint8).reshape(-1, 32),
        data=numpy.frombuffer(b"".join(line for _, line in lines), dtype=numpy.uint8),
    )


def test_lines_that_were_altered_on_their_way_or_lost_are_told() -> None:
    first, second = a_run((5, b"a\n"), (7, b"c\n")), a_run((6, b"b\n"))
    lines, found = merge_bucket(5, 3, first, second)
    assert lines == b"a\nb\nc\n"
    assert found == b"".join(hashlib.sha256(letter).digest() for letter in (b"a", b"b", b"c"))
    bent = dataclasses.replace(second, data=numpy.frombuffer(b"B\n", dtype=numpy.uint8))
    for runs in ((first, bent), (first,), (first, second, second), (second, first, a_run())):
        if runs[-1].lines.size == 0:
            assert merge_bucket(5, 3, *runs)[0] == lines
            continue
        with pytest.raises(DataError, match="lines 6 to 8: are not those that were sent"):
            merge_bucket(5, 3, *runs)

"""Parquet: rows through all row groups, nested turns whose unused fields are null."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as arrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from teapot.digest import sha256_hex
from teapot.errors import DataError
from teapot.interfaces import BlockReader, SourceContext, SourceReader
from teapot.model.module import SourceSpec
from teapot.plugins import load_source
from teapot.sources.jsonl import rows_of
from tests.support.project import Row, chat_rows, jsonl
from tests.support.sources import composed, read, teapot, write_mix

CALL = {"id": "c1", "type": "function", "function": {"name": "boil", "arguments": "{}"}}
NESTED: list[Row] = [
    *chat_rows("tea", 7),
    {
        "id": "tools",
        "conversations": [
            {"role": "user", "content": "Boil it.", "name": "Ann"},
            {"role": "assistant", "content": "", "tool_calls": [CALL]},
            {"role": "tool", "content": "boiled", "tool_call_id": "c1"},
            {"role": "assistant", "content": "Done."},
        ],
    },
    *chat_rows("milk", 3),
]


def write(path: Path, rows: Sequence[Row], **options: Any) -> None:
    # Arrow makes one struct of all turns: the keys that a turn lacks are null in it.
    parquet.write_table(arrow.Table.from_pylist([dict(row) for row in rows]), path, **options)


def test_rows_are_numbered_through_all_row_groups(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    flat = [{"n": n, "text": f"a\u2028{n}", "none": None} for n in range(2500)]
    write(path, flat, row_group_size=600)
    rows, identity = read("parquet", tmp_path, path=path.name)
    assert parquet.ParquetFile(path).num_row_groups == 5
    assert rows == list(enumerate(flat, start=1))
    assert (identity.rows, identity.bytes) == (2500, path.stat().st_size)
    assert (identity.sha256, identity.uri) == (sha256_hex(path.read_bytes()), path.name)


def test_nested_turns_with_null_fields_make_the_lines_that_jsonl_makes(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_bytes(jsonl(NESTED))
    write(tmp_path / "rows.parquet", NESTED, row_group_size=4)
    made = set()
    for name in ("rows.jsonl", "rows.parquet"):
        write_mix(tmp_path, {"rows": {"kind": "jsonl", "path": "../../rows.jsonl"}})
        made.add(composed(tmp_path, "--source", f"rows={name}")["data"]["sha256"])
    assert len(made) == 1


def test_turns_may_be_json_text(tmp_path: Path) -> None:
    text = [{**row, "conversations": json.dumps(row["conversations"])} for row in NESTED]
    write(tmp_path / "text.parquet", text)
    write(tmp_path / "nested.parquet", NESTED)
    made = set()
    for name in ("text.parquet", "nested.parquet"):
        write_mix(tmp_path, {"rows": {"kind": "parquet", "path": "../../text.parquet"}})
        made.add(composed(tmp_path, "--source", f"rows={name}")["data"]["sha256"])
    assert len(made) == 1


@pytest.mark.parametrize("keep", [0, 3, -10])
def test_file_cut_short_is_an_error(keep: int, tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    write(path, NESTED)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        read("parquet", tmp_path, path=path.name)


def test_text_that_is_not_utf8_is_an_error(tmp_path: Path) -> None:
    raw = arrow.array([b"fine", b"\xff\xfe"])
    text = arrow.Array.from_buffers(arrow.string(), 2, raw.buffers())
    parquet.write_table(arrow.table({"a": text}), tmp_path / "rows.parquet")
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        read("parquet", tmp_path, path="rows.parquet")


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    table = arrow.table([["first"], ["second"]], names=["id", "id"])
    parquet.write_table(table, tmp_path / "rows.parquet")
    with pytest.raises(DataError, match="two columns of one name"):
        read("parquet", tmp_path, path="rows.parquet")


def test_two_nested_fields_of_one_name_are_refused(tmp_path: Path) -> None:
    turn = arrow.StructArray.from_arrays([arrow.array(["a"]), arrow.array(["b"])], ["role", "role"])
    parquet.write_table(arrow.table({"turn": turn}), tmp_path / "rows.parquet")
    with pytest.raises(DataError, match="two columns of one name"):
        read("parquet", tmp_path, path="rows.parquet")


def test_clocks_finer_than_pythons_are_read_as_text(tmp_path: Path) -> None:
    clock = arrow.array([1_700_000_000_123_456_789], arrow.timestamp("ns"))
    parquet.write_table(arrow.table({"id": ["a"], "at": clock}), tmp_path / "rows.parquet")
    rows, _ = read("parquet", tmp_path, path="rows.parquet")
    assert rows == [(1, {"id": "a", "at": "2023-11-14 22:13:20.123456789"})]


# Blocks of JSON Lines, whose rows compiled code judges.

TEXT = st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
TURNS = st.lists(st.fixed_dictionaries({"role": TEXT, "content": TEXT, "name": TEXT}), max_size=3)
TABLES = st.lists(
    st.fixed_dictionaries(
        {
            "id": TEXT, "messages": st.none() | TURNS, "flag": st.none() | st.booleans(),
            "n": st.none() | st.integers(-(1 << 63), (1 << 63) - 1), "nothing": st.none(),
        }
    ),
    max_size=5,
)  # fmt: skip


def opened(folder: Path) -> SourceReader:
    spec = SourceSpec(id="s", kind="parquet", path="rows.parquet")
    return load_source("parquet")[0].open(spec, SourceContext(folder=folder))


@settings(max_examples=150)
@given(rows=TABLES)
def test_blocks_hold_the_rows_that_a_reader_gives(
    rows: list[Row], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("rows")
    turn = arrow.struct([(name, arrow.string()) for name in ("role", "content", "name")])
    types = {
        "id": arrow.string(), "messages": arrow.list_(turn), "flag": arrow.bool_(),
        "n": arrow.int64(), "nothing": arrow.null(),
    }  # fmt: skip
    table = arrow.Table.from_pylist([dict(row) for row in rows], schema=arrow.schema(types))
    parquet.write_table(table, folder / "rows.parquet")
    reader, again = opened(folder), opened(folder)
    assert isinstance(again, BlockReader)
    given_rows = [row for _, row in reader]
    assert given_rows == rows
    assert [row for block in again.blocks() for row in rows_of(block)] == rows
    assert again.identity() == reader.identity()


@pytest.mark.parametrize(
    "column",
    [
        arrow.array([float("nan")]), arrow.array([b"x"]), arrow.array([1], arrow.timestamp("s")),
        arrow.array([1], arrow.decimal128(5)), arrow.array([(1 << 64) - 1], arrow.uint64()),
        arrow.array([[("k", "v")]], arrow.map_(arrow.string(), arrow.string())),
        arrow.array([[{"score": 0.5}]]), arrow.array(["MIT"]).dictionary_encode(),
    ],
    ids=lambda column: str(column.type).partition("<")[0],
)  # fmt: skip
def test_what_json_would_say_otherwise_is_not_made_into_blocks(column: Any, tmp_path: Path) -> None:
    parquet.write_table(arrow.table({"license": column}), tmp_path / "rows.parquet")
    assert not isinstance(opened(tmp_path), BlockReader)


def test_a_licence_that_is_no_number_is_not_the_modules(tmp_path: Path) -> None:
    turns = [dict(turn) for turn in chat_rows("tea", 1)[0]["conversations"]]
    columns = {"license": arrow.array([float("nan")]), "conversations": [turns]}
    parquet.write_table(arrow.table(columns), tmp_path / "rows.parquet")
    write_mix(tmp_path, {"rows": {"kind": "parquet", "path": "../../rows.parquet"}})
    ran = teapot(tmp_path, "compose", "mix.config")
    assert ran.returncode == 1, ran.stdout
    assert "rows:1" in ran.stderr and "[license" in ran.stderr


def test_a_file_of_plain_columns_that_shrinks_while_it_is_read_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    write(path, chat_rows("tea", 3000), row_group_size=1024)
    reader = opened(tmp_path)
    assert isinstance(reader, BlockReader)
    blocks = reader.blocks()
    next(blocks)
    write(path, chat_rows("milk", 3))
    with pytest.raises(DataError, match=r"it changed while it was read|cannot be read as Parquet"):
        list(blocks)

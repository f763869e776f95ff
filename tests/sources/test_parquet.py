"""Parquet: rows through all row groups, nested turns whose unused fields are null."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as arrow
import pytest
from pyarrow import parquet

from teapot.digest import sha256_hex
from teapot.errors import DataError
from tests.support.project import Row, chat_rows, jsonl
from tests.support.sources import composed, read, write_mix

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

"""What all local formats share: one mix whatever the format, digests held to, changes noticed."""

from __future__ import annotations

import csv
import json
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as arrow
import pytest
from pyarrow import parquet

from teapot.digest import sha256_hex
from teapot.errors import DataError, DigestError, SourceError, UsageError
from teapot.interfaces import SourceReader
from teapot.model.module import SourceSpec
from teapot.sources.local import LocalFile, open_local
from tests.support.project import Row, chat_rows, jsonl
from tests.support.sources import composed, read, write_mix

COLUMNS = ("id", "category", "license", "conversations")
QUERY = "SELECT id, category, license, conversations FROM rows ORDER BY rowid"


def twenty_rows() -> Sequence[Row]:
    """Return rows with and without what is optional, and with characters that need quoting."""
    rows: list[dict[str, Any]] = []
    rows.extend({**row, "category": None, "license": "MIT"} for row in chat_rows("tea", 20))
    for row in rows[::3]:
        row["category"] = 'a "b", c'
        row["license"] = "CC-BY-4.0"
    rows[4]["conversations"] = [
        {"role": "system", "content": "Čaj,\n\"tea\"\u2028'茶' 🫖"},
        {"role": "user", "content": "a\r\nb\tc\\n"},
        {"role": "assistant", "content": "<think>\nHm.\n</think>\n\nd"},
    ]
    return rows


def as_text(row: Row) -> dict[str, Any]:
    return {**row, "conversations": json.dumps(row["conversations"], ensure_ascii=False)}


def write_jsonl(path: Path, rows: Sequence[Row]) -> None:
    path.write_bytes(jsonl(rows))


def write_parquet(path: Path, rows: Sequence[Row]) -> None:
    parquet.write_table(arrow.Table.from_pylist([dict(row) for row in rows]), path)


def write_csv(path: Path, rows: Sequence[Row]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(as_text(row) for row in rows)


def write_sqlite(path: Path, rows: Sequence[Row]) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE rows (id, category, license, conversations)")
        values = [tuple(as_text(row)[column] for column in COLUMNS) for row in rows]
        database.executemany("INSERT INTO rows VALUES (?, ?, ?, ?)", values)
        database.commit()


FORMATS: dict[str, Callable[[Path, Sequence[Row]], None]] = {
    "jsonl": write_jsonl, "parquet": write_parquet, "csv": write_csv, "sqlite": write_sqlite,
}  # fmt: skip


def test_same_rows_in_every_format_make_the_same_data(tmp_path: Path) -> None:
    made = set()
    for kind, write in FORMATS.items():
        folder = tmp_path / kind
        folder.mkdir()
        write(folder / f"rows.{kind}", twenty_rows())
        source = {"kind": kind, "path": f"../../rows.{kind}"}
        write_mix(folder, {"rows": source | ({"query": QUERY} if kind == "sqlite" else {})})
        assert composed(folder)["sources"][0]["kind"] == kind
        made.add((folder / "mix.jsonl").read_bytes())
    (data,) = made
    assert data.count(b"\n") == 20


@pytest.mark.parametrize("kind", FORMATS)
def test_declared_digest_is_held_to(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"rows.{kind}"
    FORMATS[kind](path, twenty_rows())
    sha256 = sha256_hex(path.read_bytes())
    rows, identity = read(kind, tmp_path, path=path.name, query=QUERY, sha256=sha256)
    assert (len(rows), identity.sha256) == (20, sha256)
    with pytest.raises(DigestError, match=f"its SHA-256 is {sha256}, expected {'0' * 64}"):
        read(kind, tmp_path, path=path.name, query=QUERY, sha256="0" * 64)


def open_file(path: Path) -> SourceReader:
    return open_local(LocalFile(path=path, spec=SourceSpec(id="s", kind="any", query=QUERY)))


@pytest.mark.parametrize("kind", FORMATS)
def test_file_that_is_replaced_while_it_is_read_is_an_error(kind: str, tmp_path: Path) -> None:
    path, other = tmp_path / f"rows.{kind}", tmp_path / f"other.{kind}"
    FORMATS[kind](path, twenty_rows())
    FORMATS[kind](other, twenty_rows())
    rows = iter(open_file(path))
    next(rows)
    other.replace(path)
    with pytest.raises(DataError, match="it changed while it was read"):
        list(rows)


@pytest.mark.parametrize("kind", FORMATS)
def test_file_that_is_not_there_is_told_with_what_to_do(kind: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"no file at .*; give it with --source s=PATH"):
        read(kind, tmp_path, path="nowhere", query=QUERY)
    with pytest.raises(SourceError, match="a folder at"):
        read(kind, tmp_path, path=".", query=QUERY)


@pytest.mark.parametrize("name", ["rows", "rows.json", "rows.txt", "rows.jsonl.xz"])
def test_name_that_tells_no_format_is_told(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(jsonl(twenty_rows()))
    with pytest.raises(UsageError, match="add format: csv or jsonl or parquet"):
        open_file(tmp_path / name)


def test_declared_format_goes_before_the_name(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(jsonl(twenty_rows()))
    spec = SourceSpec(id="s", kind="any", format="jsonl")
    assert len(list(open_local(LocalFile(path=path, spec=spec)))) == 20

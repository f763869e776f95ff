"""CSV as RFC 4180 has it: quoted text with line breaks, every row as wide as the header."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from teapot.digest import sha256_hex
from teapot.errors import DataError
from teapot.model.record import Fault
from teapot.sources.jsonl import MAX_LINE_BYTES
from tests.support.sources import composed, read, write_mix

EXCHANGES = [
    ("1", "Be brief.", 'Say "tea",\nthen milk.', "tea\r\n\r\nmilk, sugar\n"),
    ("2", "", "a\u2028b čaj", ' "" '),
    ("3", "", "'", ";\t"),
]


def as_csv(*rows: tuple[str, ...], line_end: str = "\r\n") -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator=line_end).writerows(rows)
    return text.getvalue().encode()


@pytest.mark.parametrize("line_end", ["\r\n", "\n"])
def test_columns_make_an_exchange_and_keep_every_character(line_end: str, tmp_path: Path) -> None:
    packed = as_csv(("id", "rule", "q", "a"), *EXCHANGES, line_end=line_end)
    (tmp_path / "rows.csv").write_bytes(packed)
    fields = {"user": "q", "assistant": "a", "system": "rule"}
    write_mix(tmp_path, {"x": {"kind": "csv", "path": "../../rows.csv", "fields": fields}})
    (source,) = composed(tmp_path)["sources"]
    assert (source["sha256"], source["rows"]) == (sha256_hex(packed), 3)
    records = map(json.loads, (tmp_path / "mix.jsonl").read_bytes().split(b"\n")[:-1])
    found = {row["id"]: [turn["content"] for turn in row["messages"]] for row in records}
    assert found == {
        identity: [rule, question, answer] if rule else [question, answer]
        for identity, rule, question, answer in EXCHANGES
    }


def test_row_of_another_width_is_a_fault_of_that_row(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_bytes(as_csv(("a", "b"), ("1", "2\n2"), ("3",), ("4", "5", "6")))
    rows, identity = read("csv", tmp_path, path="rows.csv")
    assert rows[0] == (1, {"a": "1", "b": "2\n2"})
    faults = [(number, row.code) for number, row in rows[1:] if isinstance(row, Fault)]
    assert faults == [(2, "csv"), (3, "csv")]
    assert "1 cells, expected 2 as in the header" in str(rows[1][1])
    assert identity.rows == 3


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (b"", "empty, expected a header"),
        (b"\xef\xbb\xbfa,b\n1,2\n", "byte order mark"),
        (b"a,a\n1,2\n", "two columns of one name"),
        (b'a,b\n1,"2\n', "row 1"),
        (b'a,b\n1,2\n1,"2"x\n', "row 2"),
        (b"a,b\n1,\xff\n", "cannot be read as CSV"),
        ("a,b\n1,2\n".encode("utf-16"), "cannot be read as CSV"),
        (b"a\n" + b"x" * (MAX_LINE_BYTES + 1), "field larger than field limit"),
    ],
)
def test_file_that_is_not_strict_csv_is_an_error(text: bytes, told: str, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_bytes(text)
    with pytest.raises(DataError, match=told):
        read("csv", tmp_path, path="rows.csv")

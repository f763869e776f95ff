"""Mixes that hold some of everything that a reader may meet, as projects on disk."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as arrow
from pyarrow import parquet

from teapot.sources.jsonl import MAX_LINE_BYTES
from tests.support.compositions import DOUBLE, UNCLOSED
from tests.support.project import chat_row, chat_rows, jsonl, write_config, write_module

LICENSES = ("MIT", "Apache-2.0", "mit", "CC0-1.0", "GPL-3.0-only", "unknown")


def write_mixture(folder: Path, rows: int = 60, *, long_line: bool = False, **config: Any) -> Path:
    """Write a mix of plain and packed lines, Parquet and CSV, with bad rows and duplicates."""
    long = b'{"id": "long", "conversations": "%b"}\n' % (b"x" * (MAX_LINE_BYTES + 9))
    long = long if long_line else b""
    bad = b'{"id": 1, "id": 2}\n\n[1]\nnull\n{"conversations": []}\n'
    plain = jsonl(chat_rows("a", rows)) + bad + long + jsonl([UNCLOSED, *chat_rows("z", 9)])
    write_module(folder, "t/a", plain.removesuffix(b"\n"), on_bad_row="drop")
    again = [{**row, "id": f"again-{row['id']}"} for row in chat_rows("a", rows)[::3]]
    licensed = [
        {**row, "license": LICENSES[number % len(LICENSES)]}
        for number, row in enumerate(chat_rows("b", rows))
    ]
    write_module(folder, "t/b", [*again, *licensed, *again], on_bad_row="drop", license="mixed")
    own: dict[str, Any] = {"system_prompt": "Be brief.", "repair": ["double-close"]}
    write_module(folder, "t/c", [*chat_rows("c", 9), DOUBLE], **own)
    write_packed(folder, rows)
    weights = {"t/a": "1.3", "t/b": "0.4", "t/c": 2, "t/packed": "1.5"}
    return write_config(folder, weights, **config)


def write_packed(folder: Path, rows: int) -> None:
    """Write a module whose sources are no plain JSON Lines."""
    sources = [
        {"id": "csv", "kind": "csv", "path": "c.csv"},
        {"id": "gz", "kind": "jsonl", "path": "g.jsonl.gz"},
        {"id": "parquet", "kind": "parquet", "path": "p.parquet"},
    ]
    write_module(folder, "t/packed", b"", sources=sources)
    place = folder / "modules" / "t"
    (place / "g.jsonl.gz").write_bytes(gzip.compress(jsonl(chat_rows("g", rows)), mtime=0))
    parquet.write_table(arrow.Table.from_pylist(chat_rows("p", rows)), place / "p.parquet")
    lines = ["id,conversations"]
    for row in (chat_row(f"v-{number}", f"Why {number}?") for number in range(rows)):
        turns = json.dumps(row["conversations"]).replace('"', '""')
        lines.append(f'{row["id"]},"{turns}"')
    (place / "c.csv").write_text("\n".join(lines) + "\n")

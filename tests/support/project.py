"""Small projects for tests: a config, modules and rows, as a user would lay them out."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

Row = Mapping[str, Any]


def chat_row(identity: str, question: str, answer: str = "An answer.") -> Row:
    """Return a row of one exchange."""
    turns = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return {"id": identity, "conversations": turns}


def chat_rows(name: str, count: int) -> list[Row]:
    """Return `count` rows that differ in content and in id."""
    return [chat_row(f"{name}-{n}", f"Question {n} of {name}?") for n in range(1, count + 1)]


def jsonl(rows: Sequence[Row]) -> bytes:
    """Return rows as JSON lines."""
    return b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows)


def write_module(folder: Path, name: str, rows: Sequence[Row] | bytes, **declared: Any) -> Path:
    """Write a module with one JSONL source (or with the `sources` given); return its file."""
    path = folder / "modules" / f"{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    identity = name.replace("/", "-")
    (path.parent / f"{identity}.jsonl").write_bytes(
        rows if isinstance(rows, bytes) else jsonl(rows)
    )
    module = {
        "name": name, "version": "1", "description": "made by a test", "license": "MIT",
        "sources": [{"id": identity, "kind": "jsonl", "path": f"{identity}.jsonl"}],
    }  # fmt: skip
    path.write_text(json.dumps({**module, **declared}))
    return path


def write_config(folder: Path, weights: Mapping[str, float | str], **declared: Any) -> Path:
    """Write a config of the modules and weights given, in their order; return its file."""
    config: dict[str, Any] = {
        "modules": dict.fromkeys(weights, True),
        "license": {"allowed": "all"},
        "training": {"seed": 42, "weights": dict(weights)},
    }
    config["training"].update(declared.pop("training", {}))
    path = folder / "mix.config"
    path.write_text(json.dumps({**config, **declared}))
    return path

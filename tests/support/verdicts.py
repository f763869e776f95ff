"""Verdicts for tests: lines of curation files, on the contents of rows."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from tests.support.project import Row

NOON = "2026-05-01T12:00:00Z"


def digest_of(row: Row) -> str:
    """Return the content digest of a row of `chat_row`, computed without Teapot."""
    value = {"messages": row["conversations"]}
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def verdict(on: Row | str, kind: str, reviewer: str = "ada", **said: Any) -> dict[str, Any]:
    """Return a line of a curation file."""
    digest = on if isinstance(on, str) else digest_of(on)
    line = {"content_digest": digest, "verdict": kind, "reviewer": reviewer, "time": NOON}
    return {**line, **said}


def write_verdicts(path: Path, *lines: dict[str, Any]) -> Path:
    """Write a curation file and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
    return path

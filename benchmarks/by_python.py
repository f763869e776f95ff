"""The mix as a careful script in Python makes it, all rows in memory.

Reads JSON lines, validates each row against a JSON Schema (compiled, by jsonschema-rs), checks that
thoughts are closed, checks the licence, drops exact duplicates by SHA-256, repeats and draws by
weight and shuffles with `random.Random(seed)`, writes JSON lines. It hashes no file, writes neither
ledger nor manifest, and stops at the first fault.

    python benchmarks/by_python.py CORPUS OUTPUT
"""

from __future__ import annotations

import hashlib
import json
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
from corpus import LICENSE, SEED, CorpusModule, read_corpus

_ALLOWED = frozenset({LICENSE})
_SCHEMA = {
    "type": "object",
    "required": ["id", "conversations"],
    "properties": {
        "id": {"type": "string", "minLength": 1},
        "category": {"type": "string"},
        "conversations": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["role", "content"],
                "properties": {
                    "role": {"enum": ["system", "user", "assistant", "tool"]},
                    "content": {"type": "string", "minLength": 1},
                },
            },
        },
    },
}
_VALIDATOR = jsonschema_rs.validator_for(_SCHEMA)


def main() -> None:
    """Write the mix of a corpus."""
    corpus = read_corpus(Path(sys.argv[1]))
    chance = random.Random(SEED)
    seen: set[bytes] = set()
    mix: list[dict[str, Any]] = []
    for module in corpus.modules:
        rows = [row for row in _rows(module) if _is_new(row, seen)]
        mix += rows * module.whole + chance.sample(rows, module.drawn)
    chance.shuffle(mix)
    with Path(sys.argv[2]).open("w", encoding="utf-8") as file:
        for row in mix:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def _rows(module: CorpusModule) -> Iterator[dict[str, Any]]:
    """Yield the rows of a module as records, each checked."""
    with module.path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            row = json.loads(line)
            fault = _fault(row)
            if fault:
                sys.exit(f"{module.path}:{number}: {fault}")
            yield {
                "id": row["id"],
                "category": row["category"],
                "license": LICENSE,
                "messages": row["conversations"],
            }


def _fault(row: Any) -> str | None:
    """Return what is wrong with a row, if anything is."""
    if not _VALIDATOR.is_valid(row):
        return "not a chat row"
    if row.get("license", LICENSE) not in _ALLOWED:
        return f"license {row['license']} is not allowed"
    for turn in row["conversations"]:
        content = turn["content"]
        if content.count("<think>") != content.count("</think>"):
            return "a thought is not closed"
    return None


def _is_new(row: dict[str, Any], seen: set[bytes]) -> bool:
    """Return whether no earlier row had the same messages, and remember this one."""
    text = json.dumps(row["messages"], ensure_ascii=False, sort_keys=True)
    digest = hashlib.sha256(text.encode()).digest()
    if digest in seen:
        return False
    seen.add(digest)
    return True


if __name__ == "__main__":
    main()

"""Digests of what every shipped base makes of the same conversations, from any environment.

    python -m tests.support.encoded_digests

prints a line of JSON a base. It needs Teapot with its tokens extra, jinja2 and transformers, and
nothing that only tests have, so environments of several versions can be compared.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from teapot.digest import sha256_hex
from teapot.errors import DataError
from teapot.model.encoded import Conversation, Encoded
from teapot.plugins import load_trainer
from tests.support.tokenizers import tokenizer_json

BASES = ("apertus", "chatml", "llama")
VECTORS = Path(__file__).parents[1] / "vectors" / "chat-templates"
DRAWN_CONVERSATIONS = 300
_SEED = 20

_WORDS = [
    "tea", "two words", "  ", "\n", "\n\n", "\t", "\r\n", "\u00a0", "\u3000", "\u2028", "\u200d",
    "🙂", "👩🏽‍🔬", "🇨🇭", "𝔘", "你好", "世界", "日本語", "한국어", "རྫོང་ཁ", "ྱ", "་", "e\u0301",
    "n\u0303", "अनु", "שלום", "<think>", "</think>", "<b>", "<|", "|>", "{{ messages }}", "&lt;",
    '"', "\\n",
]  # fmt: skip
_TOOLS: list[Any] = [
    {"type": "function", "function": {"name": "look", "description": "世界?", "parameters": {
        "type": "object", "required": ["at"], "properties": {
            "at": {"type": "string", "description": "what"},
            "how": {"type": "string", "enum": ["near", "far"], "default": "near"},
            "many": {"type": "array", "items": {"type": "number"}},
        }}}},
    {"type": "function", "function": {"name": "wait"}},
]  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Digest:
    """What one base made of all conversations, in the environment that said it."""

    base: str
    transformers: str
    rows: int
    refused: int
    tokens: int
    trained: int
    sha256: str


def digest_of(base: str, rows: Sequence[Encoded | DataError], transformers: str = "") -> Digest:
    """Return the digest of rows; it holds every id, every label and every reason of a refusal."""
    encoded = [row for row in rows if isinstance(row, Encoded)]
    told = [
        [row.ids.tolist(), row.labels.tolist()] if isinstance(row, Encoded) else str(row)
        for row in rows
    ]
    return Digest(
        base=base,
        transformers=transformers,
        rows=len(rows),
        refused=len(rows) - len(encoded),
        tokens=sum(len(row.ids) for row in encoded),
        trained=sum(row.supervised for row in encoded),
        sha256=sha256_hex(json.dumps(told).encode()),
    )


def conversations() -> list[Conversation]:
    """Return the vectors' conversations and drawn ones, the same in every environment."""
    chance = random.Random(_SEED)
    return [*_vectors(), *(_drawn(chance) for _ in range(DRAWN_CONVERSATIONS))]


def encoded_by(base: str) -> list[Encoded | DataError]:
    """Return what a base makes of the conversations, with the tests' own tokenizer."""
    trainer, _ = load_trainer(base)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "tokenizer.json"
        file.write_text(tokenizer_json(trainer.base), encoding="utf-8")
        return list(trainer.encoder(file).encode(conversations()))


def _vectors() -> Iterator[Conversation]:
    for file in sorted(VECTORS.glob("*.jsonl")):
        # One row per LF: U+2028 inside a row is text.
        for line in file.read_bytes().removesuffix(b"\n").split(b"\n"):
            yield Conversation(json.loads(line)["messages"])


def _drawn(chance: random.Random) -> Conversation:
    messages: list[Any] = []
    if chance.random() < 0.5:
        messages.append({"role": "system", "content": _text(chance)})
    for _ in range(chance.randint(1, 4)):
        messages.append({"role": "user", "content": _text(chance)})
        if chance.random() < 0.3:
            messages += _round_of_tools(chance)
        messages.append({"role": "assistant", "content": _answer(chance)})
    return Conversation(messages, _TOOLS if chance.random() < 0.4 else None)


def _round_of_tools(chance: random.Random) -> list[Any]:
    """Return one call without text beside it, which every base takes, and its result."""
    arguments = {"at": _text(chance), "many": [chance.randint(-9, 9), 1.5, None]}
    text = json.dumps(arguments, ensure_ascii=chance.random() < 0.5)
    call = {"type": "function", "function": {"name": "look", "arguments": text}}
    return [
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "content": _text(chance)},
    ]


def _answer(chance: random.Random) -> str:
    thought = f"<think>{_text(chance)}</think>" if chance.random() < 0.3 else ""
    # A base may refuse an answer that begins with white space, as a token may cross its border.
    return f"{thought}So {_text(chance)}"


def _text(chance: random.Random) -> str:
    return "".join(chance.choices(_WORDS, k=chance.randint(0, 12)))


if __name__ == "__main__":
    for name in BASES:
        made = digest_of(name, encoded_by(name), version("transformers"))
        sys.stdout.write(json.dumps(asdict(made)) + "\n")

"""Every vector, to the byte: `teapot render`, and the same from Python."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from teapot.cli.app import run
from teapot.plugins import load_trainer
from tests.support.project import jsonl

VECTORS = Path(__file__).parents[1] / "vectors" / "chat-templates"
FILES = {"apertus": "apertus-8b-instruct-2509.jsonl", "llama": "llama-3.1-8b-instruct.jsonl"}


def vectors(base: str) -> list[dict[str, Any]]:
    # One row per LF: U+2028 inside a row is text.
    lines = (VECTORS / FILES[base]).read_bytes().removesuffix(b"\n").split(b"\n")
    return [json.loads(line) for line in lines]


CASES = [
    pytest.param(base, row, id=f"{base}-{row['name']}") for base in FILES for row in vectors(base)
]


def test_all_vectors_are_there() -> None:
    assert {base: len(vectors(base)) for base in FILES} == {"apertus": 24, "llama": 23}


@pytest.mark.parametrize(("base", "row"), CASES)
def test_vector_is_rendered_to_the_byte(base: str, row: dict[str, Any]) -> None:
    rendered = load_trainer(base)[0].render(row["messages"])
    assert rendered.text == row["text"]
    assert list(rendered.pieces) == row["supervised"]


@pytest.mark.parametrize("base", FILES)
def test_render_prints_the_vectors_to_the_byte(
    base: str, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert run(["render", "--base", base, str(VECTORS / FILES[base])]) == 0
    out, err = capfdbinary.readouterr()
    wanted = [{"text": row["text"], "supervised": row["supervised"]} for row in vectors(base)]
    assert (out, err) == (jsonl(wanted), b"")

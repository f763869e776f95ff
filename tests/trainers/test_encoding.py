"""Ids and labels of conversations, with real tokenizers that have the bases' own control tokens."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from teapot.errors import ConfigError, DataError, UsageError
from teapot.model.encoded import IGNORED, Encoded
from teapot.model.rendered import Rendered, Span
from teapot.plugins import load_trainer, trainer_names
from teapot_trainers.encoding import encode_row, encode_rows
from teapot_trainers.tokenization import BaseTokenizer, read_tokenizer
from tests.support.tokenizers import tokenizer_json, tokenizer_of
from tests.trainers.test_properties import CONVERSATIONS, TRAINERS

VECTORS = Path(__file__).parents[1] / "vectors" / "chat-templates"
tokenizer_for: Callable[[str], BaseTokenizer] = lru_cache(tokenizer_of)


def parts_of(tokenizer: BaseTokenizer, encoded: Encoded) -> list[str]:
    """Return the texts of the runs of trained tokens; a run ends where a turn does."""
    base = tokenizer.base
    ends = {tokenizer.id_of(token) for token in (base.end_of_turn, base.end_of_call) if token}
    runs: list[list[int]] = [[]]
    for identity, label in zip(encoded.ids, encoded.labels, strict=True):
        if label == IGNORED:
            assert not runs[-1], "a trained run ends without the end of a turn"
            continue
        assert label == identity
        runs[-1].append(identity)
        if identity in ends:
            runs.append([])
    assert not runs.pop()
    return [tokenizer.decode(run) for run in runs]


def vectors(name: str) -> list[dict[str, Any]]:
    (file,) = VECTORS.glob(f"{name}*.jsonl")
    return [json.loads(line) for line in file.read_bytes().split(b"\n") if line]


@pytest.mark.parametrize(
    ("name", "vector"),
    [
        pytest.param(name, vector, id=f"{name}-{vector['name']}")
        for name in ("apertus", "llama")
        for vector in vectors(name)
    ],
)
def test_what_is_trained_of_a_vector_is_its_supervised_pieces(
    name: str, vector: dict[str, Any]
) -> None:
    tokenizer = tokenizer_for(name)
    rendered = load_trainer(name)[0].render(vector["messages"])
    encoded = encode_row(tokenizer, rendered)
    assert tokenizer.decode(encoded.ids) == vector["text"]
    assert parts_of(tokenizer, encoded) == vector["supervised"]
    assert encoded.supervised == sum(label != IGNORED for label in encoded.labels)


@settings(max_examples=350)
@given(CONVERSATIONS)
@pytest.mark.parametrize("name", trainer_names())
def test_any_conversation_is_masked_to_the_token_or_refused(name: str, messages: list[Any]) -> None:
    tokenizer = tokenizer_for(name)
    rendered = TRAINERS[name].render(messages)
    try:
        encoded = encode_row(tokenizer, rendered)
    except DataError as error:
        assert all("on both sides" in problem.message for problem in error.problems)
        assert any(piece[0].isspace() for piece in rendered.pieces)
    else:
        assert tokenizer.decode(encoded.ids) == rendered.text
        assert parts_of(tokenizer, encoded) == list(rendered.pieces)


@given(st.lists(CONVERSATIONS, max_size=5))
def test_rows_encoded_together_are_those_encoded_alone(rows: list[Any]) -> None:
    tokenizer = tokenizer_for("apertus")
    rendered = [TRAINERS["apertus"].render(messages) for messages in rows]
    assert encode_rows(tokenizer, rendered) == [encode_row(tokenizer, row) for row in rendered]


def test_a_token_across_the_border_of_what_is_trained_refuses_the_row() -> None:
    messages = [
        {"role": "user", "content": "tea?"}, {"role": "assistant", "content": "\n\n\ntea"},
    ]  # fmt: skip
    rendered = load_trainer("chatml")[0].render(messages)
    with pytest.raises(DataError) as caught:
        encode_row(tokenizer_for("chatml"), rendered)
    (problem,) = caught.value.problems
    assert problem.message.startswith("the token '\\n\\n' stands on both sides of the border")


def apertus(text: str, *spans: Span) -> str:
    with pytest.raises(DataError) as caught:
        encode_row(tokenizer_for("apertus"), Rendered(text, spans))
    (problem,) = caught.value.problems
    return problem.message


def test_a_row_of_which_nothing_is_trained_is_refused() -> None:
    assert apertus("<s>tea") == "nothing of it is trained"


@pytest.mark.parametrize(
    ("text", "count"), [("<s><s>t<|assistant_end|>", 2), ("t<|assistant_end|>", 0)]
)
def test_a_row_begins_with_one_bos(text: str, count: int) -> None:
    span = Span(text.index("t<"), len(text))
    assert apertus(text, span) == f"has {count} BOS tokens (id 1), expected one, at the start"


def test_a_part_that_does_not_end_its_turn_is_refused() -> None:
    found = apertus("<s>tea is green", Span(3, 15))
    last = tokenizer_for("apertus").encode(["tea is green"])[0].ids[-1]
    assert found == f"its trained part 1 ends on the id {last}, which ends no turn"


def test_a_character_that_the_tokenizer_lets_fall_refuses_the_row() -> None:
    base = load_trainer("apertus")[0].base
    file = json.loads(tokenizer_json(base))
    file["normalizer"] = {"type": "Replace", "pattern": {"String": "x"}, "content": ""}
    tokenizer = BaseTokenizer(base, json.dumps(file).encode(), "tokenizer.json")
    with pytest.raises(DataError) as caught:
        encode_row(tokenizer, Rendered("<s>xtea<|assistant_end|>", (Span(3, 24),)))
    (problem,) = caught.value.problems
    assert problem.message.startswith("the tokenizer writes 'x' with no token")


@pytest.mark.parametrize("name", trainer_names())
def test_a_tokenizer_is_read_from_a_folder_or_a_file(name: str, tmp_path: Path) -> None:
    base = load_trainer(name)[0].base
    file = tmp_path / "tokenizer.json"
    file.write_text(tokenizer_json(base), encoding="utf-8")
    for path in (tmp_path, file):
        tokenizer = read_tokenizer(base, path)
        for token, identity in base.control_tokens.items():
            assert tokenizer.id_of(token) == (identity or tokenizer.id_of(token))


def test_a_tokenizer_of_another_base_is_refused_with_every_token_that_differs() -> None:
    llama, own = load_trainer("llama")[0].base, load_trainer("apertus")[0].base
    with pytest.raises(ConfigError) as caught:
        BaseTokenizer(own, tokenizer_json(llama).encode(), "tokenizer.json")
    assert len(caught.value.problems) == len(own.control_tokens)
    assert str(caught.value.problems[0]) == (
        "tokenizer.json: <unk> is not one token, which apertus needs; wrong tokenizer?"
    )


def test_a_control_token_at_another_id_is_refused() -> None:
    base = load_trainer("apertus")[0].base
    changed = tokenizer_json(base).replace('"<pad>"', '"<PAD>"').replace('"</s>"', '"<pad>"')
    changed = changed.replace('"<PAD>"', '"</s>"')
    with pytest.raises(ConfigError, match="<pad> has the id 2, expected 3 for apertus"):
        BaseTokenizer(base, changed.encode(), "tokenizer.json")


@pytest.mark.parametrize("data", [b"", b"{}", b"\xff", b'{"version": "1.0"}'])
def test_what_is_no_tokenizer_is_refused(data: bytes) -> None:
    base = load_trainer("apertus")[0].base
    with pytest.raises(ConfigError, match=r"^tokenizer.json: (is not a tokenizer|not UTF-8)"):
        BaseTokenizer(base, data, "tokenizer.json")


def test_a_tokenizer_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"tokenizer.json: cannot be read: No such file"):
        read_tokenizer(load_trainer("apertus")[0].base, tmp_path)

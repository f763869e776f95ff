"""Words: the same for texts that differ in case, punctuation, spaces and forms of characters."""

from __future__ import annotations

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from teapot.words import ngram_hashes, texts_in_json, texts_of, word_ids, words_of


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("What's 2+2?", ["what", "s", "2", "2"]),
        ("snake_case, CamelCase", ["snake", "case", "camelcase"]),
        ("Příliš ŽLUŤOUČKÝ kůň", ["příliš", "žluťoučký", "kůň"]),
        ("Pr\u030ci\u0301lis\u030c", ["příliš"]),
        ("zero\u200bwidth soft\u00adhyphen", ["zerowidth", "softhyphen"]),
        ("ﬁne ２０２６ STRASSE Straße", ["fine", "2026", "strasse", "strasse"]),
        ("日本語 test", ["日", "本", "語", "test"]),
        ("हिन्दी भाषा", ["हिन्दी", "भाषा"]),
        ("ภาษา", ["ภ", "า", "ษ", "า"]),
        ("☕ — !", []),
    ],
)  # fmt: skip
def test_words_of_a_text(text: str, words: list[str]) -> None:
    assert words_of(text) == words


@given(st.text())
def test_case_and_spaces_between_words_change_nothing(text: str) -> None:
    words = words_of(text)
    assert words_of("  ".join(words)) == words
    assert words_of(" … ".join(words)) == words


def test_ascii_goes_the_short_way_to_the_same_words() -> None:
    text = "".join(map(chr, range(128))) + " A_b c-D 12"
    assert words_of(text) == words_of(text + " ☕")


def test_ngrams_hash_alike_exactly_where_their_words_are_alike() -> None:
    ids = word_ids(["a", "b", "c", "a", "b", "c", "b", "a"])
    hashes = ngram_hashes(ids, 3)
    assert len(hashes) == 6
    assert hashes[0] == hashes[3] and len(numpy.unique(hashes)) == 5
    assert len(ngram_hashes(ids, 9)) == 0 and len(ngram_hashes(ids, 8)) == 1


def test_texts_of_a_turn_are_its_content_and_what_its_tool_calls_say() -> None:
    call = {"type": "function", "function": {"name": "ask", "arguments": '{"q":"čaj","n":[2]}'}}
    turn = {"role": "assistant", "content": "Well.", "tool_calls": [call]}
    assert list(texts_of(turn)) == ["Well.", "ask", "q", "čaj", "n", "2"]  # type: ignore[arg-type]
    assert list(texts_in_json("{no json")) == ["{no json"]

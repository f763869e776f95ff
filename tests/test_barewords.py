"""Bare words: the same for texts that differ in what a disguise would change."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from teapot.barewords import bare_spans, bare_words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("What's 2+2?", ["what", "s", "2", "2"]),
        ("snake_case, __CamelCase__", ["snake", "case", "camelcase"]),
        ("Příliš z̷a̷l̷g̷o̷", ["prilis", "zalgo"]),
        ("ze\u200bro so\u00adft \u202eright\u202c", ["zero", "soft", "right"]),
        ("ﬁne ２０２６ Straße İstanbul", ["fine", "2026", "strasse", "istanbul"]),
        ("東京ガ test", ["東", "京", "カ", "test"]),
        ("हिन्दी", ["हनद"]),
        ("ภาษา", ["ภ", "า", "ษ", "า"]),
        ("☕ — !", []),
    ],
)  # fmt: skip
def test_words_without_marks(text: str, words: list[str]) -> None:
    assert bare_words(text) == words


@given(st.text())
def test_words_stay_what_they_are(text: str) -> None:
    words = bare_words(text)
    assert bare_words(" ".join(words)) == words


@given(st.text())
def test_every_word_is_found_again_in_the_text(text: str) -> None:
    found = [text[begin:end] for begin, end in bare_spans(text)]
    assert len(found) == len(bare_words(text))
    assert all(
        word in "".join(bare_words(part))
        for word, part in zip(bare_words(text), found, strict=True)
    )


def test_a_span_is_of_the_text_as_it_was_written() -> None:
    text = "«Straße», ze\u200bro!"
    assert [text[begin:end] for begin, end in bare_spans(text)] == ["Straße", "ze\u200bro"]

"""Bare words: the same for texts that differ in what a disguise would change."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from teapot.barewords import bare_ids, bare_spans, bare_words


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


@given(st.lists(st.text(alphabet="aáAbc \u200b.日", max_size=30), max_size=5))
def test_ids_are_equal_where_words_are(texts: list[str]) -> None:
    ids = bare_ids(texts)
    words = [bare_words(text) for text in texts]
    assert [len(one) for one in ids] == [len(one) for one in words]
    pairs = {(word, id_) for one, two in zip(words, ids, strict=True)
             for word, id_ in zip(one, two.tolist(), strict=True)}  # fmt: skip
    assert len(pairs) == len({word for word, _ in pairs}) == len({id_ for _, id_ in pairs})
    assert all(id_ > 0 for _, id_ in pairs)


def test_long_words_and_many_words_have_ids() -> None:
    long, other = "a" * 200 + "b", "a" * 200 + "c"
    (ids,) = bare_ids([" ".join([long, other, *["word"] * 70_000])])
    assert len(ids) == 70_002 and ids[0] != ids[1]
    assert set(ids[2:].tolist()) == set(bare_ids(["word"])[0].tolist())
    assert bare_ids([]) == []

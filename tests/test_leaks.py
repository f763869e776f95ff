"""Leaks: what is found of an evaluation set in a record, and what is not."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from teapot.leakindex import EvaluationRow, EvaluationSet, LeakIndex
from teapot.leaks import QUOTED, Leak, LeakFinder
from teapot.model.record import Message

SAID = (
    "a kettle holds two litres and boils in four minutes so how long do six litres of "
    "příliš cold water take if every filling has to wait until the one before it is poured "
    "out into a flask that keeps it warm enough"
)
WORDS = SAID.split()
QUESTION = SAID.capitalize() + "?"
ANSWER = "Twelve minutes, since three fillings of two litres each are boiled one after another."


def exam(*rows: tuple[str, ...], **policies: Any) -> EvaluationSet:
    numbered = [EvaluationRow(number, texts) for number, texts in enumerate(rows, start=1)]
    return EvaluationSet(name="exam", rows=numbered, **policies)


def found(messages: list[Message], *sets: EvaluationSet) -> Leak | None:
    return LeakFinder(LeakIndex.of(sets or (exam((QUESTION, ANSWER)),))).find(messages)


def chat(*contents: str) -> list[Message]:
    roles = ("user", "assistant")
    return [{"role": roles[n % 2], "content": text} for n, text in enumerate(contents)]


def disguised(text: str) -> str:
    """Return a text in other case, with other punctuation, spaces and unseen characters."""
    words = [f"{word[:1]}\u200b{word[1:]}".swapcase() for word in text.split()]
    return " —\u00a0\n".join(words).replace("O", "O\u0336")


CALLED: list[Message] = [
    {"role": "user", "content": "Look it up."},
    {
        "role": "assistant",
        "content": "",
        "tool_calls": [
            {
                "type": "function",
                "function": {
                    "name": "search",
                    "arguments": json.dumps({"n": 3, "q": {"text": [QUESTION]}}),
                },
            }
        ],
    },
    {"role": "tool", "content": "nothing"},
]
PLANTED = {
    "verbatim": chat(QUESTION, "I know."),
    "disguised": chat(disguised(QUESTION), "I know."),
    "inside a longer text": chat(f"Here is one. {QUESTION} Think well.", "I know."),
    "in a thought": chat("Hello", f"<think>They ask: {QUESTION}</think>I know."),
    "in a tool call": CALLED,
    "cut over two turns": chat(" ".join(WORDS[:12]), " ".join(WORDS[12:24]), "more", "no"),
    "cut over two turns of one role": chat(
        " ".join(WORDS[:12]), "Go on.", " ".join(WORDS[12:24]), "I see."
    ),
    "in JSON text": chat("Hello", json.dumps({"say": [QUESTION]})),
}


@pytest.mark.parametrize("messages", PLANTED.values(), ids=PLANTED)
def test_a_planted_leak_is_found(messages: list[Message]) -> None:
    leak = found(messages)
    assert leak is not None
    assert (leak.policy, leak.set, leak.row, leak.is_row) == ("drop", "exam", 1, False)


def test_the_span_is_quoted_in_the_words_of_the_record() -> None:
    leak = found(chat("So:\n" + disguised(" ".join(WORDS[:14])) + " — and no more", "I know."))
    assert leak is not None
    assert leak.quote.startswith("A — KETTLE — HO\u0336LDS — ")
    assert leak.quote.endswith("HO\u0336W — LO\u0336NG — DO")
    assert str(leak) == f'in row 1 of exam: "{leak.quote}"'


def test_a_long_span_is_cut_and_two_turns_are_told_apart() -> None:
    long = found(chat(QUESTION, "I know."))
    assert long is not None and len(long.quote) == QUOTED and long.quote.endswith("…")
    cut = found(chat(" ".join(WORDS[:8]), " ".join(WORDS[8:14])))
    assert cut is not None
    assert cut.quote == " ".join(WORDS[:8]) + " / " + " ".join(WORDS[8:14])


@pytest.mark.parametrize("length", [12, 13])
def test_twelve_words_in_common_are_none_and_thirteen_are_one(length: int) -> None:
    messages = chat("Well then, " + " ".join(WORDS[4 : 4 + length]) + " perhaps", "Yes.")
    assert (found(messages) is not None) == (length == 13)


@pytest.mark.parametrize("length", [7, 8])
def test_a_short_text_is_known_by_eight_words(length: int) -> None:
    short = exam((" ".join(WORDS[:10]), "Twelve."))
    messages = chat("Tell me: " + " ".join(WORDS[:length]) + " or not", "Yes.")
    assert (found(messages, short) is not None) == (length == 8)


def test_a_shorter_text_is_known_only_as_a_whole_turn() -> None:
    short = exam(("Who wrote Faust?", "Goethe"))
    leak = found(chat("who wrote FAUST", "Marlowe, too."), short)
    assert leak is not None
    assert (leak.policy, leak.quote) == ("drop", "who wrote FAUST")
    assert found(chat("Do you know who wrote Faust?", "Marlowe, too."), short) is None
    assert found(chat("Name a poet.", "Goethe"), short) is None, "the row is not told by it"


def test_a_short_question_is_known_beside_a_longer_answer() -> None:
    texts = ("Who wrote Faust?", "Goethe did, over some sixty years.")
    for asks in (True, False):
        row = EvaluationRow(1, texts, asks=asks)
        leak = found(chat("who wrote FAUST", "Me."), EvaluationSet(name="exam", rows=[row]))
        assert (leak is not None) == asks


def test_a_whole_row_is_more_than_its_texts() -> None:
    leak = found(chat(QUESTION.upper(), ANSWER))
    assert leak is not None
    assert (leak.policy, leak.is_row) == ("fail", True)
    other = found(chat(QUESTION, "Another answer."))
    assert other is not None and not other.is_row


def test_what_lies_beside_a_row_is_no_part_of_it() -> None:
    row = EvaluationRow(7, (QUESTION, ANSWER), beside=("exam-7",))
    leak = found(chat(QUESTION, ANSWER), EvaluationSet(name="exam", rows=[row]))
    assert leak is not None and leak.is_row and leak.row == 7


def test_a_row_that_is_allowed_is_only_noted() -> None:
    kept = exam((QUESTION, ANSWER), on_row="keep")
    leak = found(chat(QUESTION, ANSWER), kept)
    assert leak is not None and leak.policy == "keep"
    both = found(chat(QUESTION, ANSWER), kept, exam((f"{QUESTION} Say it.",), overlap="drop"))
    assert both is not None and both.policy == "drop", "the other set does not allow it"


def test_the_strictest_set_decides() -> None:
    sets = [exam((QUESTION,), overlap=how) for how in ("report", "fail", "drop")]
    for order in (sets, sets[::-1]):
        leak = found(chat("So: " + QUESTION, "Yes."), *order)
        assert leak is not None and leak.policy == "fail"


def test_a_records_tools_are_looked_at() -> None:
    finder = LeakFinder(LeakIndex.of([exam((QUESTION,))]))
    tools = [{"type": "function", "function": {"name": "f", "description": QUESTION}}]
    assert finder.find(chat("Hello", "Hello"), tools) is not None
    assert finder.find(chat("Hello", "Hello"), None) is None


@given(st.lists(st.text(), min_size=1, max_size=4), st.integers(0, 2**32))
def test_a_run_of_thirteen_is_found_in_any_text(around: list[str], seed: int) -> None:
    chance = random.Random(seed)
    start = chance.randrange(len(WORDS) - 12)
    run = disguised(" ".join(WORDS[start : start + 13]))
    place = chance.randrange(len(around))
    texts = [f"{text} {run} {text}" if n == place else text for n, text in enumerate(around)]
    leak = found(chat(*texts))
    assert leak is not None and leak.row == 1


@given(st.lists(st.sampled_from(["x", "y", "z", *WORDS[:3]]), max_size=60))
def test_what_is_found_is_what_a_plain_set_of_runs_finds(words: list[str]) -> None:
    texts = ["x y z x x y z z y x a x y z", "a kettle holds x y z x y z y y y x x"]
    runs = {
        tuple(text.split()[n : n + 13]) for text in texts for n in range(len(text.split()) - 12)
    }
    expected = any(tuple(words[n : n + 13]) in runs for n in range(len(words) - 12))
    leak = found(chat(" ".join(words)), exam(*((text,) for text in texts), on_row="drop"))
    assert (leak is not None) == expected


def test_the_digest_tells_what_is_looked_for_and_not_in_which_order() -> None:
    one, two = exam((QUESTION,)), exam((ANSWER,), ("Who wrote Faust?",))
    digest = LeakIndex.of([one, two]).sha256()
    assert LeakIndex.of([two, one]).sha256() == digest
    assert LeakIndex.of([exam((QUESTION.upper(),)), two]).sha256() == digest
    others = ([one], [one, exam((ANSWER,), ("Who wrote it?",))], [exam((QUESTION,), ngram=12), two])
    assert all(LeakIndex.of(other).sha256() != digest for other in others)

"""Each rule that rows must keep holds for a right row, and tells what is wrong with a wrong one."""

from __future__ import annotations

from array import array
from dataclasses import replace

import pytest

from teapot.model.encoded import IGNORED, Encoded
from teapot.model.examined import Examined, Said, TokenFacts, runs_of
from teapot.rowrules import is_supervised, masked_text, one_bos, same_template, turns_end

BOS, END, CALL, PAD = 1, 68, 72, 3
TOKENS = TokenFacts(bos=BOS, ends=frozenset((END, CALL)), eos=END, pad=PAD, end_of_turn="<end>")
RIGHT = Examined(
    text="<s>Hi<a>Tea<end>", own_text="<s>Hi<a>Tea<end>",
    encoded=Encoded(array("i", [BOS, 10, 11, 20, END]),
                    array("i", [IGNORED, IGNORED, IGNORED, 20, END])),
    trained=("Tea<end>",), said=(Said(("Tea",)),),
)  # fmt: skip


def encoded(ids: list[int], trained: list[int]) -> Encoded:
    """Return ids of which those at the places given are trained."""
    labels = [number if place in trained else IGNORED for place, number in enumerate(ids)]
    return Encoded(array("i", ids), array("i", labels))


def said(trained: str, *parts: str, calls: tuple[str, ...] = ()) -> Examined:
    return replace(RIGHT, trained=(trained,), said=(Said(parts, calls),))


def test_a_right_row_keeps_every_rule() -> None:
    assert same_template(RIGHT, TOKENS) is None
    assert masked_text(RIGHT, TOKENS) is None
    for rule in (one_bos, turns_end, is_supervised):
        assert rule(RIGHT.encoded, TOKENS) is None


# The tokenizer's own template.


def test_a_template_for_chatting_may_leave_the_last_turn_open() -> None:
    assert same_template(replace(RIGHT, own_text="<s>Hi<a>Tea"), TOKENS) is None


@pytest.mark.parametrize(
    ("own", "told"),
    [
        ("<s>Hi <a>Tea<end>", "5 on it is '<a>Tea<end>', {} ' <a>Tea<end>'"),
        ("<s>Hi<a>Te", "10 on it is 'a<end>', {} at its end"),
        ("<s>Hi<a>Tea<end>\n", "16 on it is at its end, {} '\\n'"),
    ],
)  # fmt: skip
def test_another_text_than_the_own_template_writes_is_told_with_its_place(
    own: str, told: str
) -> None:
    where = "in the tokenizer's own chat template"
    expected = f"from character {told.format(where)}"
    assert same_template(replace(RIGHT, own_text=own), TOKENS) == expected


def test_a_row_that_the_own_template_refuses_is_told() -> None:
    row = replace(RIGHT, own_text=None, own_fault="only one call")
    assert same_template(row, TOKENS) == (
        "the tokenizer's own chat template refuses it: only one call"
    )


# BOS, ends, labels.


@pytest.mark.parametrize(
    ("ids", "count"), [([10, END], 0), ([BOS, BOS, 10, END], 2), ([10, BOS, END], 1)]
)
def test_no_bos_two_or_one_elsewhere_is_told(ids: list[int], count: int) -> None:
    told = one_bos(encoded(ids, [len(ids) - 1]), TOKENS)
    assert told == f"has {count} BOS tokens (id 1), expected one, at the start"


def test_a_base_without_bos_asks_for_none() -> None:
    assert one_bos(encoded([10, END], [1]), replace(TOKENS, bos=None)) is None


def test_every_trained_part_must_end_a_turn_and_a_call_ends_one_too() -> None:
    ids = [BOS, 10, CALL, 11, 12, 13]
    assert turns_end(encoded(ids, [1, 2]), TOKENS) is None
    told = turns_end(encoded(ids, [1, 2, 4, 5]), TOKENS)
    assert told == "its trained part 2 ends on the id 13, which ends no turn"


def test_a_part_that_trains_what_follows_the_end_is_told() -> None:
    ids = [BOS, 10, CALL, 11, 12, END]
    told = turns_end(encoded(ids, [1, 2, 3, 4, 5]), TOKENS)
    assert told == "its trained part 1 goes on after a token that ends the turn"


def test_a_row_of_which_nothing_is_trained_is_told() -> None:
    assert is_supervised(encoded([BOS, 10, END], []), TOKENS) == "nothing of it is trained"


def test_labels_must_be_the_ids_they_stand_at() -> None:
    ids = array("i", [BOS, 10, END])
    shifted = Encoded(ids, array("i", [IGNORED, END, END]))
    assert is_supervised(shifted, TOKENS) == "a label is another token than the one it stands at"
    short = Encoded(ids, array("i", [IGNORED, 10]))
    assert is_supervised(short, TOKENS) == "has 2 labels for 3 ids"


@pytest.mark.parametrize(
    ("trained", "runs"),
    [([], []), ([0], [range(1)]), ([1, 2, 4], [range(1, 3), range(4, 5)]),
     ([0, 1, 2, 3, 4], [range(5)])],
)  # fmt: skip
def test_runs_are_what_is_trained_in_one_piece(trained: list[int], runs: list[range]) -> None:
    assert runs_of(encoded([9, 9, 9, 9, 9], trained).labels) == runs


# What the assistant says.


@pytest.mark.parametrize(
    "row",
    [
        said("<think>Why\n</think>\n\nTea <end>", "<think>", "Why", "</think>", "Tea"),
        said("  Tea<end>", "Tea"),
        said('Tea[{"kettle": {}}]<call>', "Tea", calls=("kettle",)),
        said('{"name": "kettle"}<end>', "", calls=("kettle",)),
        said("<end>", ""),
    ],
)
def test_white_space_between_the_parts_of_a_turn_is_the_templates(row: Examined) -> None:
    assert masked_text(row, TOKENS) is None


@pytest.mark.parametrize(
    "row",
    [
        said("Te<end>", "Tea"),  # cut
        said("ea<end>", "Tea"),  # a token off
        said("Tea<end>Hi", "Tea"),  # more than the turn
        said("Tea", "Tea"),  # its end is not trained
        said("Tea<call>", "Tea"),  # another end
        said("Tea<end>", "<think>", "Why", "</think>", "Tea"),  # the thought is not trained
        said("T ea<end>", "Tea"),  # white space inside
        said("[]<call>", "", calls=("kettle",)),  # the call is not trained
    ],
)
def test_another_text_than_the_assistant_says_is_told(row: Examined) -> None:
    told = masked_text(row, TOKENS)
    assert told is not None
    assert told.startswith(
        f"of the assistant's turn 1, {row.trained[0]!r} is trained, but it says "
    )


def test_a_turn_that_is_not_trained_is_told() -> None:
    row = replace(RIGHT, said=(Said(("Tea",)), Said(("More",))))
    assert masked_text(row, TOKENS) == "1 parts are trained, expected 2: one a turn"

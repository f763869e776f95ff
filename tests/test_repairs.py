from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from teapot.model.record import Message
from teapot.repairs import REPAIRS, repair_messages
from teapot.thinking import think_faults

PARTS = [
    "<think>", "</think>", "<thinking>", "</thinking>", "</ Thought >", "< think>", "<", ">",
    "think", " ", "\n", "a", "b",
]  # fmt: skip
SOUP = st.lists(st.sampled_from(PARTS), max_size=8).map("".join)
TEXT = st.lists(st.sampled_from(["b<", "c>", " ", "\n", "a"])).map("".join)
FAULTLESS = TEXT | st.builds("<think>{}t{}</think>{}".format, TEXT, TEXT, TEXT)
ROLES = st.sampled_from(["system", "user", "assistant", "tool"])


def _is_faultless(content: str) -> bool:
    return not list(think_faults(content, "assistant", 0))


def _repaired(content: str, *names: str) -> str:
    turns: list[Message] = [{"role": "assistant", "content": content}]
    return repair_messages(turns, names)[0][0]["content"]


@pytest.mark.parametrize("name", REPAIRS)
@example("<think></think><think></think>a", "assistant")
@example("</think></think> </think>", "assistant")
@example("<think> </think> \n</think>", "assistant")
@given(SOUP, ROLES)
def test_repairing_twice_is_repairing_once(name: str, content: str, role: str) -> None:
    once = REPAIRS[name](content, role)
    assert REPAIRS[name](once, role) == once


@pytest.mark.parametrize("name", REPAIRS)
@given(FAULTLESS.map(str.strip))
def test_faultless_content_is_left_alone(name: str, content: str) -> None:
    assert REPAIRS[name](content, "assistant") == content


@pytest.mark.parametrize("name", sorted(REPAIRS.keys() - {"outer-whitespace"}))
@pytest.mark.parametrize("role", ["system", "user", "tool"])
@given(SOUP)
def test_only_the_assistants_thoughts_are_repaired(name: str, role: str, content: str) -> None:
    assert REPAIRS[name](content, role) == content


@pytest.mark.parametrize(
    ("name", "content", "repaired"),
    [
        ("outer-whitespace", " \n<think>t</think> a\n", "<think>t</think> a"),
        ("thinking-tag", "<thinking>t</thinking>a", "<think>t</think>a"),
        ("thinking-tag", "<Thought>t</Thought>a", "<think>t</think>a"),
        ("thinking-tag", "< THINK >t</ think >a", "<think>t</think>a"),
        ("thinking-tag", "<thinker>", "<thinker>"),
        ("double-close", "<think>t</think></think>a", "<think>t</think>a"),
        ("double-close", "<think>t</think>\n </think></think>\na", "<think>t</think>\na"),
        ("double-close", "<think>t</think>a</think>", "<think>t</think>a</think>"),
        ("orphan-close", "t</think>a", "<think>t</think>a"),
        ("orphan-close", "t</think>a</think>", "t</think>a</think>"),
        ("orphan-close", "<think>t</think>a</think>", "<think>t</think>a</think>"),
        ("empty-think", "<think>\n</think>\n\na", "a"),
        ("empty-think", "<think>t</think>a", "<think>t</think>a"),
        ("empty-think", "a<think></think>", "a<think></think>"),
    ],
)
def test_a_repair_changes_what_it_says(name: str, content: str, repaired: str) -> None:
    assert REPAIRS[name](content, "assistant") == repaired


@pytest.mark.parametrize(
    ("content", "names"),
    [
        ("<think>t</think></think>a", ["double-close"]),
        ("t</think>a", ["orphan-close"]),
        ("t</think></think>a", ["double-close", "orphan-close"]),
        (" <thinking>t</thinking>a", ["outer-whitespace", "thinking-tag"]),
        ("t</thinking>\n</think>a", ["thinking-tag", "double-close", "orphan-close"]),
        ("<think> </think>a", ["empty-think"]),
        ("</think>a", ["orphan-close", "empty-think"]),
    ],
)
def test_a_repaired_turn_passes_the_think_check(content: str, names: list[str]) -> None:
    assert not _is_faultless(content)
    assert _is_faultless(_repaired(content, *names))


def test_the_repairs_that_changed_a_turn_are_named_and_the_input_is_not_touched() -> None:
    turns: list[Message] = [
        {"role": "user", "content": "q"},
        {"role": "assistant", "content": "<think>t</think></think>a", "name": "n"},
        {"role": "assistant", "content": "t</think>a"},
    ]
    before = [turn.copy() for turn in turns]
    repaired, used = repair_messages(turns, ("orphan-close", "empty-think", "double-close"))
    assert turns == before
    assert used == ("orphan-close", "double-close")
    assert repaired == [
        {"role": "user", "content": "q"},
        {"role": "assistant", "content": "<think>t</think>a", "name": "n"},
        {"role": "assistant", "content": "<think>t</think>a"},
    ]


def test_nothing_is_repaired_unasked() -> None:
    turns: list[Message] = [{"role": "assistant", "content": " t</think></think>a "}]
    assert repair_messages(turns, ()) == (turns, ())

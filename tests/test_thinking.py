from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from teapot.thinking import (
    answer_of,
    has_thought,
    split_thought,
    strip_thought,
    think_faults,
    with_thought,
)

WORDS = [" ", "\n", "a", "b<", "c>"]
TEXT = st.lists(st.sampled_from(WORDS)).map("".join)
SOUP = st.lists(st.sampled_from(["<think>", "</think>", *WORDS])).map("".join)
THOUGHTFUL = st.builds("<think>{}t{}</think>{}".format, TEXT, TEXT, TEXT)
ANY_TEXT = st.text(st.characters(codec="utf-8", exclude_characters="<[◁"))
_PLAIN = r"(?:(?!</?think>).)*"
FAULTLESS = re.compile(rf"(?:<think>(?!\s*</think>){_PLAIN}</think>)?{_PLAIN}", re.DOTALL)


def _codes(content: str, role: str = "assistant") -> list[str]:
    return [fault.code for fault in think_faults(content, role, 3)]


@pytest.mark.parametrize(
    ("content", "codes"),
    [
        ("", []),
        ("a < b and c > d", []),
        ("<think>t</think>a", []),
        ("<think>\nt\n</think>\n\na", []),
        ("<think>a < b</think>a", []),
        ("<think>t", ["think-unclosed"]),
        ("<think>t</think>a<think>t", ["think-second-block", "think-unclosed"]),
        ("t</think>a", ["think-orphan-close"]),
        ("<think>t</think></think>a", ["think-orphan-close"]),
        ("</think>t<think>", ["think-orphan-close", "think-unclosed"]),
        ("<think><think>t</think>a", ["think-nested"]),
        ("<think>t<think>t</think>t</think>a", ["think-nested", "think-orphan-close"]),
        ("<think>t</think>a<think>t</think>", ["think-second-block"]),
        ("a<think>t</think>a", ["think-text-before"]),
        (" \n<think>t</think>a", ["think-text-before"]),
        ("a<think>t", ["think-unclosed", "think-text-before"]),
        ("<think></think>a", ["think-empty"]),
        ("<think> \n\t</think>a", ["think-empty"]),
        ("<thinking>t</thinking>a", ["think-look-alike"]),
        ("<Think>t</Think>a", ["think-look-alike"]),
        ("< think >t</ think >a", ["think-look-alike"]),
        ("<think id=1>t</think>a", ["think-look-alike", "think-orphan-close"]),
        ("<think/>a", ["think-look-alike"]),
        ("<thought>t</thought>a", ["think-look-alike"]),
        ("<reasoning>t</reasoning>a", ["think-look-alike"]),
        ("<reflection>t", ["think-look-alike"]),
        ("<scratchpad>t", ["think-look-alike"]),
        ("[THINK]t[/THINK]a", ["think-look-alike"]),
        ("◁think▷t◁/think▷a", ["think-look-alike"]),
        ("<think>t</think>a<thinking>", ["think-look-alike"]),
        ("<thinker> <rethink> <thoughtful>", []),
    ],
)
def test_every_fault_of_a_thought_has_its_code(content: str, codes: list[str]) -> None:
    assert _codes(content) == codes


@pytest.mark.parametrize("role", ["system", "user", "tool"])
@pytest.mark.parametrize("content", ["<think>t</think>a", "a</think>", "<think>"])
def test_no_other_role_may_think(role: str, content: str) -> None:
    assert _codes(content, role) == ["think-wrong-role"]
    assert _codes("a", role) == []


@example("<think><think></think>")
@example("<think></think>a</think>")
@given(SOUP | THOUGHTFUL)
def test_faultless_is_one_leading_filled_block_or_none(content: str) -> None:
    assert (not _codes(content)) == bool(FAULTLESS.fullmatch(content))


def test_a_fault_names_its_turn() -> None:
    faults = think_faults("<think></think></think>", "assistant", 3)
    assert {fault.message_index for fault in faults} == {3}


@given(THOUGHTFUL)
def test_stripping_takes_the_thought_and_the_space_after_it(content: str) -> None:
    after = content.split("</think>", 1)[1]
    assert has_thought(content)
    assert answer_of(content) == after
    assert strip_thought(content) == after.lstrip()


@given(TEXT)
def test_without_a_thought_nothing_is_stripped(content: str) -> None:
    assert not has_thought(content)
    assert strip_thought(content) == answer_of(content) == content


@given(ANY_TEXT.filter(str.strip), ANY_TEXT.map(str.lstrip))
def test_a_thought_that_was_put_in_front_can_be_stripped_again(thought: str, answer: str) -> None:
    content = with_thought(thought, answer)
    assert has_thought(content)
    assert _codes(content) == []
    assert strip_thought(content) == answer
    assert thought.strip() in content


@pytest.mark.parametrize(
    ("content", "split"),
    [
        ("a", (None, "a")),
        ("\na ", (None, "\na ")),
        ("<think>t</think>a", ("t", "a")),
        ("<think>\n t\nt \n</think>\n\n a ", ("t\nt", "a ")),
        ("<think></think>a", ("", "a")),
        ("<think>t</think>", ("t", "")),
        ("<think>t</think></think>a", ("t", "</think>a")),
        ("<think>t</think>a<think>u</think>", ("t", "a<think>u</think>")),
        ("<think>t", (None, "<think>t")),
        ("t</think>a", (None, "t</think>a")),
        (" <think>t</think>a", (None, " <think>t</think>a")),
    ],
)
def test_a_leading_closed_block_is_split_off(content: str, split: tuple[str | None, str]) -> None:
    assert split_thought(content) == split


@given(ANY_TEXT.filter(str.strip), ANY_TEXT.map(str.lstrip))
def test_what_with_thought_joins_is_split_again(reasoning: str, answer: str) -> None:
    assert split_thought(with_thought(reasoning, answer)) == (reasoning.strip(), answer)

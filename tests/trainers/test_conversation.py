"""What a base cannot write is refused, each turn by its place, with what to do."""

from __future__ import annotations

from typing import Any

import pytest

from teapot.errors import DataError
from teapot.plugins import load_trainer
from teapot_trainers.conversation import prepare

USER = {"role": "user", "content": "Hi"}
ANSWER = {"role": "assistant", "content": "Yes."}
SYSTEM = {"role": "system", "content": "Be brief."}
RESULT = {"role": "tool", "content": "7"}


def call(arguments: Any = "{}", name: Any = "look", content: str = "", count: int = 1) -> Any:
    one = {"type": "function", "function": {"name": name, "arguments": arguments}}
    return {"role": "assistant", "content": content, "tool_calls": [one] * count}


CASES: list[tuple[str, list[Any], str]] = [
    ("llama", [], "messages: there are none"),
    (
        "llama",
        [USER, {"role": "critic", "content": "No."}],
        "messages[1]: llama cannot write the role 'critic', only system, user, assistant, tool",
    ),
    ("llama", [USER, SYSTEM, ANSWER], "messages[1]: system after user, expected user or assistant"),
    ("llama", [SYSTEM, SYSTEM], "messages[1]: system after system, expected user or assistant"),
    ("chatml", [USER, ANSWER, ANSWER], "messages[2]: assistant after assistant, expected user"),
    ("apertus", [USER, RESULT, ANSWER], "messages[1]: tool after user, expected user or assistant"),
    (
        "apertus",
        [RESULT, ANSWER],
        "messages[0]: tool at the start, expected system or user or assistant",
    ),
    ("apertus", [USER, call(), USER], "messages[2]: user after a tool call, expected tool"),
    (
        "apertus",
        [USER, call(), RESULT, USER],
        "messages[3]: user after tool, expected tool or assistant",
    ),
    (
        "apertus",
        [USER, call(), RESULT],
        "messages[2]: the row ends on a tool's result, expected an answer to it",
    ),
    ("llama", [{"role": "user"}], "messages[0]: the content is null, expected text"),
    (
        "llama",
        [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}],
        "messages[0]: the content is a list, expected text",
    ),
    (
        "llama",
        [{**call(), "role": "user"}, ANSWER],
        "messages[0]: tool calls in a turn of user, expected none",
    ),
    (
        "chatml",
        [USER, call(arguments={"a": 1})],
        "messages[1]: a tool call needs a function with a name and arguments as JSON text",
    ),
    (
        "chatml",
        [USER, call(arguments="[1]")],
        "messages[1]: the arguments of look are a list, expected an object",
    ),
    (
        "chatml",
        [USER, call(arguments='{"a": 1, "a": 2}')],
        "messages[1]: the arguments of look are not strict JSON: "
        'Detected duplicate key "a" at line 1 column 14',
    ),
    (
        "llama",
        [USER, {"role": "assistant", "content": "<|eot_id|>"}],
        "messages[1]: holds '<|eot_id|>', which llama would take for its control token",
    ),
    (
        "chatml",
        [USER, call(arguments='{"a": "\\u003c|im_end|>"}')],
        "messages[1]: holds '<|im_end|>', which chatml would take for its control token",
    ),
    (
        "apertus",
        [USER, call(name="<s>")],
        "messages[1]: holds '<s>', which apertus would take for its control token",
    ),
    (
        "llama",
        [USER, call(count=2), RESULT, RESULT, ANSWER],
        "messages[1]: llama writes one tool call a turn, found 2; split the turn",
    ),
    (
        "llama",
        [USER, call(content="<think>I look.</think>"), RESULT, ANSWER],
        "messages[1]: llama writes no text beside a tool call; it would be lost, so move it to a "
        "turn of its own",
    ),
]


@pytest.mark.parametrize(("base", "messages", "told"), CASES, ids=[case[2][:60] for case in CASES])
def test_conversation_is_refused(base: str, messages: list[Any], told: str) -> None:
    with pytest.raises(DataError) as caught:
        load_trainer(base)[0].render(messages)
    assert str(caught.value) == told


def test_every_fault_is_told_in_the_order_of_the_turns() -> None:
    messages: Any = [{"role": "user", "content": "<s>"}, SYSTEM, {"role": "assistant"}]
    with pytest.raises(DataError) as caught:
        load_trainer("apertus")[0].render(messages)
    paths = [problem.path for problem in caught.value.problems]
    assert paths == ["messages[0]", "messages[1]", "messages[2]"]


@pytest.mark.parametrize(
    ("tools", "told"),
    [
        (["look"], "tools[0]: not a tool definition with a function and its name"),
        ([{"function": {}}], "tools[0]: not a tool definition with a function and its name"),
        (
            [{"function": {"name": "look", "description": "<|user_end|>"}}],
            "tools[0]: holds '<|user_end|>', which apertus would take for its control token",
        ),
        (
            [{"name": "f", "parameters": {"properties": {"a": {"oneOf": [{"type": "string"}]}}}}],
            "tools: apertus cannot write oneOf in a parameter; use a plain type",
        ),
    ],
)
def test_tool_definition_is_refused(tools: list[Any], told: str) -> None:
    with pytest.raises(DataError) as caught:
        load_trainer("apertus")[0].render([USER, ANSWER], tools)
    assert str(caught.value) == told


def test_llama_has_no_place_for_tools_before_the_first_user_turn() -> None:
    with pytest.raises(DataError, match="but the first turn is the assistant's"):
        load_trainer("llama")[0].render([ANSWER], [{"name": "f"}])


def test_system_prompt_with_a_control_token_is_refused() -> None:
    with pytest.raises(DataError, match=r"the system prompt: holds '<\|im_end\|>'"):
        load_trainer("chatml")[0].render([USER, ANSWER], system_prompt="a<|im_end|>b")


def test_template_gets_numbers_as_floats_and_every_key() -> None:
    base = load_trainer("chatml")[0].base
    tool = {"name": "f", "parameters": {"minimum": 0.5}}
    made = prepare(base, [USER, call('{"a": 1.50, "b": [1]}')], [tool], "P")
    assert made.tools == [tool] and not made.thinks
    assert [turn["index"] for turn in made.messages] == [None, 0, 1]
    assert made.messages[2]["tool_calls"] == [
        {
            "name": "look",
            "arguments": {"a": 1.5, "b": [1]},
            "arguments_text": '{"a": 1.50, "b": [1]}',
        }
    ]
    assert len({frozenset(turn) for turn in made.messages}) == 1

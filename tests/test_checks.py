from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from teapot.checks.builtin import builtin_checks, is_clean
from teapot.checks.control_tokens import ControlTokensCheck
from teapot.checks.length import LengthCheck
from teapot.checks.roles import RolesCheck
from teapot.interfaces import Check
from teapot.model.record import Message, Record

LETTERS = {"s": "system", "u": "user", "a": "assistant", "t": "tool"}


def _record(messages: list[Any], tools: list[Any] | None = None) -> Record:
    return Record(id="1", license="MIT", messages=messages, module="m", source="s", tools=tools)


def _turns(letters: str) -> list[dict[str, Any]]:
    """Return turns by their first letters; `c` is an assistant that calls a tool."""
    call = {"type": "function", "function": {"name": "f", "arguments": "{}"}}
    caller = {"role": "assistant", "content": "", "tool_calls": [call]}
    return [
        dict(caller) if letter == "c" else {"role": LETTERS[letter], "content": letter}
        for letter in letters
    ]


def _codes(check: Check, record: Record) -> list[str]:
    return [fault.code for fault in check.run(record)]


@pytest.mark.parametrize(
    "letters", ["ua", "sua", "uaua", "suaua", "ucta", "ucttcta", "uctaua", "uc"]
)
def test_turns_that_every_base_can_render_pass(letters: str) -> None:
    assert _codes(RolesCheck(), _record(_turns(letters))) == []


@pytest.mark.parametrize(
    ("letters", "codes"),
    [
        ("a", ["role-order"]),
        ("u", ["no-assistant"]),
        ("s", ["no-assistant"]),
        ("sa", ["role-order"]),
        ("usa", ["role-order", "role-order"]),
        ("ssua", ["role-order"]),
        ("uua", ["role-order"]),
        ("uaa", ["role-order"]),
        ("uau", ["role-order"]),
        ("uasua", ["role-order"]),
        ("uta", ["role-order"]),
        ("uata", ["role-order"]),
        ("tua", ["role-order", "role-order"]),
        ("uca", ["role-order"]),
        ("ucua", ["role-order"]),
        ("uctua", ["role-order"]),
        ("uct", ["role-order"]),
    ],
)
def test_turns_out_of_order_are_faults(letters: str, codes: list[str]) -> None:
    assert _codes(RolesCheck(), _record(_turns(letters))) == codes


@pytest.mark.parametrize(("letters", "place"), [("uta", 0), ("suta", 1), ("sta", 0), ("uctta", 2)])
def test_only_the_assistant_calls_tools(letters: str, place: int) -> None:
    turns = _turns(letters)
    turns[place]["tool_calls"] = _turns("c")[0]["tool_calls"]
    assert place in {fault.message_index for fault in RolesCheck().run(_record(turns))}


@pytest.mark.parametrize(
    ("letters", "place", "content", "codes"),
    [
        ("ua", 1, "", ["empty-answer"]),
        ("ua", 1, " \n", ["empty-answer"]),
        ("ua", 1, "<think>t</think>", ["empty-answer"]),
        ("ua", 1, "<think>t</think> \n", ["empty-answer"]),
        ("ua", 1, "<think>t</think>a", []),
        ("uaua", 1, "", ["empty-answer"]),
        ("ua", 0, " ", ["empty-content"]),
        ("sua", 0, "", ["empty-content"]),
        ("ucta", 1, "", []),
        ("ucta", 2, "", []),
    ],
)
def test_answers_and_questions_hold_text(
    letters: str, place: int, content: str, codes: list[str]
) -> None:
    turns = _turns(letters)
    turns[place]["content"] = content
    faults = RolesCheck().run(_record(turns))
    assert [fault.code for fault in faults] == codes
    assert {fault.message_index for fault in faults} <= {place}


@pytest.mark.parametrize(
    "token",
    [
        "<|assistant_start|>", "<|inner_prefix|>", "<|tools_suffix|>", "<|eot_id|>",
        "<|start_header_id|>", "<|begin_of_text|>", "<|reserved_special_token_17|>",
        "<|python_tag|>", "<|im_start|>", "<|endoftext|>", "<|eot|>", "<|channel|>",
        "<|START_OF_TURN_TOKEN|>", "<｜begin▁of▁sentence｜>", "<｜Assistant｜>", "<s>", "</s>",
        "<pad>", "<unk>", "<bos>", "<eos>", "<start_of_turn>", "<end_of_turn>", "[INST]", "[/INST]",
        "[TOOL_CALLS]", "[TOOL_RESULTS]", "[/AVAILABLE_TOOLS]", "<<SYS>>", "<</SYS>>",
    ],
)  # fmt: skip
@pytest.mark.parametrize("place", range(4))
def test_a_control_token_of_any_base_is_found_in_any_turn(token: str, place: int) -> None:
    turns = _turns("suct")
    turns[place]["content"] = f"a{token}b"
    (fault,) = ControlTokensCheck().run(_record(turns))
    assert (fault.code, fault.message_index) == ("control-token", place)
    assert token in fault.message


def _with_call(**parts: str) -> Record:
    turns = _turns("ucta")
    (call,) = turns[1]["tool_calls"]
    call["id"] = parts.get("id", "1")
    call["function"] |= {key: parts[key] for key in ("name", "arguments") if key in parts}
    turns[2] |= {key: parts[key] for key in ("tool_name", "tool_call_id") if key in parts}
    if "tool_name" in turns[2]:
        turns[2]["name"] = turns[2].pop("tool_name")
    return _record(turns)


@pytest.mark.parametrize(
    ("part", "text"),
    [
        ("name", "f<|eot_id|>"),
        ("arguments", '{"a":"<|eot_id|>"}'),
        ("arguments", r'{"a":"\u003c|eot_id|>"}'),
        ("id", "<|eot_id|>"),
        ("tool_call_id", "<|eot_id|>"),
        ("tool_name", "<|eot_id|>"),
    ],
)
def test_a_control_token_is_found_wherever_a_template_may_write_it(part: str, text: str) -> None:
    assert _codes(ControlTokensCheck(), _with_call()) == []
    assert _codes(ControlTokensCheck(), _with_call(**{part: text})) == ["control-token"]


def test_a_control_token_is_found_in_tool_definitions() -> None:
    tools = [{"function": {"name": "f", "parameters": {"enum": ["</s>"]}}}]
    assert _codes(ControlTokensCheck(), _record(_turns("ua"), tools)) == ["control-token"]


@pytest.mark.parametrize(
    "text",
    ["a < b | c > d", "<div>|</div>", "List<int>", "if (a<b||c>d)", "x[INSTALL]", "[0, 1]",
     "<span>s</span>", "<||>", "a <|> b", "<think>t</think>a", "<start>", "f <| x |> g"],
)  # fmt: skip
def test_ordinary_text_and_code_hold_no_control_token(text: str) -> None:
    turns = _turns("ua")
    turns[1]["content"] = text
    assert _codes(ControlTokensCheck(), _record(turns)) == []


def test_length_counts_the_characters_of_all_contents() -> None:
    record = _record([{"role": "user", "content": "čí"}, {"role": "assistant", "content": "😀a"}])
    assert _codes(LengthCheck(4), record) == []
    assert _codes(LengthCheck(3), record) == ["too-long"]


def test_every_record_goes_through_every_check() -> None:
    content = "<think>t</s>"
    record = _record([{"role": "assistant", "content": content}])
    codes = [code for check in builtin_checks(5) for code in _codes(check, record)]
    assert set(codes) >= {"role-order", "think-unclosed", "control-token", "too-long"}
    assert [check.name for check in builtin_checks()] == ["roles", "think", "control-tokens"]
    assert [check.name for check in builtin_checks(5)][-1] == "length"


PIECES = ("a", " ", "\n", "<think>", "</think>", "<", ">", "[INST]", "<|im_end|>", "◁think▷", "b c")


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["system", "user", "assistant", "tool"]),
            st.lists(st.sampled_from(PIECES), max_size=6).map("".join),
        ),
        min_size=1,
        max_size=5,
    )
)
def test_what_is_clean_at_a_glance_has_no_fault_at_a_closer_look(
    turns: list[tuple[str, str]],
) -> None:
    messages: list[Message] = [{"role": role, "content": content} for role, content in turns]
    record = Record(id="x", license="MIT", messages=messages, module="m", source="s")
    if is_clean(messages):
        assert [fault for check in builtin_checks() for fault in check.run(record)] == []


def test_common_rows_are_clean_at_a_glance() -> None:
    messages: list[Message] = [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "Why?"},
        {"role": "assistant", "content": "<think>\nHm.\n</think>\n\nSo."},
        {"role": "user", "content": "And?"},
        {"role": "assistant", "content": "That."},
    ]
    assert is_clean(messages) and is_clean(messages[1:])
    assert not is_clean(messages[:-1]) and not is_clean(messages[::-1])

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from teapot.messages import read_turns

USER = {"role": "user", "content": "q"}
ASSISTANT = {"role": "assistant", "content": "a"}


def _call(**function: Any) -> dict[str, Any]:
    return {"function": {"name": "f", "arguments": "{}", **function}}


def _codes(value: object, *ignored: str) -> list[str]:
    return [fault.code for fault in read_turns(value, frozenset(ignored)).faults]


def _messages(value: object, *ignored: str) -> Any:
    turns = read_turns(value, frozenset(ignored))
    assert turns.faults == []
    return turns.messages


@pytest.mark.parametrize(
    ("sharegpt", "role"),
    [
        ("system", "system"), ("human", "user"), ("user", "user"), ("gpt", "assistant"),
        ("assistant", "assistant"), ("tool", "tool"), ("function", "tool"), ("observation", "tool"),
    ],
)  # fmt: skip
def test_sharegpt_turns_become_role_and_content(sharegpt: str, role: str) -> None:
    assert _messages([{"from": sharegpt, "value": "x"}]) == [{"role": role, "content": "x"}]


def test_plain_turns_stay_as_they_are() -> None:
    turns = [{"role": "system", "content": ""}, USER, ASSISTANT, {"role": "tool", "content": " "}]
    assert _messages(turns) == turns


@given(
    st.lists(st.sampled_from([USER, ASSISTANT, {"from": "gpt", "value": "é\u2028"}]), min_size=1)
)
def test_json_text_is_read_as_the_list_it_holds(turns: list[dict[str, str]]) -> None:
    assert read_turns(json.dumps(turns)) == read_turns(turns)


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (None, "schema"), ([], "schema"), ({}, "schema"), (5, "schema"), ("", "schema"),
        ("{}", "schema"), ("[", "schema"), ("\ud800", "schema"), ('[{"role":"user","role":1}]',
        "schema"), (["hi"], "schema"), ([None], "schema"), ([{}], "schema"),
        ([{"content": "x"}], "schema"),
        ([{"role": "user"}], "schema"),
        ([{"role": "user", "content": 5}], "schema"),
        ([{"role": "user", "content": [{"type": "text", "text": "x"}]}], "schema"),
        ([{"role": "user", "content": None}], "content-null"),
        ([{"from": "gpt", "value": None}], "content-null"),
        ([{"role": "narrator", "content": "x"}], "unknown-role"),
        ([{"role": "User", "content": "x"}], "unknown-role"),
        ([{"role": "gpt", "content": "x"}], "unknown-role"),
        ([{"role": 5, "content": "x"}], "unknown-role"),
        ([{"role": ["user"], "content": "x"}], "unknown-role"),
        ([{"role": {"user": 1}, "content": "x"}], "unknown-role"),
        ([{"from": "bot", "value": "x"}], "unknown-role"),
        ([{"from": ["gpt"], "value": "x"}], "unknown-role"),
        ([{**USER, "weight": 1}], "unknown-key"),
        ([{**USER, "reasoning_content": "x"}], "unknown-key"),
        ([{**USER, "name": 5}], "schema"),
        ([USER, {"from": "gpt", "value": "a"}], "mixed-keys"),
        ([{"role": "user", "value": "x"}], "mixed-keys"),
        ([{"from": "human", "content": "x"}], "mixed-keys"),
        ([{**USER, "from": "human", "value": "x"}], "mixed-keys"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_a_named_fault(value: object, code: str) -> None:
    assert code in _codes(value)


def test_a_fault_names_its_turn_and_every_turn_is_read() -> None:
    turns = read_turns([USER, {"role": "user"}, ASSISTANT, {**USER, "contents": 1}])
    assert [(fault.code, fault.message_index) for fault in turns.faults] == [
        ("schema", 1),
        ("unknown-key", 3),
    ]
    assert "did you mean content?" in turns.faults[1].message
    assert turns.messages == [USER, ASSISTANT]


def test_keys_are_left_behind_only_where_the_module_says_so_or_they_hold_nothing() -> None:
    assert _messages([{**USER, "weight": 1}], "weight") == [USER]
    assert _messages([{**USER, "weight": None, "name": None, "tool_calls": []}]) == [USER]


def test_names_and_call_ids_are_kept() -> None:
    turn = {"role": "tool", "content": "x", "name": "f", "tool_call_id": "c1"}
    assert _messages([turn]) == [turn]


def test_content_may_be_missing_or_null_beside_tool_calls() -> None:
    expected = {"type": "function", "function": {"name": "f", "arguments": "{}"}}
    for content in ({}, {"content": None}, {"content": ""}):
        turn = {"role": "assistant", **content, "tool_calls": [_call()]}
        assert _messages([turn]) == [{"role": "assistant", "content": "", "tool_calls": [expected]}]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ('{ "b":1, "a":2 }', '{ "b":1, "a":2 }'),
        ({"b": 1, "a": [Decimal("0.10"), None]}, '{"a":[0.1,null],"b":1}'),
        ({}, "{}"),
    ],
)
def test_arguments_are_json_text_as_it_stands_or_an_object_made_text(
    arguments: object, text: str
) -> None:
    turn = {**ASSISTANT, "tool_calls": [{"id": "c1", **_call(arguments=arguments)}]}
    (message,) = _messages([turn])
    function = {"name": "f", "arguments": text}
    assert message["tool_calls"] == [{"id": "c1", "type": "function", "function": function}]


@pytest.mark.parametrize(
    ("calls", "code"),
    [
        ("x", "schema"), ({}, "schema"), ([None], "schema"), ([{}], "schema"),
        ([{"function": "f"}], "schema"), ([{**_call(), "type": "retrieval"}], "schema"),
        ([{**_call(), "type": ["function"]}], "schema"), ([{**_call(), "id": 5}], "schema"),
        ([_call(name=None)], "schema"), ([_call(name=5)], "schema"), ([_call(name="")], "schema"),
        ([{**_call(), "index": 0}], "unknown-key"), ([_call(parameters={})], "unknown-key"),
        ([_call(arguments=None)], "tool-arguments"), ([_call(arguments="")], "tool-arguments"),
        ([_call(arguments="[]")], "tool-arguments"), ([_call(arguments="null")], "tool-arguments"),
        ([_call(arguments=[1])], "tool-arguments"),
        ([_call(arguments="{'a':1}")], "tool-arguments"),
        ([_call(arguments='{"a":1,"a":2}')], "tool-arguments"),
        ([_call(arguments='{"a":1e999}')], "tool-arguments"),
        ([_call(arguments={"a": float("nan")})], "tool-arguments"),
        ([_call(arguments="\ud800")], "tool-arguments"),
    ],
)  # fmt: skip
def test_a_faulty_tool_call_is_a_named_fault(calls: object, code: str) -> None:
    assert code in _codes([{**ASSISTANT, "tool_calls": calls}])


def test_faults_come_in_an_order_that_does_not_hang_on_the_hash_seed() -> None:
    extra = dict.fromkeys("abcdefgh", 1)
    turns = read_turns([{**ASSISTANT, "tool_calls": [{**_call(), **extra}]}])
    assert [fault.message.split("'")[1] for fault in turns.faults] == list("abcdefgh")

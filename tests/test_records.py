from __future__ import annotations

import copy
import json
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from teapot.canonical import dumps, loads
from teapot.checks.builtin import builtin_checks
from teapot.licensing import LicensePolicy
from teapot.model.module import Module, SourceSpec
from teapot.model.record import Dropped, Example, Record
from teapot.records import RecordMaker, RecordOptions
from teapot.schemas import schema_text
from teapot.thinking import strip_thought

USER = {"role": "user", "content": "q"}
ASSISTANT = {"role": "assistant", "content": "a"}
THINKER = {"role": "assistant", "content": "<think>t</think>\n\na"}
SYSTEM = {"role": "system", "content": "old"}
SCHEMA = Draft202012Validator(json.loads(schema_text("record")))


def _make(
    row: dict[str, Any],
    module: dict[str, Any] | None = None,
    source: dict[str, Any] | None = None,
    allowed: list[str] | None = None,
    **options: bool,
) -> Example | Dropped:
    declared = {
        "name": "safety/m", "version": "1", "description": "d", "license": "MIT", "sources": [],
        **(module or {}),
    }  # fmt: skip
    spec = SourceSpec(**{"id": "src", "kind": "jsonl", **(source or {})})
    maker = RecordMaker(
        Module.from_dict(declared),
        spec,
        RecordOptions(licenses=LicensePolicy(allowed), checks=builtin_checks(), **options),
    )
    return maker.make(row)


def _example(row: dict[str, Any], **more: Any) -> Example:
    made = _make(row, **more)
    assert isinstance(made, Example), made
    return made


def _dropped(row: dict[str, Any], **more: Any) -> Dropped:
    made = _make(row, **more)
    assert isinstance(made, Dropped), made
    return made


def _line(row: dict[str, Any], **more: Any) -> Any:
    return json.loads(_example(row, **more).line)


# Valid conversations.

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="<[◁"), min_size=1).filter(str.strip)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda part: st.lists(part, max_size=3) | st.dictionaries(TEXT, part, max_size=3),
    max_leaves=5,
)  # fmt: skip
Turns = st.SearchStrategy[list[Any]]
OBJECT = st.dictionaries(TEXT, JSON, max_size=3)


def _called(name: str, arguments: dict[str, Any], call_id: str, result: str) -> list[Any]:
    call = {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}
    answer = {"role": "tool", "content": result, "name": name, "tool_call_id": call_id}
    return [{"role": "assistant", "content": None, "tool_calls": [call]}, answer]


def _turns(role: str, content: st.SearchStrategy[str]) -> Turns:
    return content.map(lambda text: [{"role": role, "content": text}])


def _joined(*parts: Turns) -> Turns:
    return st.tuples(*parts).map(lambda lists: [turn for turns in lists for turn in turns])


NONE: Turns = st.just([])
ANSWER = TEXT | st.builds("<think>{}</think>{}".format, TEXT, TEXT)
CALLED = st.builds(_called, TEXT, OBJECT, TEXT, TEXT)
EXCHANGE = _joined(_turns("user", TEXT), NONE | CALLED, _turns("assistant", ANSWER))
MESSAGES = _joined(NONE | _turns("system", TEXT), EXCHANGE, NONE | EXCHANGE)
ROWS = st.fixed_dictionaries(
    {"messages": MESSAGES},
    optional={
        "id": st.none() | TEXT | st.integers(0, 2**63),
        "category": st.none() | TEXT,
        "tools": st.none() | st.lists(OBJECT, max_size=2),
        "license": st.sampled_from([None, "MIT", "cc0-1.0"]),
        "unrelated": JSON,
    },
)


@settings(deadline=None)
@given(ROWS)
def test_a_line_is_the_canonical_form_of_a_record_of_the_schema(row: dict[str, Any]) -> None:
    example = _example(row)
    record = json.loads(example.line)
    assert dumps(loads(example.line)) == example.line
    SCHEMA.validate(record)
    assert record["id"] == example.id
    assert record["license"] == example.license
    content = {key: record[key] for key in ("messages", "tools") if key in record}
    canonical = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    assert example.content_digest == sha256(canonical.encode()).digest()
    assert example.characters == sum(len(turn["content"]) for turn in record["messages"])


@settings(deadline=None)
@given(ROWS, ROWS)
def test_the_content_digest_hangs_on_messages_and_tools_alone(
    row: dict[str, Any], other: dict[str, Any]
) -> None:
    content: dict[str, Any] = {key: row[key] for key in ("messages", "tools") if key in row}
    around: dict[str, Any] = {
        key: other[key] for key in ("id", "category", "license") if key in other
    }
    assert _example(row).content_digest == _example({**content, **around}).content_digest


@settings(deadline=None)
@given(ROWS)
def test_stripping_thoughts_leaves_the_answers(row: dict[str, Any]) -> None:
    kept = _line(row)["messages"]
    assert _line(row, strip_think=True)["messages"] == [
        {**turn, "content": strip_thought(turn["content"])} for turn in kept
    ]


# Rows that may be wrong anywhere: what the schema and the checks refuse is no example.

CALLS = st.lists(
    st.sampled_from(
        [
            {"type": "function", "function": {"name": "f", "arguments": "{}"}},
            {"type": "function", "function": {"name": "", "arguments": "{}"}},
            {"type": "function", "function": {"name": "f", "arguments": 5}},
            {"type": "code", "function": {"name": "f", "arguments": "{}"}},
            {"type": "function", "id": 5, "function": {"name": "f", "arguments": "{}"}},
            {"type": "function"},
            "f",
        ]
    ),
    min_size=1,
    max_size=2,
)
ANY_TURN = st.fixed_dictionaries(
    {},
    optional={
        "role": st.sampled_from(
            ["user", "assistant"] * 4 + ["system", "tool", "narrator", 5, ["user"]]
        ),
        "content": st.sampled_from(
            ["x"] * 6 + ["", " ", 5, ["x"], {}, "<think>t</think>a", "<think>t", "</think>", "</s>"]
        ),
    },
) | st.fixed_dictionaries(
    {"role": st.sampled_from(["assistant", "tool", "user"]), "content": st.sampled_from(["x", ""])},
    optional={"name": st.sampled_from(["f", 5]), "tool_calls": CALLS, "weight": st.just(1)},
)
ANY_MESSAGES = st.lists(ANY_TURN, max_size=4) | st.sampled_from([5, "x", "[]", {}, [[]]])


def _is_accepted(messages: Any) -> bool:
    """Read the contract independently: the schema of records, then every check."""
    record = {"id": "1", "license": "MIT", "module": "m", "source": "s", "messages": messages}
    if not SCHEMA.is_valid(record):
        return False
    return not any(check.run(Record(**record)) for check in builtin_checks())


@settings(deadline=None, max_examples=400)
@given(ANY_MESSAGES)
def test_what_schema_or_checks_refuse_is_dropped_with_its_reason(messages: Any) -> None:
    made = _make({"messages": messages})
    if _is_accepted(messages):
        assert isinstance(made, Example)
        assert json.loads(made.line)["messages"] == messages
    else:
        assert isinstance(made, Dropped)
        assert made.bad
        assert f"[{made.reason}]" in made.detail


# The parts of a row.


@pytest.mark.parametrize(
    ("column", "found"),
    [("x", "x"), (7, "7"), (None, None), ("", None)],
)
def test_id_and_category_are_text(column: object, found: str | None) -> None:
    row = {"messages": [USER, ASSISTANT], "key": column, "kind": column}
    example = _example(row, module={"fields": {"id": "key", "category": "kind"}})
    made = f"src-{example.content_digest.hex()[:16]}"
    assert example.id == (found or made)
    assert json.loads(example.line).get("category") == found


@pytest.mark.parametrize("value", [True, 1.5, ["x"], {}])
@pytest.mark.parametrize("column", ["id", "category"])
def test_an_id_of_another_kind_is_a_fault(column: str, value: object) -> None:
    dropped = _dropped({"messages": [USER, ASSISTANT], column: value})
    assert dropped.reason == "schema"
    assert column in dropped.detail


def test_tools_may_be_json_text_and_an_empty_list_is_none() -> None:
    row = {"messages": [USER, ASSISTANT]}
    tools = [{"function": {"name": "f", "strict": True, "scale": 0.1}}]
    assert _line({**row, "tools": json.dumps(tools)}) == _line({**row, "tools": tools})
    nothing: list[object] = [None, [], "", "[]", " "]
    assert all("tools" not in _line({**row, "tools": tools}) for tools in nothing)


@pytest.mark.parametrize(
    "tools", ["x", "{}", {}, 5, [5], ["f"], "[5]", '[{"a":1,"a":2}]', "\ud800"]
)
def test_faulty_tools_are_a_fault(tools: object) -> None:
    assert _dropped({"messages": [USER, ASSISTANT], "tools": tools}).reason == "schema"


@pytest.mark.parametrize("place", ["id", "category", "messages", "tools"])
def test_what_strict_json_cannot_say_is_dropped(place: str) -> None:
    row: dict[str, Any] = {"messages": [USER, ASSISTANT]}
    bad = {"messages": [USER, {**ASSISTANT, "content": "\ud800"}], "tools": [{"a": 1e999}]}
    assert _dropped({**row, place: bad.get(place, "\ud800")}).reason == "schema"


def test_turns_are_looked_for_in_their_usual_columns_or_the_named_one() -> None:
    sharegpt = [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]
    expected = _line({"messages": [USER, ASSISTANT]})
    assert _line({"conversations": sharegpt}) == expected
    named: Any = {"fields": {"messages": "chat"}}
    assert _line({"chat": json.dumps(sharegpt), "messages": 5}, module=named) == expected
    assert "the row has chat, id" in _dropped({"chat": sharegpt, "id": "1"}).detail
    both = {"messages": [USER, ASSISTANT], "conversations": sharegpt}
    assert "name one in fields" in _dropped(both).detail


def test_plain_columns_make_one_exchange() -> None:
    fields = {"user": "question", "assistant": "answer", "system": "context"}
    module: Any = {"fields": fields}
    row = {"question": "q", "answer": "a", "context": "old"}
    assert _line(row, module=module)["messages"] == [SYSTEM, USER, ASSISTANT]
    assert _line({**row, "context": ""}, module=module)["messages"] == [USER, ASSISTANT]
    assert "'answer'" in _dropped({"question": "q"}, module=module).detail
    assert _dropped({**row, "answer": None}, module=module).reason == "content-null"


def test_every_fault_of_a_row_is_told() -> None:
    dropped = _dropped({"id": [], "messages": [{"role": "user"}], "license": "unknown"})
    for code in ("[schema]", "messages[0]: ", "[license-unknown]"):
        assert code in dropped.detail


# Licences.


@pytest.mark.parametrize(
    ("row", "source", "module", "found"),
    [
        ("CC0-1.0", "Apache-2.0", "MIT", "CC0-1.0"),
        (None, "Apache-2.0", "MIT", "Apache-2.0"),
        (None, None, "MIT", "MIT"),
        ("cc0-1.0", None, "mixed", "CC0-1.0"),
    ],
)
def test_the_nearest_licence_holds(
    row: str | None, source: str | None, module: str, found: str
) -> None:
    made = _example(
        {"messages": [USER, ASSISTANT], "license": row},
        module={"license": module},
        source={"license": source},
    )
    assert made.license == json.loads(made.line)["license"] == found


@pytest.mark.parametrize(
    ("row", "module", "reason"),
    [
        ({}, {"license": "mixed"}, "license-missing"),
        ({"license": None}, {"license": "mixed"}, "license-missing"),
        ({"license": ""}, {}, "license-missing"),
        ({"license": 5}, {}, "license-missing"),
        ({"license": "unknown"}, {}, "license-unknown"),
        ({"license": "MIT"}, {"fields": {"license": "terms"}}, "license-missing"),
        ({"terms": "NOASSERTION"}, {"fields": {"license": "terms"}}, "license-unknown"),
    ],
)
def test_a_missing_or_unknown_licence_fails_closed(
    row: dict[str, Any], module: dict[str, Any], reason: str
) -> None:
    dropped = _dropped({"messages": [USER, ASSISTANT], **row}, module=module)
    assert dropped.reason == reason
    assert dropped.bad


def test_a_source_does_not_lend_its_licence_to_rows_that_must_carry_their_own() -> None:
    row = {"messages": [USER, ASSISTANT]}
    dropped = _dropped(row, module={"license": "mixed"}, source={"license": "MIT"})
    assert dropped.reason == "license-missing"


def test_a_licence_that_is_not_allowed_is_no_fault_of_the_row() -> None:
    row = {"id": "1", "messages": [USER, ASSISTANT], "license": "cc0-1.0"}
    dropped = _dropped(row, allowed=["MIT"])
    assert (dropped.reason, dropped.bad, dropped.id) == ("license", False, "1")
    assert dropped.license == "CC0-1.0"
    assert dropped.content_digest == _example(row).content_digest


# Thoughts, repairs, system text.


@pytest.mark.parametrize(
    ("policy", "with_thought", "without"),
    [
        ("allow", THINKER["content"], "a"),
        ("require", THINKER["content"], "reasoning-missing"),
        ("forbid", "reasoning-forbidden", "a"),
        ("strip", "a", "a"),
    ],
)
def test_the_reasoning_policy_decides_over_thoughts(
    policy: str, with_thought: str, without: str
) -> None:
    for turn, expected in ((THINKER, with_thought), (ASSISTANT, without)):
        made = _make({"messages": [USER, turn]}, module={"reasoning": policy})
        if isinstance(made, Dropped):
            assert made.reason == expected
        else:
            assert json.loads(made.line)["messages"][1]["content"] == expected


def test_reasoning_of_its_own_column_becomes_a_thought_only_when_asked() -> None:
    row = {"messages": [USER, ASSISTANT, USER, ASSISTANT], "why": " t\n"}
    module: Any = {"fields": {"reasoning": "why"}}
    placed = _line(row, module=module, include_reasoning=True)["messages"]
    assert [turn["content"] for turn in placed] == ["q", "<think>\nt\n</think>\n\na", "q", "a"]
    assert _line(row, module=module)["messages"] == row["messages"]
    for nothing in (None, "", " \n"):
        made = _line({**row, "why": nothing}, module=module, include_reasoning=True)
        assert made["messages"] == row["messages"]


def test_reasoning_beside_a_thought_is_a_fault() -> None:
    row = {"messages": [USER, THINKER], "why": "t"}
    module: Any = {"fields": {"reasoning": "why"}}
    assert _dropped(row, module=module, include_reasoning=True).reason == "think-second-block"


def test_a_repaired_row_says_by_what_and_what_it_was() -> None:
    faulty = {"messages": [USER, {**ASSISTANT, "content": "<think>t</think></think>\n\na"}]}
    module: Any = {"repair": ["outer-whitespace", "double-close"]}
    assert _dropped(faulty).reason == "think-orphan-close"
    repaired, sound = _example(faulty, module=module), _example({"messages": [USER, THINKER]})
    assert repaired.line == sound.line
    assert repaired.repairs == ("double-close",)
    assert repaired.digest_before == sha256(dumps(faulty)).digest()
    untouched = _example({"messages": [USER, THINKER]}, module=module)
    assert (untouched.repairs, untouched.digest_before) == ((), None)


@pytest.mark.parametrize(
    ("prompt", "turns", "system"),
    [
        (None, [SYSTEM], "old"),
        ("new", [], "new"),
        ("new", [SYSTEM], "old"),
        ({"text": "new", "mode": "missing"}, [SYSTEM], "old"),
        ({"text": "new", "mode": "replace"}, [SYSTEM], "new"),
        ({"text": "new", "mode": "replace"}, [], "new"),
    ],
)
def test_system_text_is_given_to_rows_without_one_or_to_all(
    prompt: object, turns: list[Any], system: str
) -> None:
    module = {} if prompt is None else {"system_prompt": prompt}
    made = _line({"messages": [*turns, USER, ASSISTANT]}, module=module)
    assert made["messages"] == [{"role": "system", "content": system}, USER, ASSISTANT]


def test_the_row_itself_is_never_changed() -> None:
    row = {
        "messages": [dict(SYSTEM), dict(USER), {**THINKER, "content": "t</think> a "}],
        "why": "",
    }
    before = json.dumps(row)
    module = {
        "repair": ["orphan-close", "outer-whitespace"], "reasoning": "strip",
        "system_prompt": {"text": "new", "mode": "replace"},
    }  # fmt: skip
    _example(row, module=module)
    assert json.dumps(row) == before


@given(
    row=st.fixed_dictionaries(
        {
            "messages": st.none()
            | st.lists(
                st.fixed_dictionaries(
                    {
                        "role": st.sampled_from(["system", "user", "assistant", "tool", "x"]),
                        "content": st.lists(
                            st.sampled_from(
                                ["a", " ", "<think>", "</think>", "[INST]", "é\n", "<s>"]
                            ),
                            max_size=5,
                        ).map("".join),
                    },
                    optional={"name": st.just("n")},
                ),
                max_size=4,
            )
        },
        optional={
            "id": st.sampled_from(["a", "", 7, None]),
            "category": st.sampled_from(["c", "", None, 7]),
            "license": st.sampled_from(["MIT", "mit", "CC-BY-4.0", "unknown", None]),
            "tools": st.sampled_from([None, [], [{"type": "function"}]]),
            "system": st.sampled_from([None, "", "Be kind."]),
            "conversations": st.sampled_from([None, [], [{"role": "user", "content": "a"}]]),
        },
    )
)
def test_short_way_ends_where_the_long_way_ends(row: dict[str, Any]) -> None:
    source = SourceSpec(id="s", kind="jsonl", path="s.jsonl")
    module = Module(name="m", version="1", description="d", license="MIT", sources=(source,))
    options = RecordOptions(licenses=LicensePolicy(["MIT"]), checks=builtin_checks())
    short, long = (RecordMaker(module, source, options) for _ in range(2))
    long._common = None
    assert short._common is not None
    assert short.make(copy.deepcopy(row)) == long.make(copy.deepcopy(row))

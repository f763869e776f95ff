"""Records are scanned in every text of theirs that reaches a data file through messages."""

from __future__ import annotations

import json
import sys
from importlib.metadata import version

import pytest
from hypothesis import given
from hypothesis import strategies as st

from teapot.errors import MissingExtraError
from teapot.model.record import Message
from teapot.scanning import Scanner, detectors, told
from tests.support.planted import PERSONAL, PLANTED, SECRETS

SCANNER = Scanner()
BOTH = frozenset({"secret", "personal-data"})
EMAIL, CARD = PERSONAL["email"], PERSONAL["card"]


def calling(arguments: object) -> Message:
    text = arguments if isinstance(arguments, str) else json.dumps(arguments)
    call = {"type": "function", "function": {"name": "send", "arguments": text}}
    return {"role": "assistant", "content": "", "tool_calls": [call]}  # type: ignore[list-item]


def arguments_of(message: Message) -> str:
    return message["tool_calls"][0]["function"]["arguments"]


def test_finding_is_told_by_kind_and_place_and_never_by_what_it_is() -> None:
    messages: list[Message] = [
        {"role": "user", "content": f"I am {EMAIL}."},
        {"role": "assistant", "content": f"<think>{SECRETS['github-pat']}</think>Good."},
        calling({"to": [EMAIL]}),
        {"role": "tool", "content": "sent", "name": EMAIL},
    ]
    tools = [{"description": f"as {EMAIL} does"}]
    shown = told(SCANNER.of_record(messages, tools))
    length = len(EMAIL)
    assert shown == (
        f"email at messages[0], characters 5 to {5 + length}; "
        "github-pat at messages[1], characters 7 to 47; "
        f"email at messages[2].tool_calls[0], text 1, characters 0 to {length}; "
        f"email at messages[3].name, characters 0 to {length}; "
        f"email at tools, text 1, characters 3 to {3 + length}"
    )
    assert told(SCANNER.of_record(messages * 2, None)).endswith("; and 3 more")
    assert not any(text in shown for text in PLANTED.values())


def test_thoughts_and_arguments_are_redacted_and_arguments_stay_json() -> None:
    escaped = '{"to": "' + EMAIL.replace("@", "\\u0040") + '", "n": 1.50}'
    messages: list[Message] = [
        {"role": "assistant", "content": f"<think>It is {EMAIL}.</think>I know."},
        calling(escaped),
        calling({"card": int(CARD.replace(" ", "")), "deep": [{"a": CARD}, None, True]}),
    ]
    before = json.dumps(messages)
    thought, first, second = SCANNER.redacted(messages, BOTH)
    assert thought["content"] == "<think>It is [REDACTED:email].</think>I know."
    assert arguments_of(first) == '{"n":1.5,"to":"[REDACTED:email]"}'
    mark = "[REDACTED:card]"
    assert json.loads(arguments_of(second)) == {"card": mark, "deep": [{"a": mark}, None, True]}
    assert json.dumps(messages) == before


def test_clean_arguments_stay_as_they_are_written() -> None:
    (message,) = SCANNER.redacted([calling('{ "b" : 1.50, "a": "x" }')], BOTH)
    assert arguments_of(message) == '{ "b" : 1.50, "a": "x" }'


def test_keys_that_look_alike_when_redacted_stay_two() -> None:
    other = EMAIL.replace("jana", "eva")
    (message,) = SCANNER.redacted([calling({EMAIL: 1, other: 2})], BOTH)
    assert sorted(json.loads(arguments_of(message)).values()) == [1, 2]


def test_only_what_is_asked_for_is_redacted() -> None:
    text = f"{EMAIL} {SECRETS['github-pat']}"
    for reasons, left in (
        ({"secret"}, f"{EMAIL} [REDACTED:github-pat]"),
        ({"personal-data"}, f"[REDACTED:email] {SECRETS['github-pat']}"),
    ):
        (message,) = SCANNER.redacted([{"role": "user", "content": text}], frozenset(reasons))
        assert message["content"] == left


def test_a_password_is_no_address() -> None:
    password = "q7Zr9T2m" + "Xw4LkP8s"
    text = f"postgres://app:{password}@db.dilna-u-mostu.cz:5432/orders"
    (message,) = SCANNER.redacted([{"role": "user", "content": text}], BOTH)
    assert password not in message["content"] and message["content"].startswith("postgres://app:[")


URI = "postgres://app:" + "q7Zr9T2m" + "Xw4LkP8s@db.dilna.cz/x"
WORDS = st.lists(
    st.sampled_from([*PLANTED.values(), URI, "word", " ", "\n", "\\", '"', "</think>", "é"]),
    max_size=5,
)


@given(WORDS, WORDS)
def test_nothing_is_left_and_arguments_are_json(words: list[str], more: list[str]) -> None:
    text = " | ".join(words)
    messages: list[Message] = [
        {"role": "user", "content": text},
        calling({text: [text, " | ".join(more)]}),
    ]
    clean = SCANNER.redacted(messages, BOTH)
    assert SCANNER.of_record(clean, None) == []
    assert isinstance(json.loads(arguments_of(clean[1])), dict)
    assert clean[0]["content"].count("</think>") == text.count("</think>")
    assert SCANNER.redacted(clean, BOTH) == clean


def test_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "phonenumbers", None)
    with pytest.raises(MissingExtraError, match=r"teapot\[scan\]"):
        Scanner(secrets=False)


def test_detectors_are_told_with_their_versions() -> None:
    assert detectors(secrets=True, personal=False) == {
        "kingfisher-secret-scanner": version("kingfisher-secret-scanner")
    }
    assert [*detectors(secrets=True, personal=True)] == [
        "kingfisher-secret-scanner", "phonenumbers", "schwifty"
    ]  # fmt: skip

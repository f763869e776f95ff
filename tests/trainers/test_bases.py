"""The bases that come with Teapot: their facts, their defaults, and how they write tools."""

from __future__ import annotations

from typing import Any

import pytest

from teapot.checks.control_tokens import CONTROL_TOKEN
from teapot.plugins import load_trainer, trainer_names

NAMES = ["apertus", "chatml", "llama"]
EXCHANGE: Any = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yes."}]
LOOK = {"name": "look", "arguments": '{"at":"it","n":1.0}'}
ROUND: Any = [
    {"role": "user", "content": "Look!"},
    {"role": "assistant", "content": "", "tool_calls": [{"type": "function", "function": LOOK}]},
    {"role": "tool", "content": '{"c": 7}'},
    {"role": "assistant", "content": "<think>t</think>Seven."},
]
TOOLS: list[Any] = [
    {"type": "function", "function": {"name": "look", "description": "Look at it.", "parameters": {
        "type": "object", "required": ["at"], "properties": {
            "at": {"type": "string", "description": "what"},
            "n": {"type": "integer"},
            "how": {"type": "string", "enum": ["near", "far"], "default": "near"},
            "all": {"type": "boolean", "default": False},
            "many": {"type": "array", "items": {"type": "number"}, "nullable": True},
            "any": {"type": "array"},
            "box": {"type": "object", "properties": {"x": {"type": "number"}}},
            "maybe": {"type": ["string", "null"]},
            "else": {"anyOf": [{"type": "string"}]},
        }}}},
    {"type": "function", "function": {"name": "wait"}},
]  # fmt: skip


def test_the_bases_are_found() -> None:
    assert trainer_names() == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_no_content_that_passed_the_checks_holds_a_token_of_the_base(name: str) -> None:
    base = load_trainer(name)[0].base
    known_to_qwen_alone = {"<tool_call>", "</tool_call>"}
    for token in set(base.control_tokens) - known_to_qwen_alone:
        assert CONTROL_TOKEN.fullmatch(token), token


@pytest.mark.parametrize("name", NAMES)
def test_every_shipped_base_is_pinned_and_complete(name: str) -> None:
    base = load_trainer(name)[0].base
    assert base.revision is not None
    assert base.eos == base.end_of_turn
    assert set(base.roles) == {"system", "user", "assistant", "tool"}
    assert ("gate_proj" in base.lora_targets) is (name != "apertus")


@pytest.mark.parametrize(
    ("name", "system"),
    [
        ("apertus", "<|system_start|>{}<|system_end|>"),
        ("chatml", "<|im_start|>system\n{}<|im_end|>\n"),
        ("llama", "Today Date: 26 Jul 2024\n\n{}<|eot_id|>"),
    ],
)
def test_system_turn_is_the_rows_else_the_given_else_the_bases(name: str, system: str) -> None:
    trainer = load_trainer(name)[0]
    own: Any = [{"role": "system", "content": "Own."}, *EXCHANGE]
    assert system.format("Own.") in trainer.render(own, system_prompt="Given.").text
    assert system.format("Given.") in trainer.render(EXCHANGE, system_prompt="Given.").text
    assert system.format("") in trainer.render(EXCHANGE, system_prompt="").text
    default = trainer.base.default_system_prompt
    assert default is not None
    assert system.format(default) in trainer.render(EXCHANGE).text


def test_apertus_shows_tools_as_types() -> None:
    text = load_trainer("apertus")[0].render(ROUND, TOOLS).text
    shown = text.partition("Tool Capabilities:\n")[2].partition("<|developer_end|>")[0]
    assert shown.split("\n") == [
        "// Look at it.",
        "type look = (_: {",
        "// what",
        "at: string,",
        "n?: number,",
        'how?: "near" | "far", // default: near,',
        "all?: boolean, // default: false,",
        "many?: number[] | null,",
        "any?: any[],",
        "box?: {",
        "x?: ",
        "                number},",
        "maybe?: string | null,",
        "else?: any",
        "}) => any;",
        "type wait = () => any;",
    ]


@pytest.mark.parametrize(
    ("name", "pieces"),
    [
        (
            "apertus",
            (
                '<|tools_prefix|>[{"look": {"at":"it","n":1.0}}]<|tools_suffix|>',
                "<|inner_prefix|>t<|inner_suffix|>Seven.<|assistant_end|>",
            ),
        ),
        (
            "chatml",
            (
                '<tool_call>\n{"name": "look", "arguments": {"at": "it", "n": 1.0}}\n</tool_call>'
                "<|im_end|>",
                "<think>t</think>Seven.<|im_end|>",
            ),
        ),
        (
            "llama",
            (
                '{"name": "look", "parameters": {"at": "it", "n": 1.0}}<|eot_id|>',
                "<think>t</think>Seven.<|eot_id|>",
            ),
        ),
    ],
)
def test_tool_calls_are_trained_and_results_are_not(name: str, pieces: tuple[str, ...]) -> None:
    rendered = load_trainer(name)[0].render(ROUND, TOOLS)
    assert rendered.pieces == pieces
    assert '"c' in rendered.text and not any('"c' in piece for piece in pieces)


def test_llama_defines_tools_in_the_first_user_turn() -> None:
    text = load_trainer("llama")[0].render(ROUND, [{"name": "f"}]).text
    assert text.startswith(
        "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\n"
        "Environment: ipython\nCutting Knowledge"
    )
    assert '.Do not use variables.\n\n{\n    "name": "f"\n}\n\nLook!<|eot_id|>' in text
    assert '<|start_header_id|>ipython<|end_header_id|>\n\n"{\\"c\\": 7}"<|eot_id|>' in text


def test_chatml_defines_tools_in_the_system_turn() -> None:
    text = load_trainer("chatml")[0].render(ROUND, [{"name": "f"}], "P").text
    assert text.startswith("<|im_start|>system\nP\n\n# Tools\n\nYou may call")
    assert '<tools>\n{"name": "f"}\n</tools>' in text
    assert '<|im_start|>user\n<tool_response>\n{"c": 7}\n</tool_response><|im_end|>\n' in text

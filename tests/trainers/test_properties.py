"""Random conversations, rendered, against a description of each format that shares no code."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from teapot.plugins import load_trainer, trainer_names

Part = tuple[str, bool]  # a stretch of text, and whether it is trained
Turn = Any  # a message, which the type checker cannot follow through strategies

FRAGMENTS = [
    "tea", "two words", " ", "  ", "\n", "\n\n", "\t", "\r\n", "\u00a0", "\u3000", "\u2028",
    "\u0085",
    "🙂", "👩🏽‍🔬", "🏳️‍🌈", "🇨🇭", "1️⃣", "𝔘", "你好", "世界", "日本語", "한국어", "རྫོང་ཁ", "ག", "ྱ", "་",
    "e\u0301", "\u0301", "n\u0303", "अनु", "\u200d", "\u200f", "שלום", "\ufeff", "\x00", "\x7f",
    "<think>", "</think>", "<think>why</think>", "<thinking>", "</b>", "<b>", "<", ">", "<|", "|>",
    "{{ messages }}", "{% generation %}", "{# no #}", "&lt;", "\\n", '"', "{", "}", "<|nothing|>",
]  # fmt: skip
TEXT = st.lists(st.sampled_from(FRAGMENTS), max_size=6).map("".join)
THOUGHTFUL = st.builds("<think>{}</think>{}".format, TEXT, TEXT)
ANSWER = TEXT | THOUGHTFUL
ARGUMENTS = st.dictionaries(TEXT, TEXT | st.integers(-9, 9) | st.just(1.5) | st.none(), max_size=2)


@st.composite
def exchanges(draw: st.DrawFn) -> list[Turn]:
    """Return a user turn and its answer, with a round of tools between them now and then."""
    turns: list[Turn] = [{"role": "user", "content": draw(TEXT)}]
    if draw(st.integers(0, 4)) == 0:
        text = json.dumps(draw(ARGUMENTS), ensure_ascii=draw(st.booleans()))
        function = {"name": "look", "arguments": text}
        call = {"type": "function", "function": function}
        turns.append({"role": "assistant", "content": "", "tool_calls": [call]})
        turns += [{"role": "tool", "content": draw(TEXT)} for _ in range(draw(st.integers(1, 2)))]
    return [*turns, {"role": "assistant", "content": draw(ANSWER)}]


CONVERSATIONS = st.builds(
    lambda system, rounds: [*system, *(turn for turns in rounds for turn in turns)],
    st.lists(TEXT.map(lambda text: {"role": "system", "content": text}), max_size=1),
    st.lists(exchanges(), min_size=1, max_size=3),
)


def split(content: str) -> tuple[str | None, str]:
    head, close, rest = content.partition("</think>")
    if not head.startswith("<think>") or not close:
        return None, content
    return head.removeprefix("<think>").strip(), rest.lstrip()


def apertus(turns: list[Turn], system: str) -> list[Part]:
    said = [split(turn["content"])[0] for turn in turns if turn["role"] == "assistant"]
    flag = "disabled" if all(thought is None for thought in said) else "enabled"
    parts = [(f"<s><|system_start|>{system}<|system_end|><|developer_start|>Deliberation: {flag}\n"
              "Tool Capabilities: disabled<|developer_end|>", False)]  # fmt: skip
    before = ""
    for place, turn in enumerate(turns):
        role, content = turn["role"], turn["content"]
        if role == "user":
            parts.append((f"<|user_start|>{content}<|user_end|>", False))
        elif role == "tool":
            last = turns[place + 1]["role"] != "tool"
            start = ", " if before == "tool" else "["
            parts.append((start + content + ("]" if last else ""), False))
        else:
            parts.append(("" if before == "tool" else "<|assistant_start|>", False))
            thought, answer = split(content)
            marked = "" if thought is None else f"<|inner_prefix|>{thought}<|inner_suffix|>"
            end = "<|assistant_end|>"
            if "tool_calls" in turn:
                arguments = turn["tool_calls"][0]["function"]["arguments"]
                end = f'<|tools_prefix|>[{{"look": {arguments}}}]<|tools_suffix|>'
            parts.append((marked + answer + end, True))
        before = role
    return parts


LLAMA_DATES = "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n"


def llama(turns: list[Turn], system: str) -> list[Part]:
    def head(role: str) -> str:
        return f"<|start_header_id|>{role}<|end_header_id|>\n\n"

    parts = [
        ("<|begin_of_text|>" + head("system") + LLAMA_DATES + system.strip() + "<|eot_id|>", False)
    ]
    for turn in turns:
        role, content = turn["role"], turn["content"]
        if role == "tool":
            quoted = json.dumps(content, ensure_ascii=False)
            parts.append((head("ipython") + quoted + "<|eot_id|>", False))
            continue
        parts.append((head(role), False))
        said = content.strip()
        if "tool_calls" in turn:
            said = f'{{"name": "look", "parameters": {arguments_of(turn)}}}'
        parts.append((said + "<|eot_id|>", role == "assistant"))
    return parts


def chatml(turns: list[Turn], system: str) -> list[Part]:
    parts = [(f"<|im_start|>system\n{system}<|im_end|>\n", False)]
    before = ""
    for place, turn in enumerate(turns):
        role, content = turn["role"], turn["content"]
        if role == "tool":
            start = "" if before == "tool" else "<|im_start|>user"
            end = "" if turns[place + 1]["role"] == "tool" else "<|im_end|>\n"
            result = f"\n<tool_response>\n{content}\n</tool_response>"
            parts.append((start + result + end, False))
        else:
            called = (
                f'<tool_call>\n{{"name": "look", "arguments": {arguments_of(turn)}}}\n</tool_call>'
            )
            said = called if "tool_calls" in turn else content
            parts += [(f"<|im_start|>{role}\n", False), (said + "<|im_end|>", role == "assistant")]
            parts.append(("\n", False))
        before = role
    return parts


def arguments_of(turn: Turn) -> str:
    calls = turn.get("tool_calls") or [{"function": {"arguments": "{}"}}]
    return json.dumps(json.loads(calls[0]["function"]["arguments"]), ensure_ascii=False)


TRAINERS = {name: load_trainer(name)[0] for name in trainer_names()}
FORMATS: dict[str, tuple[Callable[[list[Turn], str], list[Part]], str]] = {
    "apertus": (apertus, "You are Apertus, a helpful assistant created by the SwissAI initiative."),
    "llama": (llama, ""),
    "chatml": (chatml, "You are Qwen, created by Alibaba Cloud. You are a helpful assistant."),
}


@settings(max_examples=1000)
@given(st.sampled_from(sorted(FORMATS)), CONVERSATIONS, st.none() | TEXT)
def test_any_conversation_is_rendered_as_its_format_says(
    base: str, messages: list[Turn], given_prompt: str | None
) -> None:
    describe, default = FORMATS[base]
    has_system = messages[0]["role"] == "system"
    system = default if given_prompt is None else given_prompt
    system = messages[0]["content"] if has_system else system
    parts = describe(messages[1:] if has_system else messages, system)

    rendered = TRAINERS[base].render(messages, system_prompt=given_prompt)

    assert rendered.text == "".join(text for text, _ in parts)
    assert list(rendered.pieces) == [text for text, is_trained in parts if is_trained]
    places, start = [], 0
    for text, is_trained in parts:
        places += [(start, start + len(text))] if is_trained else []
        start += len(text)
    assert list(rendered.supervised) == places
    undated = rendered.text.replace(LLAMA_DATES, "")
    assert not re.search(r"(?i)today|\bdate\b|(?<!\\u)20\d\d", undated)

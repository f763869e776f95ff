"""No text holds a control token of any known base: a tokenizer would make it a real one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from teapot.canonical import dumps, loads
from teapot.model.record import Fault, Message, Record
from teapot.thinking import is_quiet

# Apertus, Llama 2 to 4, ChatML (Qwen and many others), Mistral, Gemma, Phi, DeepSeek, GPT-OSS,
# Command R: their turn, tool and sequence marks as their tokenizers list them. Anything of the
# shape <|word|> counts, because that is the shape bases give to tokens they add later.
CONTROL_TOKEN = re.compile(
    r"<\|[A-Za-z0-9_▁./:-](?:[A-Za-z0-9_▁ ./:-]{0,58}[A-Za-z0-9_▁./:-])?\|>"
    r"|<｜[^<>｜]{1,60}｜>"
    r"|<SPECIAL_\d+>|</?s>|<pad>|<unk>|<bos>|<eos>|<mask>"
    r"|<(?:start|end)_of_(?:turn|image)>"
    r"|\[/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_RESULTS)\]|\[TOOL_CALLS\]"
    r"|<</?SYS>>"
)


class ControlTokensCheck:
    """Control tokens inside contents, names and tool arguments."""

    name = "control-tokens"

    def run(self, record: Record) -> Sequence[Fault]:
        """Return one fault for each turn that holds a control token, naming the first."""
        faults: list[Fault] = []
        for index, message in enumerate(record.messages):
            if len(message) == 2 and is_quiet(message["content"]):
                continue
            for text in _texts(message):
                match = CONTROL_TOKEN.search(text)
                if match:
                    found = f"the control token {match.group()!r} at character {match.start()}"
                    faults.append(Fault("control-token", found, index))
                    break
        return [*faults, *_tool_faults(record.tools)]


def _tool_faults(tools: list[Any] | None) -> Iterator[Fault]:
    match = CONTROL_TOKEN.search(dumps(tools).decode()) if tools else None
    if match:
        yield Fault("control-token", f"the control token {match.group()!r} in a tool definition")


def _texts(message: Message) -> Iterator[str]:
    yield message["content"]
    yield message.get("name", "")
    yield message.get("tool_call_id", "")
    for call in message.get("tool_calls", ()):
        yield call.get("id", "")
        yield call["function"]["name"]
        arguments = call["function"]["arguments"]
        yield arguments
        if "\\" in arguments:  # a template may parse them, and \u003c then is a real <
            yield dumps(loads(arguments.encode())).decode()

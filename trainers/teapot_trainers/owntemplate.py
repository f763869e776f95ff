"""The chat template that comes with a model's tokenizer, applied by transformers itself.

It writes what the model will see when it is used. The training template must write the same, so
preflight compares both on every row. A conversation is given in the shape that the base declares.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from teapot.digest import sha256_hex
from teapot.errors import ConfigError, DataError, MissingExtraError, Problem
from teapot.model.base import Base
from teapot_trainers.conversation import Conversation
from teapot_trainers.rendering import no_advice


class OwnTemplate:
    """The tokenizer in `folder` as transformers reads it, for its chat template."""

    def __init__(self, base: Base, folder: Path) -> None:
        """Load the tokenizer.

        Raises:
            ConfigError: transformers cannot read it, or it has no chat template.
            MissingExtraError: transformers is not installed.
        """
        try:
            with no_advice():
                from transformers import AutoTokenizer
        except ImportError as error:
            raise MissingExtraError("reading a model's tokenizer", "train") from error
        try:
            self._tokenizer: Any = AutoTokenizer.from_pretrained(
                str(folder), local_files_only=True, trust_remote_code=False
            )
        except Exception as error:  # whatever a configuration makes transformers raise
            told = f"transformers cannot read the tokenizer: {' '.join(str(error).split())[:300]}"
            raise ConfigError(Problem(str(folder), told)) from error
        template = self._tokenizer.chat_template
        if not isinstance(template, str):
            told = "has no chat template (chat_template.jinja); name the instruct model's folder"
            raise ConfigError(Problem(str(folder), told))
        self._base = base
        self.sha256 = sha256_hex(template.encode())
        self.pad_token: str | None = self._tokenizer.pad_token

    def render(self, conversation: Conversation) -> str:
        """Return what the template writes of a conversation without a generation prompt.

        Raises:
            DataError: the template refuses it.
        """
        from jinja2 import TemplateError

        try:
            text: str = self._tokenizer.apply_chat_template(
                [self._message(message, conversation) for message in conversation.messages],
                tools=self._tools(conversation), tokenize=False, add_generation_prompt=False,
                enable_thinking=conversation.thinks,
            )  # fmt: skip
        except (TemplateError, TypeError, ValueError, KeyError, AttributeError) as error:
            raise DataError(" ".join(str(error).split())) from error
        return text

    def _message(self, message: Mapping[str, Any], conversation: Conversation) -> dict[str, Any]:
        shape = self._base.own_template
        made: dict[str, Any] = {"role": message["role"], "content": message["content"]}
        if shape.thoughts == "blocks" and message["role"] == "assistant":
            blocks = [{"type": "response", "text": message["answer"]}]
            if message["thought"] is not None:
                blocks.insert(0, {"type": "thoughts", "text": message["thought"]})
            made["content"] = {"blocks": blocks}
        if message["tool_calls"]:
            key = "arguments" if shape.arguments == "object" else "arguments_text"
            made["tool_calls"] = [
                {"type": "function", "function": {"name": call["name"], "arguments": call[key]}}
                for call in message["tool_calls"]
            ]
        return made

    def _tools(self, conversation: Conversation) -> list[Any] | None:
        if self._base.own_template.tools == "functions":
            return [tool.get("function", tool) for tool in conversation.tools] or None
        return list(conversation.tools) or None

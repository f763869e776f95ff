"""Counts tokens with a real tokenizer, where a config or a command names one."""

from __future__ import annotations

from pathlib import Path

from teapot.digest import sha256_file
from teapot.errors import MissingExtraError, Problem, UsageError
from teapot.model.record import Message


class TokenCounter:
    """The tokens of all contents of a record, without template or special tokens."""

    def __init__(self, path: Path) -> None:
        try:
            from tokenizers import Tokenizer
        except ImportError as error:
            raise MissingExtraError("counting tokens", "tokens") from error
        file = path / "tokenizer.json" if path.is_dir() else path
        if not file.is_file():
            raise UsageError(Problem(str(file), "no such tokenizer; name a tokenizer.json"))
        try:
            self._tokenizer = Tokenizer.from_file(str(file))
        except Exception as error:  # the library raises plain Exception
            raise UsageError(Problem(str(file), f"is not a tokenizer: {error}")) from error
        self.file, self.sha256 = file, sha256_file(file)

    def count(self, messages: list[Message]) -> int:
        """Return the number of tokens in the contents of `messages`."""
        return sum(
            len(self._tokenizer.encode(message["content"], add_special_tokens=False).ids)
            for message in messages
        )

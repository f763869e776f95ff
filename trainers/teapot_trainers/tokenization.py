"""A model's own tokenizer, held to what a base says of its tokens.

Only `tokenizer.json` is read, by the `tokenizers` library: no code and no pickle of anybody's. Its
post-processor is left out, for two reasons: a rendered text begins with its own special tokens, and
a post-processor may cut white space from the offsets that masks are made of.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from teapot.digest import sha256_hex
from teapot.errors import ConfigError, MissingExtraError, Problem, UsageError
from teapot.files import open_regular
from teapot.model.base import Base
from teapot.model.examined import TokenFacts

FILE = "tokenizer.json"
MAX_BYTES = 256 << 20


class BaseTokenizer:
    """A tokenizer whose control tokens are those of `base`, each one id."""

    def __init__(self, base: Base, data: bytes, where: str) -> None:
        """Read a tokenizer from the bytes of its file; `where` is shown in errors.

        Raises:
            ConfigError: it is none, or not one of this base; names every token that differs.
            MissingExtraError: tokenizers is not installed.
        """
        try:
            from tokenizers import Tokenizer, processors
        except ImportError as error:
            raise MissingExtraError("encoding", "tokens") from error
        try:
            self._tokenizer: Any = Tokenizer.from_str(data.decode("utf-8"))
        except UnicodeDecodeError as error:
            raise ConfigError(Problem(where, f"not UTF-8 at byte {error.start}")) from error
        except Exception as error:  # the library raises plain Exception
            raise ConfigError(Problem(where, f"is not a tokenizer: {error}")) from error
        self._tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self.base = base
        self.sha256 = sha256_hex(data)
        problems = [Problem(where, fault) for fault in self._faults()]
        if problems:
            raise ConfigError(*problems)

    @property
    def facts(self) -> TokenFacts:
        """Return the ids that the rules for rows ask for."""
        base = self.base
        ends = [token for token in (base.end_of_turn, base.end_of_call) if token is not None]
        return TokenFacts(
            bos=None if base.bos is None else self.id_of(base.bos),
            ends=frozenset(self.id_of(token) for token in ends),
            eos=self.id_of(base.eos), pad=self.id_of(base.pad_token), end_of_turn=base.end_of_turn,
        )  # fmt: skip

    def encode(self, texts: Sequence[str]) -> list[Any]:
        """Return a `tokenizers.Encoding` for each text, without special tokens added."""
        encodings: list[Any] = self._tokenizer.encode_batch(list(texts), add_special_tokens=False)
        return encodings

    def id_of(self, token: str) -> int:
        """Return the id of a control token of the base."""
        identity: int = self._tokenizer.token_to_id(token)
        return identity

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of tokens, special ones included."""
        text: str = self._tokenizer.decode(list(ids), skip_special_tokens=False)
        return text

    def _faults(self) -> Iterator[str]:
        """Yield every control token of the base that is no single token here, or another one."""
        for token, expected in self.base.control_tokens.items():
            found = self._tokenizer.token_to_id(token)
            ids = self._tokenizer.encode(f"a{token}b", add_special_tokens=False).ids
            if found is None or ids.count(found) != 1:
                yield f"{token} is not one token, which {self.base.name} needs; wrong tokenizer?"
            elif expected is not None and found != expected:
                yield f"{token} has the id {found}, expected {expected} for {self.base.name}"


def read_tokenizer(base: Base, path: Path) -> BaseTokenizer:
    """Return the tokenizer in a model's folder, or in a `tokenizer.json`, for a base.

    Raises:
        UsageError: there is no such file.
        ConfigError: it is not a tokenizer, or not one of this base.
    """
    file = path / FILE if path.is_dir() else path
    try:
        with open_regular(file) as opened:
            data = opened.read(MAX_BYTES + 1)
    except OSError as error:
        told = f"cannot be read: {error.strerror}; name a {FILE}, or the model's folder"
        raise UsageError(Problem(str(file), told)) from error
    if len(data) > MAX_BYTES:
        raise ConfigError(Problem(str(file), f"has over {MAX_BYTES:,} bytes"))
    return BaseTokenizer(base, data, str(file))

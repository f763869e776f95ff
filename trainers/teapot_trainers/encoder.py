"""Encodes conversations for one base, with one tokenizer and one system prompt."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from teapot.digest import sha256_hex
from teapot.errors import DataError
from teapot.model.encoded import Conversation, Encoded, EncoderFacts
from teapot.model.rendered import Rendered
from teapot_trainers.basefile import BaseFile
from teapot_trainers.encoding import encode_rows
from teapot_trainers.rendering import render
from teapot_trainers.tokenization import read_tokenizer

FORMAT = 1
"""Raised whenever the same row, template and tokenizer would give other ids or labels."""


class PackageEncoder:
    """Fulfils `teapot.interfaces.RowEncoder` for the base of a package folder."""

    def __init__(self, file: BaseFile, tokenizer: Path, system_prompt: str | None) -> None:
        self._file, self._system_prompt = file, system_prompt
        self.tokenizer = read_tokenizer(file.base, tokenizer)

    @property
    def facts(self) -> EncoderFacts:
        """Return what decides the ids and labels, beside the rows."""
        base = self._file.base
        prompt = base.default_system_prompt if self._system_prompt is None else self._system_prompt
        return EncoderFacts(
            base=base.name,
            template_sha256=sha256_hex(self._file.template.encode()),
            tokenizer_sha256=self.tokenizer.sha256,
            system_prompt=prompt,
            versions={
                "teapot_trainers.encoder": str(FORMAT),
                **{name: version(name) for name in ("jinja2", "tokenizers", "transformers")},
            },
        )

    def encode(self, rows: Sequence[Conversation]) -> list[Encoded | DataError]:
        """Return each conversation as ids and labels, or why it cannot be trained."""
        rendered = [self.render(row) for row in rows]
        good = [row for row in rendered if isinstance(row, Rendered)]
        encoded = iter(encode_rows(self.tokenizer, good))
        return [next(encoded) if isinstance(row, Rendered) else row for row in rendered]

    def render(self, row: Conversation) -> Rendered | DataError:
        """Return a conversation as the base writes it, or why it cannot."""
        try:
            return render(self._file, row.messages, row.tools, self._system_prompt)
        except DataError as error:
            return error

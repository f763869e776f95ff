"""Examines rows for one base and model: what would be trained, beside what it is compared with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from teapot.errors import DataError
from teapot.model.base import Base
from teapot.model.encoded import Conversation, Encoded, EncoderFacts
from teapot.model.examined import Examined, Said, TokenFacts, runs_of
from teapot.model.rendered import Rendered
from teapot.thinking import split_thought
from teapot_trainers.basefile import BaseFile
from teapot_trainers.conversation import Conversation as Prepared
from teapot_trainers.conversation import prepare
from teapot_trainers.encoder import PackageEncoder
from teapot_trainers.encoding import label_rows
from teapot_trainers.owntemplate import OwnTemplate


class PackageExaminer:
    """Fulfils `teapot.interfaces.RowExaminer` for the base of a package folder."""

    def __init__(self, file: BaseFile, folder: Path, system_prompt: str | None) -> None:
        self._base, self._system_prompt = file.base, system_prompt
        self._encoder = PackageEncoder(file, folder, system_prompt)
        self._own = OwnTemplate(file.base, folder)

    @property
    def facts(self) -> EncoderFacts:
        """Return what decides the ids and labels, beside the rows."""
        return self._encoder.facts

    @property
    def own_template_sha256(self) -> str:
        """Return the SHA-256 of the tokenizer's own chat template as 64 hex digits."""
        return self._own.sha256

    @property
    def tokens(self) -> TokenFacts:
        """Return the ids that rules ask for."""
        return self._encoder.tokenizer.facts

    def examine(self, rows: Sequence[Conversation]) -> list[Examined | DataError]:
        """Return each conversation examined, or why the base cannot write or encode it."""
        rendered = [self._encoder.render(row) for row in rows]
        good = [row for row in rendered if isinstance(row, Rendered)]
        labelled = iter(label_rows(self._encoder.tokenizer, good))
        return [
            self._examined(row, made, next(labelled)) if isinstance(made, Rendered) else made
            for row, made in zip(rows, rendered, strict=True)
        ]

    def _examined(
        self, row: Conversation, rendered: Rendered, encoded: Encoded | DataError
    ) -> Examined | DataError:
        if isinstance(encoded, DataError):
            return encoded
        prepared = prepare(self._base, row.messages, row.tools, self._system_prompt)
        own_text, own_fault = self._own_text(prepared)
        return Examined(
            text=rendered.text, encoded=encoded, own_text=own_text, own_fault=own_fault,
            trained=tuple(
                self._encoder.tokenizer.decode(list(encoded.ids[run.start : run.stop]))
                for run in runs_of(encoded.labels)
            ),
            said=tuple(_said(self._base, row)),
        )  # fmt: skip

    def _own_text(self, prepared: Prepared) -> tuple[str | None, str]:
        try:
            return self._own.render(prepared), ""
        except DataError as error:
            return None, str(error)


def _said(base: Base, row: Conversation) -> Iterable[Said]:
    """Yield what the assistant says in each turn, read from the record with no template at hand."""
    for message in row.messages:
        if message["role"] != "assistant":
            continue
        content = message.get("content", "")
        names = tuple(call["function"]["name"] for call in message.get("tool_calls", ()))
        thought, answer = split_thought(content)
        if base.thought is None or thought is None:
            yield Said((content.strip(),), names)
        else:
            marks = base.thought
            yield Said((marks.open, thought.strip(), marks.close, answer.strip()), names)

"""A trainer made of a package folder that holds `base.yaml` and `training.jinja`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from teapot.errors import MissingExtraError
from teapot.interfaces import Progress, silent
from teapot.model.base import Base
from teapot.model.fitjob import FitJob
from teapot.model.masked import MaskedPiece
from teapot.model.record import Message
from teapot.model.rendered import Rendered
from teapot.model.trainoutcome import TrainOutcome
from teapot_trainers.basefile import BaseFile, read_base
from teapot_trainers.encoder import PackageEncoder
from teapot_trainers.examining import PackageExaminer
from teapot_trainers.masking import pieces_of_text, pieces_of_tokens
from teapot_trainers.rendering import render
from teapot_trainers.tokenization import read_tokenizer


class PackageTrainer:
    """Fulfils `teapot.interfaces.Trainer` from data alone."""

    def __init__(self, file: BaseFile) -> None:
        self.file = file

    @property
    def base(self) -> Base:
        """Return the facts of the base."""
        return self.file.base

    def render(
        self,
        messages: Sequence[Message],
        tools: Sequence[Any] | None = None,
        system_prompt: str | None = None,
    ) -> Rendered:
        """Return what the model sees of a conversation, and what it is trained on.

        Raises:
            DataError: the base cannot write this conversation.
            PluginError: its template is wrong.
            MissingExtraError: transformers or jinja2 is not installed.
        """
        return render(self.file, messages, tools, system_prompt)

    def mask(
        self,
        messages: Sequence[Message],
        tools: Sequence[Any] | None = None,
        system_prompt: str | None = None,
        tokenizer: Path | None = None,
    ) -> tuple[MaskedPiece, ...]:
        """Return a conversation token by token, or without a tokenizer by its control tokens.

        Raises:
            DataError: the base cannot write this conversation, or it cannot be trained.
            UsageError, ConfigError: the tokenizer cannot be read, or is not one of this base.
        """
        rendered = self.render(messages, tools, system_prompt)
        if tokenizer is None:
            return tuple(pieces_of_text(self.base, rendered))
        return tuple(pieces_of_tokens(read_tokenizer(self.base, tokenizer), rendered))

    def encoder(self, tokenizer: Path, system_prompt: str | None = None) -> PackageEncoder:
        """Return what turns conversations into ids and labels.

        Raises:
            UsageError, ConfigError: the tokenizer cannot be read, or is not one of this base.
        """
        return PackageEncoder(self.file, tokenizer, system_prompt)

    def examiner(self, folder: Path, system_prompt: str | None = None) -> PackageExaminer:
        """Return what examines rows with the tokenizer and the chat template in a model's folder.

        Raises:
            UsageError, ConfigError: the tokenizer cannot be read, is not one of this base, or has
                no chat template.
            MissingExtraError: transformers, tokenizers or jinja2 is not installed.
        """
        return PackageExaminer(self.file, folder, system_prompt)

    def fit(self, job: FitJob, progress: Progress = silent) -> TrainOutcome:
        """Train as a job says, and leave weights, tokenizer and metrics in its model folder.

        Raises:
            MissingExtraError: torch, peft, accelerate or bitsandbytes is not installed.
            TeapotError: as `teapot_trainers.fitting.fit` does.
        """
        try:
            from teapot_trainers.fitting import fit
        except ImportError as error:
            raise MissingExtraError("training", "train") from error
        return fit(job, progress)


def trainer_of(package: str) -> PackageTrainer:
    """Return the trainer of the base whose files lie in a package.

    Raises:
        ConfigError: a file is missing or is not what it must be; names every fault.
    """
    return PackageTrainer(read_base(package))

"""A trainer made of a package folder that holds `base.yaml` and `training.jinja`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from teapot.model.base import Base
from teapot.model.record import Message
from teapot.model.rendered import Rendered
from teapot_trainers.basefile import BaseFile, read_base
from teapot_trainers.rendering import render


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


def trainer_of(package: str) -> PackageTrainer:
    """Return the trainer of the base whose files lie in a package.

    Raises:
        ConfigError: a file is missing or is not what it must be; names every fault.
    """
    return PackageTrainer(read_base(package))

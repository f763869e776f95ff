"""The use case `bases`: which bases the installed packages provide."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from teapot.errors import Problem, TeapotError
from teapot.model.base import Base
from teapot.plugins import load_trainer, trainer_names


@dataclass(frozen=True, slots=True)
class ProvidedBase:
    """A base with the package, and its version, that provides it."""

    base: Base
    package: str
    version: str

    def to_dict(self) -> Mapping[str, Any]:
        """Return the base and its provider as JSON values."""
        return {**asdict(self.base), "package": self.package, "version": self.version}


def provided_base(name: str) -> ProvidedBase:
    """Return the base of this name.

    Raises:
        PluginError: none, or more than one package provides it, or it cannot be loaded.
        ConfigError: its base file is not one.
    """
    trainer, plugin = load_trainer(name)
    return ProvidedBase(trainer.base, plugin.package, plugin.version)


def list_bases() -> tuple[list[ProvidedBase], list[Problem]]:
    """Return every base that can be loaded, and what is wrong with the others."""
    found: list[ProvidedBase] = []
    problems: list[Problem] = []
    for name in trainer_names():
        try:
            found.append(provided_base(name))
        except TeapotError as error:
            problems.extend(error.problems)
    return found, problems

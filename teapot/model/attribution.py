"""What a manifest states of the file that names those whose data a mix is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class AttributedPart:
    """How many lines one source of one module has in the data under one licence."""

    module: str
    source: str
    license: str
    lines: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Attribution:
    """The file (name without folder, SHA-256), and what it says that is nowhere else stated.

    `maintainers` are the modules' own words; a module that names nobody is not among them.
    """

    name: str
    sha256: str
    maintainers: Mapping[str, str]
    parts: tuple[AttributedPart, ...]

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Attribution:
        """Return the attribution in JSON values that fit the manifest's schema."""
        parts = tuple(AttributedPart(**part) for part in value["parts"])
        return cls(**{**value, "parts": parts})

    def to_dict(self) -> dict[str, Any]:
        """Return the attribution as JSON values."""
        parts = [asdict(part) for part in self.parts]
        return {
            "maintainers": dict(self.maintainers), "name": self.name, "parts": parts,
            "sha256": self.sha256,
        }  # fmt: skip

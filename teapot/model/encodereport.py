"""What became of the lines of a data file when they were encoded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from teapot.model.encoded import Encoded, EncoderFacts

_QUANTILES = {"median": 0.5, "p95": 0.95}


@dataclass(frozen=True, slots=True)
class ModuleTokens:
    """How much of a module is trained; a thought counts once for its row."""

    rows: int = 0
    tokens: int = 0
    supervised: int = 0
    thoughts: int = 0

    def __add__(self, other: ModuleTokens) -> ModuleTokens:
        """Return the sum of two amounts."""
        return ModuleTokens(
            rows=self.rows + other.rows, tokens=self.tokens + other.tokens,
            supervised=self.supervised + other.supervised, thoughts=self.thoughts + other.thoughts,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class DroppedLine:
    """A line that is not trained, and why."""

    line: int
    module: str
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class EncodeReport:
    """The account of an encoding; `key` is what it was made from, `rows_sha256` what it is.

    `lengths` counts the encoded rows by their number of tokens.
    """

    key: str
    manifest_sha256: str
    data_sha256: str
    facts: EncoderFacts
    max_length: int | None
    rows_sha256: str = ""
    lengths: Counter[int] = field(default_factory=Counter)
    modules: dict[str, ModuleTokens] = field(default_factory=dict)
    dropped: list[DroppedLine] = field(default_factory=list)

    def count(self, module: str, encoded: Encoded, *, has_thought: bool) -> None:
        """Add an encoded row."""
        self.lengths[len(encoded.ids)] += 1
        row = ModuleTokens(1, len(encoded.ids), encoded.supervised, int(has_thought))
        self.modules[module] = self.modules.get(module, ModuleTokens()) + row

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON values; the lengths as smallest, quantiles and longest."""
        total = sum(self.modules.values(), ModuleTokens())
        return {
            "key": self.key, "rows_sha256": self.rows_sha256,
            "manifest_sha256": self.manifest_sha256, "data_sha256": self.data_sha256,
            "encoder": {**asdict(self.facts), "versions": dict(self.facts.versions)},
            "max_length": self.max_length, "lengths": _spread(self.lengths),
            **asdict(total),
            "modules": {name: asdict(part) for name, part in sorted(self.modules.items())},
            "dropped": [asdict(line) for line in self.dropped],
        }  # fmt: skip


def _spread(lengths: Mapping[int, int]) -> dict[str, int]:
    """Return the shortest, some quantiles and the longest; a quantile is a length that occurs."""
    if not lengths:
        return {}
    rows, places = sum(lengths.values()), sorted(lengths)
    spread = {"min": places[0]}
    for name, share in _QUANTILES.items():
        seen = 0
        for length in places:
            seen += lengths[length]
            if seen >= share * rows:
                spread[name] = length
                break
    return {**spread, "max": places[-1]}

"""Which lines of the data a model was trained on, where epochs have orders.

With fewer epochs trained than there are orders, the data has lines that only later epochs use.
Nothing is said of them but from the orders that the signed train statement names.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy
from numpy.typing import NDArray

from teapot.errors import DataError
from teapot.files import OutputPaths
from teapot.index import Numbers
from teapot.model.manifest import Manifest, OrderFile
from teapot.model.trainstatement import TrainStatement
from teapot.orderfile import OrderReader


@dataclass(frozen=True, slots=True)
class TrainedLines:
    """The epochs that were trained, and of how many; `places` are where their orders may lie."""

    orders: tuple[OrderFile, ...]
    epochs: int
    places: tuple[OutputPaths, ...]

    @classmethod
    def of(
        cls, statement: TrainStatement, manifest: Manifest, places: Sequence[OutputPaths]
    ) -> TrainedLines:
        """Return them for a statement that was compared with its manifest."""
        trained = manifest.orders[: len(statement.composed.orders)]
        return cls(trained, len(manifest.orders), tuple(places))

    @property
    def are_all(self) -> bool:
        """Tell whether every line of the data was trained."""
        return len(self.orders) == self.epochs

    @property
    def told(self) -> str:
        """Return how many epochs were trained, in words."""
        count = len(self.orders)
        return f"{count} of {self.epochs} epochs {'was' if count == 1 else 'were'} trained"

    def among(self, lines: Sequence[int]) -> list[int] | None:
        """Return those of some lines, from 1, that were trained; None where orders are not here."""
        if self.are_all or not lines:
            return list(lines)
        asked = numpy.array(lines, dtype=numpy.int64) - 1
        is_used = numpy.zeros(len(asked), dtype=numpy.bool_)
        for epoch, stated in enumerate(self.orders):
            path = self._path(epoch)
            found = None if path is None else _used(path, stated, asked)
            if found is None:
                return None
            is_used |= found
        return [line for line, used in zip(lines, is_used.tolist(), strict=True) if used]

    def doubts(self, line: int) -> tuple[str, ...]:
        """Return why a line, from 1, may not have been trained; nothing where it was."""
        found = self.among([line])
        if found is None:
            told = f"{self.told}, of which an order is not here"
            return (f"whether it was trained on is not known: {told}",)
        return () if found else (f"it was not trained on: only later epochs have it; {self.told}",)

    def _path(self, epoch: int) -> Path | None:
        named = (paths.orders(epoch + 1)[epoch] for paths in self.places)
        return next((path for path in named if os.path.lexists(path)), None)


def _used(path: Path, stated: OrderFile, asked: Numbers) -> NDArray[numpy.bool_] | None:
    """Tell of each line whether an order has it; None where the order is not the one stated."""
    reader = OrderReader(path, stated.bytes)
    is_used = numpy.zeros(len(asked), dtype=numpy.bool_)
    try:
        for block in reader.blocks():
            is_used |= numpy.isin(asked, block)
    except DataError:
        return None
    return is_used if reader.sha256 == stated.sha256 else None

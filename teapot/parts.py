"""One block of a source, read and judged: what pass one makes, whoever makes it and in what order.

A part depends on the block, the module and the tool alone, so parts are made in threads, on other
machines, or were made in an earlier run, and together are the same. `survey` puts them in order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy
from numpy.typing import NDArray

from teapot.index import Entries
from teapot.model.record import Dropped


@dataclass(frozen=True, slots=True)
class Repaired:
    """The repairs that changed a record, and its content digest before them."""

    repairs: tuple[str, ...]
    digest_before: bytes


@dataclass(frozen=True, slots=True)
class Reviewed:
    """What reviewers or screens say of a record that stays, and what changed it, as for `Repaired`.

    `decided` is the content digest that an edit or a move spoke of; other verdicts change nothing.
    `read` is the one that verdicts know the record by, where a screen has changed it since.
    `counted` are words by which rows are counted that a screen has something to say of.
    """

    detail: str
    repairs: tuple[str, ...] = ()
    digest_before: bytes | None = None
    decided: bytes | None = None
    read: bytes | None = None
    counted: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Ids:
    """The ids of rows: those that were scanned, end to end, and others by their place.

    `bounds[row]` is where the scanned id of a row ends; it is empty where a row has none, or has
    its id, or None, in `others`.
    """

    scanned: bytes
    bounds: NDArray[numpy.uint32]
    others: Mapping[int, str | None]

    def listed(self) -> list[str | None]:
        """Return the id of each row."""
        bounds = self.bounds.tolist()
        ids: list[str | None] = [
            self.scanned[start:stop].decode()
            for start, stop in zip([0, *bounds], bounds, strict=False)
        ]
        for place, identity in self.others.items():
            ids[place] = identity
        return ids


@dataclass(frozen=True, slots=True)
class Part:
    """The rows of one block: entries for the index, and what does not fit into one.

    Entries count rows from 1 within the block, name licences by their place in `licenses`, and say
    where a row lies in its source, or a line in `lines`. `odd` tells of rows that were dropped,
    repaired or reviewed, `said` how rows say licences that may enter: whoever makes lines again
    must know. `sketches` are those of the rows, where somebody asked for them.
    """

    entries: Entries
    licenses: tuple[str, ...]
    ids: Ids
    odd: Mapping[int, Dropped | Repaired | Reviewed]
    lines: bytes
    said: Mapping[str, str]
    sketches: NDArray[Any] | None = None

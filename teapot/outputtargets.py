"""Which files a run will write, and which of an earlier run's it will replace."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from teapot.canonical import CanonicalError, loads
from teapot.errors import DataError, Problem, UsageError, counted
from teapot.files import OutputPaths
from teapot.shards import MAX_ORDERS, MAX_SHARDS


@dataclass(frozen=True, slots=True)
class OutputTargets:
    """The files of one composition that is to be written.

    `data` are the data file or its shards, in order; `validation` is where records go that are held
    out, None where none are; `orders` are those of epochs. `replaced` is data of the composition
    that lies there which was cut in another way, or its attribution, validation file or orders of
    more epochs, and will be removed.
    """

    paths: OutputPaths
    data: tuple[Path, ...]
    replaced: tuple[Path, ...]
    is_attributed: bool = False
    validation: Path | None = None
    orders: tuple[Path, ...] = ()

    @classmethod
    def of(
        cls,
        paths: OutputPaths,
        shards: int,
        *,
        attributed: bool = False,
        split: bool = False,
        epochs: int | None = None,
    ) -> OutputTargets:
        """Return where data goes that is cut into so many shards; one is the data file itself.

        There is an order for each of the `epochs`.

        Raises:
            UsageError: it cannot be cut into so many.
        """
        if not 1 <= shards <= MAX_SHARDS:
            told = f"{shards} shards were asked for, expected 1 to {MAX_SHARDS:,}"
            raise UsageError(Problem(str(paths.data), told))
        data = paths.shards(shards) if shards > 1 else (paths.data,)
        before = [path for path in _composed_before(paths) if os.path.lexists(path)]
        if not attributed and was_attributed(paths) and os.path.lexists(paths.attribution):
            before.append(paths.attribution)
        if not split and _was_split(paths) and os.path.lexists(paths.validation):
            before.append(paths.validation)
        orders = paths.orders(epochs or 0)
        before += [path for path in _ordered_before(paths) if os.path.lexists(path)]
        replaced = tuple(path for path in before if path not in (*data, *orders))
        held = paths.validation if split else None
        return cls(paths, data, replaced, attributed, held, orders)

    @property
    def written(self) -> tuple[Path, ...]:
        """Return where data goes, what is held out of it, and orders of epochs."""
        held = () if self.validation is None else (self.validation,)
        return (*self.data, *held, *self.orders)

    def refuse_foreign(self) -> None:
        """Refuse to write over what no manifest tells of, or to leave it beside shards or orders.

        Raises:
            UsageError: such a file lies there.
        """
        if self.is_attributed:
            _refuse_foreign_attribution(self.paths)
        there = [self.paths.data] if self.paths.data.is_file() else []
        if len(self.data) > 1:
            there += self.paths.all_shards()
        if self.orders:
            there += self.paths.all_orders()
        known = {*_composed_before(self.paths), *_ordered_before(self.paths)}
        foreign = [path for path in there if path not in known]
        held = self.validation
        if held is not None and os.path.lexists(held) and not _was_split(self.paths):
            foreign.append(held)
        if foreign:
            is_told = self.paths.manifest.exists()
            why = "its manifest does not tell of it" if is_told else "has no manifest"
            message = f"is there and {why}: not Teapot's work; choose -o, or remove it"
            raise UsageError(*(Problem(str(path), message) for path in foreign))

    def refuse_empty_shards(self, lines: int) -> None:
        """Refuse more shards than there are lines.

        Raises:
            DataError: there would be a shard without a line.
        """
        if lines < len(self.data):
            told = f"has {counted(lines, 'line')}, too few for {len(self.data)} shards"
            raise DataError(Problem(str(self.paths.data), f"{told}; ask for fewer"))


def was_attributed(paths: OutputPaths) -> bool:
    """Tell whether the manifest which lies there tells of an attribution by the name it has."""
    return _is_told(paths, "attribution", paths.attribution)


def _was_split(paths: OutputPaths) -> bool:
    return _is_told(paths, "validation", paths.validation)


def _is_told(paths: OutputPaths, key: str, path: Path) -> bool:
    """Tell whether the manifest which lies there tells of a file by the name it has."""
    try:
        stated: Any = loads(paths.manifest.read_bytes())
        name = stated["predicate"]["teapot_composition"][key]["name"]
    except (OSError, CanonicalError, LookupError, TypeError):
        return False
    return bool(name == path.name)


def _composed_before(paths: OutputPaths) -> tuple[Path, ...]:
    """Return the data that the manifest which lies there tells of, by names that are its own."""
    try:
        stated: Any = loads(paths.manifest.read_bytes())
        shards = stated["predicate"]["teapot_composition"]["data"].get("shards", ())
    except (OSError, CanonicalError, LookupError, TypeError, AttributeError):
        return (paths.data,) if paths.manifest.exists() else ()
    if not shards:
        return (paths.data,)
    return paths.shards(min(len(shards), MAX_SHARDS))


def _ordered_before(paths: OutputPaths) -> tuple[Path, ...]:
    """Return the orders that the manifest which lies there tells of, by names that are its own."""
    try:
        stated: Any = loads(paths.manifest.read_bytes())
        count = len(stated["predicate"]["teapot_composition"]["orders"])
    except (OSError, CanonicalError, LookupError, TypeError):
        return ()
    return paths.orders(min(count, MAX_ORDERS))


def _refuse_foreign_attribution(paths: OutputPaths) -> None:
    path = paths.attribution
    if path.is_dir() or (os.path.lexists(path) and not was_attributed(paths)):
        told = "is there and no manifest tells of it: not Teapot's work; choose -o, or remove it"
        raise UsageError(Problem(str(path), told))

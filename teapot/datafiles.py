"""The data of a composition, wherever it lies: in one file, or in shards that are read in order.

The names of shards come from the data file's own name and their number, never from a manifest.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from teapot.datafile import MeasuredData, MeasuredShard, measure_data, measure_shards, open_beside
from teapot.errors import counted
from teapot.files import OutputPaths
from teapot.interfaces import Progress, silent
from teapot.model.manifest import DataFile


@dataclass(frozen=True, slots=True)
class DataFiles:
    """Where the data that a manifest states should lie."""

    paths: OutputPaths
    stated: DataFile

    def __str__(self) -> str:
        return str(self.paths.data)

    @property
    def files(self) -> tuple[Path, ...]:
        """Return the data file, or its shards in order."""
        count = len(self.stated.shards)
        return self.paths.shards(count) if count else (self.paths.data,)

    @property
    def digests(self) -> tuple[str, ...]:
        """Return the SHA-256 that is stated of each file."""
        shards = tuple(shard.sha256 for shard in self.stated.shards)
        return shards or (self.stated.sha256,)

    @property
    def are_here(self) -> bool:
        """Return whether any of the files lies there."""
        return any(map(os.path.lexists, self.files))

    def lines(self) -> Iterator[bytes]:
        """Yield every line with its LF, in order.

        Raises:
            DataError: a file is missing, no regular file, or leads out of its folder.
        """
        for path in self.files:
            with open_beside(path) as file:
                yield from file

    def measure(
        self, digests: BinaryIO | None = None, *, progress: Progress = silent
    ) -> MeasuredData:
        """Return what lies there, as `measure_data` does; a shard may be missing.

        Raises:
            DataError: there is but one file, and it cannot be read.
        """
        lines = self.stated.records
        if not self.stated.shards:
            return measure_data(self.paths.data, digests, stated_lines=lines, progress=progress)
        return measure_shards(self.files, digests, stated_lines=lines, progress=progress)

    def faults(self, measured: MeasuredData) -> list[str]:
        """Return what is wrong with the shards, each fault at its place; nothing for one file."""
        if not self.stated.shards:
            return []
        holders = {shard.sha256: shard.name for shard in self.stated.shards}
        faults = [
            _fault(stated.sha256, found, holders.get(found.sha256 or ""))
            for stated, found in zip(self.stated.shards, measured.shards, strict=True)
        ]
        pairs = zip(measured.shards, faults, strict=True)
        told = [f"{found.name} {fault}" for found, fault in pairs if fault]
        known = {path.name for path in self.files}
        others = [path for path in self._beside() if path.name not in known]
        return told + [f"{path.name} is no part of this composition: remove it" for path in others]

    def _beside(self) -> Iterator[Path]:
        """Yield what a reader could take for the data or a shard of it."""
        if os.path.lexists(self.paths.data):
            yield self.paths.data
        yield from self.paths.all_shards()


def _fault(stated: str, found: MeasuredShard, holder: str | None) -> str | None:
    """Return what is wrong with one shard; `holder` is the shard that has its content by rights."""
    if found.sha256 is None:
        return found.fault
    if found.sha256 == stated:
        return None
    if holder is not None:
        return f"holds what is stated of {holder}"
    size = f"{counted(found.bytes, 'byte')}, {counted(found.records, 'line')}"
    fault = f"; {found.fault}" if found.fault else ""
    return f"was altered: expected sha256 {stated}, found {found.sha256}, {size}{fault}"

"""Parts that an earlier run has made, killed or not: a changed weight judges no row again.

A part is kept under a digest of all that decides it: the bytes of its source up to it, the module,
the source, the licences allowed, the checks, and the code that judges. Sources are read and hashed
in every run, so a changed one finds nothing here. The folder is the user's own, readable by nobody
else, because whoever writes to it decides what a mix says of its rows.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from teapot.canonical import dumps
from teapot.digest import sha256
from teapot.errors import OutputError, Problem
from teapot.interfaces import Block
from teapot.partfile import part_bytes, part_of
from teapot.parts import Part

LEAST_BYTES = 1 << 20
"""A smaller block is judged in less time than a file of it is worth."""
MOST_BYTES = 4 << 30
_JUDGES = (
    "canonical", "checks", "commonrow", "digest", "index", "licenseterms", "licensing",
    "messages", "model", "partmaker", "parts", "records", "repairs", "rowscan", "sources.jsonl",
    "sources.parquet",
    "thinking", "tokens", "_rows",
)  # fmt: skip
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CacheFacts:
    """How many parts lie in a cache, and how many bytes they have."""

    folder: Path
    parts: int
    bytes: int


class PartCache:
    """The parts that lie in a folder.

    Raises:
        OutputError: somebody else may write to the folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "parts"
        _refuse_others(self.folder)

    def key(self, facts: Mapping[str, Any]) -> bytes:
        """Return a digest of what decides the parts of one source of one module."""
        return sha256(dumps({**facts, "code": code_digest()}))

    def get(self, key: bytes, block: Block) -> Part | None:
        """Return the part of a block, if it was kept and is whole."""
        path = self._path(key, block)
        if path is None:
            return None
        try:
            part = part_of(path.read_bytes())
            path.touch()  # so that what is used is not what is removed
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            _log.info("%s: %s; the rows are judged again", path, error)
            return None
        return part

    def put(self, key: bytes, block: Block, part: Part) -> None:
        """Keep the part of a block; a cache that cannot be written to is told in the log alone.

        A file that was cut when the run was killed has another digest, so it needs no other care.
        """
        path = self._path(key, block)
        if path is None:
            return
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.write_bytes(part_bytes(part))
        except OSError as error:
            _log.info("%s cannot be kept: %s", path, error)

    def facts(self) -> CacheFacts:
        """Return how much lies there."""
        sizes = [status.st_size for _, status in self._files()]
        return CacheFacts(self.folder, len(sizes), sum(sizes))

    def clear(self) -> CacheFacts:
        """Remove all parts, and return what they were."""
        facts = self.facts()
        shutil.rmtree(self.folder, ignore_errors=True)
        return facts

    def prune(self, most_bytes: int = MOST_BYTES) -> None:
        """Remove those that were not used for longest, until the others have no more bytes."""
        files = sorted(self._files(), key=lambda file: file[1].st_mtime, reverse=True)
        kept = 0
        for path, status in files:
            kept += status.st_size
            if kept > most_bytes:
                path.unlink(missing_ok=True)

    def _path(self, key: bytes, block: Block) -> Path | None:
        if block.prefix_sha256 is None or len(block.data) < LEAST_BYTES:
            return None
        place = b"%d %d %d " % (block.number, len(block.data), block.again)
        name = sha256(key + place + block.prefix_sha256).hex()
        return self.folder / name[:2] / f"{name}.part"

    def _files(self) -> Iterator[tuple[Path, os.stat_result]]:
        for path in self.folder.glob("*/*"):
            try:
                yield path, path.stat()
            except FileNotFoundError:
                continue  # another run has removed it


@lru_cache(maxsize=1)
def code_digest() -> str:
    """Return the SHA-256 of the code that judges rows: a version says too little of a checkout."""
    hasher = hashlib.sha256()
    for name in _JUDGES:
        if find_spec(f"teapot.{name}") is None:
            continue  # it was not compiled
        module = import_module(f"teapot.{name}")
        place = Path(module.__file__ or "")
        for path in sorted(place.parent.glob("*.py")) if place.name == "__init__.py" else [place]:
            hasher.update(b"%b %d\n" % (path.name.encode(), path.stat().st_size))
            hasher.update(path.read_bytes())
    return hasher.hexdigest()


def _refuse_others(folder: Path) -> None:
    """Refuse a folder that is another's, or that others may write to; one not there is made."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = folder.stat()
    except OSError:
        return  # nothing is kept where nothing can be made
    if status.st_uid != os.getuid() or stat.S_IMODE(status.st_mode) & 0o022:
        told = "others may write to this cache, and so decide what is said of rows"
        raise OutputError(Problem(str(folder), f"{told}; remove it, or run with --no-cache"))

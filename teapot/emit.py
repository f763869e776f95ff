"""Pass two: puts the lines of records into the output in rank order, hashing what it writes."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from types import TracebackType

from teapot.contents import ContentsFacts, hash_contents
from teapot.epochs import LINE, EpochOrders
from teapot.hashingbeside import HasherBeside
from teapot.index import RecordIndex
from teapot.inorder import in_order
from teapot.interfaces import Progress
from teapot.merkle import MerkleTree
from teapot.mixing import Mix
from teapot.model.manifest import OrderFile, Shard
from teapot.sorted_digests import DigestSorter
from teapot.spool import Origins

_SYNC_BYTES = 64 << 20


Lines = tuple[bytes, bytes]
"""Lines, each with its LF, and their digests, end to end."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DataFacts:
    """What was written: digest and size of the file, its lines, the tree over their digests.

    Where there are `shards`, that is what they are end to end.
    """

    sha256: str
    bytes: int
    records: int
    merkle_root: str
    shards: tuple[Shard, ...] = ()


def gathered(
    mix: Mix, origins: Origins, spans: Sequence[range], *, workers: int = 1
) -> Iterator[Lines]:
    """Yield the lines of the mix in order; none of them go over the end of a span.

    Raises:
        DataError: a source is not what it was when it was read.
    """
    origins.load()
    batches = (
        batch for span in spans for batch in origins.batches(mix.order[span.start : span.stop])
    )
    return in_order(origins.gather, batches, workers)


def write_data(
    made: Iterator[Lines], paths: Sequence[Path], spans: Sequence[range], progress: Progress
) -> DataFacts:
    """Write the next lines of `made`, to each path those of its span; return what was written.

    The first span begins at 0, whatever `made` gave before. The record digest, which is a leaf of
    the tree, is the SHA-256 of a line without its LF.
    """
    tree, total = MerkleTree(), spans[-1].stop
    shards: list[Shard] = []
    with HasherBeside() as whole:
        for path, span in zip(paths, spans, strict=True):
            with path.open("wb") as file, _EarlySync(file.fileno()) as disk, HasherBeside() as own:
                while tree.leaves < span.stop:
                    lines, digests = next(made)
                    whole.update(lines)
                    if len(paths) > 1:
                        own.update(lines)
                    tree.extend_digests(digests)
                    file.write(lines)
                    disk.wrote(len(lines))
                    progress("write", tree.leaves, total)
                shards.append(
                    Shard(
                        name=path.name, sha256=own.hexdigest(), bytes=own.bytes, records=len(span)
                    )
                )  # fmt: skip
        return DataFacts(
            sha256=whole.hexdigest(),
            bytes=whole.bytes,
            records=total,
            merkle_root=tree.root().hex(),
            shards=tuple(shards) if len(shards) > 1 else (),
        )


def write_orders(
    orders: EpochOrders, paths: Sequence[Path], progress: Progress
) -> tuple[OrderFile, ...]:
    """Write the order of each epoch to its path; return what was written."""
    made = []
    for epoch, path in enumerate(paths):
        digest, size = sha256(), 0
        with path.open("wb") as file:
            for lines in orders.order(epoch):
                written = lines.astype(LINE, copy=False).tobytes()
                digest.update(written)
                file.write(written)
                size += len(written)
        made.append(
            OrderFile(
                name=path.name, sha256=digest.hexdigest(), bytes=size,
                examples=size // LINE.itemsize,
            )
        )  # fmt: skip
        progress("order", epoch + 1, len(paths))
    return tuple(made)


class _EarlySync(AbstractContextManager["_EarlySync"]):
    """Has the disk take a file while it is written, so that the end need not wait for all of it."""

    def __init__(self, handle: int) -> None:
        self._handle = handle
        self._thread = ThreadPoolExecutor(1)
        self._last: Future[None] | None = None
        self._waiting_bytes = 0

    def wrote(self, size: int) -> None:
        """Take note of bytes written; ask the disk for them when they are many."""
        self._waiting_bytes += size
        if self._waiting_bytes >= _SYNC_BYTES and self._is_idle():
            self._waiting_bytes = 0
            self._last = self._thread.submit(os.fsync, self._handle)

    def _is_idle(self) -> bool:
        """Return whether the disk has what it was asked for; what it refused it tells only once."""
        if self._last is None or not self._last.done():
            return self._last is None
        self._last.result()
        return True

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Wait for the disk; what it refused is an error of the run."""
        self._thread.shutdown()
        if self._last is not None and error is None:
            self._last.result()


def contents_of(index: RecordIndex, mix: Mix) -> ContentsFacts:
    """Return how many contents the lines of a mix have, and the tree over them."""
    with DigestSorter(len(mix.order)) as sorter:
        for start, entries in index.chunks():
            contents = entries["content"][mix.copies[start : start + len(entries)] > 0]
            sorter.add(contents.tobytes())
        return hash_contents(sorter.blocks())

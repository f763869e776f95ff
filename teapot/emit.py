"""Pass two: copies canonical lines into the output in rank order, hashing what it writes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy

from teapot.batches import hash_lines
from teapot.contents import ContentsFacts, hash_contents
from teapot.digest import HashingWriter
from teapot.index import RecordIndex
from teapot.interfaces import Progress
from teapot.merkle import MerkleTree
from teapot.mixing import Mix
from teapot.sorted_digests import sorted_once
from teapot.spool import LineSpool

_BATCH_LINES = 256


@dataclass(frozen=True, kw_only=True, slots=True)
class DataFacts:
    """What was written: digest and size of the file, its lines, the tree over their digests."""

    sha256: str
    bytes: int
    records: int
    merkle_root: str


def write_data(mix: Mix, spool: LineSpool, path: Path, progress: Progress) -> DataFacts:
    """Write every line of the mix to `path` and return what was written.

    The record digest, which is a leaf of the tree, is the SHA-256 of a line without its LF.
    """
    tree = MerkleTree()
    total = len(mix.order)
    with path.open("wb", buffering=1 << 20) as file:
        writer = HashingWriter(file)
        for start in range(0, total, _BATCH_LINES):
            lines = [
                spool.line(record) for record in mix.order[start : start + _BATCH_LINES].tolist()
            ]
            block = b"\n".join((*lines, b""))
            tree.extend_digests(hash_lines(block))
            writer.write(block)
            progress("write", start + len(lines), total)
    return DataFacts(
        sha256=writer.hexdigest(),
        bytes=writer.bytes_written,
        records=total,
        merkle_root=tree.root().hex(),
    )


def contents_of(index: RecordIndex, mix: Mix) -> ContentsFacts:
    """Return how many contents the data file has, and the tree over them."""
    kept = numpy.unique(mix.order)
    contents = sorted_once(index.digest_keys()[kept].astype(">u8").tobytes())
    return hash_contents([contents])

"""The floor: what no tool that proves its input and output can do without.

Reads every byte of the corpus and hashes it, writes as many bytes as the mix has and hashes those.
It parses, checks, draws and sorts nothing. With `--sync` it waits until the bytes are on the disk.

    python benchmarks/floor.py CORPUS OUTPUT [--sync]
"""

from __future__ import annotations

import os
import sys
from hashlib import sha256
from pathlib import Path

from corpus import read_corpus

_BLOCK_BYTES = 1 << 20


def main() -> None:
    """Read and write as a mix does, and print the digests."""
    corpus = read_corpus(Path(sys.argv[1]))
    block = bytearray(_BLOCK_BYTES)
    for module in corpus.modules:
        print(module.name, _read(module.path, block))
    sync = "--sync" in sys.argv[3:]
    print("mix", _write(Path(sys.argv[2]), bytes(block), corpus.mix_bytes, sync))


def _read(path: Path, block: bytearray) -> str:
    hasher = sha256()
    view = memoryview(block)
    with path.open("rb", buffering=0) as file:
        while size := file.readinto(block):
            hasher.update(view[:size])
    return hasher.hexdigest()


def _write(path: Path, block: bytes, left: int, sync: bool) -> str:
    hasher = sha256()
    view = memoryview(block)
    with path.open("wb", buffering=0) as file:
        while left:
            part = view[: min(left, len(block))]
            file.write(part)
            hasher.update(part)
            left -= len(part)
        if sync:
            os.fsync(file.fileno())
    return hasher.hexdigest()


if __name__ == "__main__":
    main()

"""The one hasher: SHA-256, always, as bytes inside and as 64 lower-case hex digits outside."""

from __future__ import annotations

import hashlib
import struct
from pathlib import Path
from typing import BinaryIO

BLOCK_BYTES = 1 << 20
DIGEST_BYTES = 32


def sha256(data: bytes) -> bytes:
    """Return the 32-byte SHA-256 of `data`."""
    return hashlib.sha256(data).digest()


def sha256_hex(data: bytes) -> str:
    """Return the SHA-256 of `data` as 64 hex digits."""
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: Path) -> str:
    """Return the SHA-256 of a file's bytes as 64 hex digits, reading it in blocks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def split_digests(digests: bytes | bytearray | memoryview) -> list[bytes]:
    """Return digests laid end to end as a list."""
    return [part for (part,) in struct.iter_unpack(f"{DIGEST_BYTES}s", digests)]


class HashingReader:
    """A binary reader that hashes and counts what passes through it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self.bytes_read = 0

    def read(self, size: int = BLOCK_BYTES) -> bytes:
        """Return up to `size` bytes, hashed and counted."""
        block = self._file.read(size)
        self._hash.update(block)
        self.bytes_read += len(block)
        return block

    def drain(self) -> None:
        """Hash whatever is left, so that the digest covers the whole file."""
        while self.read():
            pass

    def digest(self) -> bytes:
        """Return the 32-byte SHA-256 of all bytes read so far."""
        return self._hash.digest()

    def hexdigest(self) -> str:
        """Return the SHA-256 of all bytes read so far as 64 hex digits."""
        return self._hash.hexdigest()

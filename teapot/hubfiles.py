"""Files on their way to the Hub: as they were verified, as they are sent, as the Hub holds them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from teapot.digest import sha256_hex
from teapot.errors import DataError, DigestError, Problem
from teapot.files import open_regular

MAX_WHOLE_BYTES = 10 << 20
"""Up to here a file goes from memory, as it was hashed; the Hub keeps any larger one by SHA-256."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SentFile:
    """A file to send: its name in the repository, where it lies, its size and its SHA-256."""

    name: str
    path: Path
    bytes: int
    sha256: str


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadedFile:
    """A file that is as it was verified; `content` is there for a small one, which goes as it is.

    A large one is hashed again while it is sent.
    """

    file: SentFile
    content: bytes | None

    @classmethod
    def of(cls, file: SentFile) -> LoadedFile:
        """Return a file, read and compared if it is small.

        Raises:
            DataError: it cannot be read.
            DigestError: it is no longer what it was.
        """
        if file.bytes > MAX_WHOLE_BYTES:
            return cls(file=file, content=None)
        try:
            with open_regular(file.path) as opened:
                content = opened.read(MAX_WHOLE_BYTES + 1)
        except OSError as error:
            told = f"cannot be read: {error.strerror or error}; nothing was sent"
            raise DataError(Problem(str(file.path), told)) from error
        refuse_changed(file, sha256_hex(content))
        return cls(file=file, content=content)

    def git_id(self) -> str | None:
        """Return what git calls the content of a small file: SHA-1 of its length and bytes."""
        if self.content is None:
            return None
        data = b"blob %d\0" % len(self.content) + self.content
        return hashlib.sha1(data, usedforsecurity=False).hexdigest()


@dataclass(frozen=True, kw_only=True, slots=True)
class HeldFile:
    """A file as the Hub holds it: git's id of it, and its SHA-256 where it is kept by that."""

    bytes: int
    git_id: str
    sha256: str | None

    def is_same(self, loaded: LoadedFile) -> bool:
        """Tell whether it has the content of a file to send."""
        if self.bytes != loaded.file.bytes:
            return False
        if self.sha256 is not None:
            return self.sha256 == loaded.file.sha256
        return self.git_id == loaded.git_id()


def refuse_changed(file: SentFile, found: str) -> None:
    """Refuse a file whose SHA-256 is another one now.

    Raises:
        DigestError: it is; nothing was committed.
    """
    if found != file.sha256:
        told = (
            f"has changed since it was verified: found sha256 {found}, verified was "
            f"{file.sha256}; nothing was committed; verify the folder again"
        )
        raise DigestError(Problem(str(file.path), told))

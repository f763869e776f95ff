"""A SHA-256 computed in a thread of its own, while the caller goes on with the same bytes."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from hashlib import sha256


class HasherBeside(AbstractContextManager["HasherBeside"]):
    """Hashes blocks one after another in a thread of its own, at most one behind."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1)
        self._hash = sha256()
        self._last: Future[None] | None = None
        self.bytes = 0

    def update(self, block: bytes) -> None:
        """Begin to hash the next block when the one before is done."""
        self._wait()
        self._last = self._thread.submit(self._hash.update, block)
        self.bytes += len(block)

    def hexdigest(self) -> str:
        """Return the SHA-256 of all blocks as 64 hex digits."""
        self._wait()
        return self._hash.hexdigest()

    def __exit__(self, *_: object) -> None:
        """End the thread."""
        self._thread.shutdown()

    def _wait(self) -> None:
        if self._last is not None:
            self._last.result()

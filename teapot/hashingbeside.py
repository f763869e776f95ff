"""A SHA-256 computed in a thread of its own, while the caller goes on with the same bytes."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from hashlib import sha256


class HasherBeside(AbstractContextManager["HasherBeside"]):
    """Hashes blocks one after another in a thread of its own, at most so many behind."""

    def __init__(self, *, most_behind: int = 1) -> None:
        self._thread = ThreadPoolExecutor(1)
        self._hash = sha256()
        self._most_behind = most_behind
        self._behind: deque[Future[None]] = deque()
        self.bytes = 0

    def update(self, block: bytes | memoryview) -> None:
        """Have the next block hashed, once there are not too many before it."""
        self._behind.append(self._thread.submit(self._hash.update, block))
        self.bytes += len(block)
        self._wait(self._most_behind)

    def hexdigest(self) -> str:
        """Return the SHA-256 of all blocks as 64 hex digits."""
        self._wait(0)
        return self._hash.hexdigest()

    def __exit__(self, *_: object) -> None:
        """End the thread."""
        self._thread.shutdown()

    def _wait(self, behind: int) -> None:
        while len(self._behind) > behind:
            self._behind.popleft().result()

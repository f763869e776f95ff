"""The use case `curate review`: one record after another, and what the reviewer says of each.

Records are read again and again rather than held: memory grows with what was said, not with the
module. Every verdict is appended at once and whole, so nothing is lost when the terminal is closed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from teapot.curationfile import append_verdicts, read_curation, withdraw_verdict
from teapot.model.record import Example
from teapot.model.verdict import Kind, Verdict
from teapot.verdicts import standing


class Review:
    """A review by one person; `current` is the record that is shown, None at the end."""

    def __init__(
        self, records: Iterable[Example], path: Path, *, reviewer: str, now: Callable[[], str]
    ) -> None:
        self.path, self.reviewer = path, reviewer
        self._records, self._now = records, now
        verdicts = read_curation(path).verdicts if path.is_file() else ()
        own = standing(verdicts)
        self._decided = {key for key, said in own.items() if reviewer in said}
        contents = {example.content_digest.hex() for example in records}
        self.total = len(contents)
        self._decided &= contents
        self._past: list[tuple[Example, Verdict | None]] = []
        self.note, self.query = "", ""
        self._coming = self._matching()
        self.current: Example | None = next(self._coming, None)

    @property
    def reviewed(self) -> int:
        """Return on how many of the module's contents the reviewer has a verdict."""
        return len(self._decided)

    def decide(self, kind: Kind) -> Verdict | None:
        """Append a verdict on the record, with the note as its reason, and go on.

        Raises:
            OutputError: it cannot be written; the record stays.
        """
        if self.current is None:
            return None
        verdict = Verdict(
            content_digest=self.current.content_digest.hex(), verdict=kind, reviewer=self.reviewer,
            time=self._now(), reason=self.note or None,
        )  # fmt: skip
        append_verdicts(self.path, [verdict])
        self._decided.add(verdict.content_digest)
        self._go_on(verdict)
        return verdict

    def skip(self) -> None:
        """Go on without a verdict."""
        if self.current is not None:
            self._go_on(None)

    def undo(self) -> bool:
        """Go back to the record before, and take back what was said of it; False at the start.

        Raises:
            OutputError: the verdict cannot be taken back.
        """
        if not self._past:
            return False
        example, verdict = self._past[-1]
        if verdict is not None:
            withdraw_verdict(self.path, verdict)
            self._decided.discard(verdict.content_digest)
        self._past.pop()
        if self.current is not None:
            self._coming = _before(self.current, self._coming)
        self.current, self.note = example, (verdict.reason or "") if verdict else ""
        return True

    def filter(self, query: str) -> None:
        """Show from here on only records with a text in them, from the first one."""
        self.query, self.note = query, ""
        self._coming = self._matching()
        self.current = next(self._coming, None)

    def _go_on(self, verdict: Verdict | None) -> None:
        if self.current is not None:
            self._past.append((self.current, verdict))
        self.note = ""
        self.current = next(self._coming, None)

    def _matching(self) -> Iterator[Example]:
        """Yield the records without a verdict that match, each content once."""
        shown: set[str] = set()
        query = self.query.casefold()
        for example in self._records:
            key = example.content_digest.hex()
            if key in shown or key in self._decided or not _matches(example, query):
                continue
            shown.add(key)
            yield example


def _before(first: Example, rest: Iterator[Example]) -> Iterator[Example]:
    yield first
    yield from rest


def _matches(example: Example, query: str) -> bool:
    texts = (example.id, *(message["content"] for message in example.messages))
    return not query or any(query in text.casefold() for text in texts)

"""No record is longer than its module says."""

from __future__ import annotations

from collections.abc import Sequence

from teapot.model.record import Fault, Record


class LengthCheck:
    """The length of all contents together, in characters."""

    name = "length"

    def __init__(self, max_characters: int) -> None:
        self._max_characters = max_characters

    def run(self, record: Record) -> Sequence[Fault]:
        """Return a fault when the record is too long."""
        found = sum(len(message["content"]) for message in record.messages)
        if found <= self._max_characters:
            return ()
        return (Fault("too-long", f"{found} characters, at most {self._max_characters} allowed"),)

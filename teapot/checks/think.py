"""Every thought is one leading, closed, non-empty block of an assistant turn."""

from __future__ import annotations

from collections.abc import Sequence

from teapot.model.record import Fault, Record
from teapot.thinking import think_faults


class ThinkCheck:
    """The structure of `<think>` blocks, and marks that only look like them."""

    name = "think"

    def run(self, record: Record) -> Sequence[Fault]:
        """Return the faults of every turn that holds a mark at all."""
        faults: list[Fault] = []
        for index, message in enumerate(record.messages):
            content = message["content"]
            if "<" in content or "[" in content or "◁" in content:
                faults.extend(think_faults(content, message["role"], index))
        return faults

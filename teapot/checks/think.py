"""Every thought is one leading, closed, non-empty block of an assistant turn."""

from __future__ import annotations

from collections.abc import Sequence

from teapot.model.record import Fault, Record
from teapot.thinking import is_quiet, think_faults


class ThinkCheck:
    """The structure of `<think>` blocks, and marks that only look like them."""

    name = "think"

    def run(self, record: Record) -> Sequence[Fault]:
        """Return the faults of every turn that holds a mark at all."""
        faults: list[Fault] = []
        for index, message in enumerate(record.messages):
            content, role = message["content"], message["role"]
            if role != "assistant" or not is_quiet(content):
                faults.extend(think_faults(content, role, index))
        return faults

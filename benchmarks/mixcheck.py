"""Whether a file is the mix of a corpus: right rows, as often as their weights say, shuffled.

The corpus is a function of module and row number, so what a line must hold can be made again. Every
line's id is counted; the messages of one line in a thousand are compared.
"""

from __future__ import annotations

import json
import re
from array import array
from pathlib import Path

from corpus import Corpus, CorpusModule, row_line

_ROW_ID = re.compile(rb'"id": ?"([a-z])-(\d{8})"')
_COMPARED = 997  # every so many lines one
_MOST_IN_ORDER = 0.01


def fault_of(output: Path, corpus: Corpus) -> str | None:
    """Return why a file is not the mix, or None when it is."""
    counts = {module.name: array("H", bytes(2 * (module.rows + 1))) for module in corpus.modules}
    last, in_order, lines = ("", 0), 0, 0
    with output.open("rb") as file:
        for lines, line in enumerate(file, start=1):
            match = _ROW_ID.search(line)
            if match is None:
                return f"line {lines} has no id of the corpus"
            name, number = match.group(1).decode(), int(match.group(2))
            if name not in counts or not 0 < number < len(counts[name]):
                return f"line {lines} is no row of the corpus"
            counts[name][number] += 1
            in_order += (name, number - 1) == last
            last = name, number
            if lines % _COMPARED == 1 and not _is_row(line, name, number):
                return f"line {lines} has other messages than row {number} of {name}"
    if in_order > lines * _MOST_IN_ORDER + 1:
        return f"{in_order} of {lines} lines follow the row before them: it is not shuffled"
    faults = (_weight_fault(module, counts[module.name]) for module in corpus.modules)
    return next(filter(None, faults), None)


def _is_row(line: bytes, name: str, number: int) -> bool:
    found = json.loads(line)
    wanted = json.loads(row_line(name, number))["conversations"]
    turns = found.get("messages") or found.get("conversations")
    return bool(turns == wanted)


def _weight_fault(module: CorpusModule, counts: array[int]) -> str | None:
    """Return why the rows of a module are not there as often as its weight says."""
    often = [count - module.whole for count in counts[1:]]
    if sum(counts) != module.lines:
        return f"module {module.name} has {sum(counts):,} lines, not {module.lines:,}"
    if any(more not in {0, 1} for more in often) or sum(often) != module.drawn:
        return f"rows of module {module.name} are not there as often as its weight says"
    return None

"""What became of each row, as rows of the ledger: the index and the mix, told in words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy
import pyarrow as arrow
import pyarrow.compute as pc

from teapot import columns
from teapot.index import NO_LICENSE, NO_RECORD, Entries, Numbers, RecordIndex
from teapot.ledgercolumns import (
    DUPLICATE,
    HELD_OUT,
    LEDGER,
    NEAR_DUPLICATE,
    NOT_DRAWN,
    VALIDATION_LINE,
)
from teapot.mixing import NO_TWIN, Mix, RecordLines
from teapot.neardup import SAME_WORDS

_NOT_NEAR = -2


class Fates:
    """Gives rows their fates, some thousands at a time, from the first to the last."""

    def __init__(self, index: RecordIndex, mix: Mix, folder: Path | None = None) -> None:
        self._index, self._mix = index, mix
        self._lines = RecordLines(mix, folder)
        self._held = None
        if len(mix.validation):
            self._validation = mix.of_validation()
            self._held = RecordLines(self._validation, folder)
        names = [name.partition(" ") for name in index.source_names]
        self._modules = columns.strings([module for module, _, _ in names])
        self._sources = columns.strings([source for _, _, source in names])
        self._licenses = columns.strings(index.license_names)

    def finish(self, first: int, texts: Any) -> Any:
        """Return the ledger's rows from `first` on; `texts` are their ids, reasons and the like."""
        entries = self._index.entries(first, len(texts))
        rows = slice(first, first + len(entries))
        lines, starts = self._lines.of(self._mix.copies[rows])
        is_usable = entries["state"] != NO_RECORD
        is_kept = starts[1:] > starts[:-1]
        made = {name: texts.column(name) for name in texts.schema.names}
        made |= self._named(entries)
        made |= self._judged(rows, texts, is_usable & ~is_kept)
        made["row"] = columns.numbers(entries["row"].astype(numpy.int64))
        is_there = numpy.any(entries["content"], axis=1)
        made["content_digest"] = columns.digests(entries["content"], is_there)
        made["record_digest"] = columns.digests(entries["record"], is_usable)
        made["fate"] = _chosen(is_kept, "dropped", "kept")
        occurrences = self._mix.occurrences[rows].astype(numpy.int64)
        made["occurrence"] = columns.numbers(occurrences, is_usable)
        made["lines"] = columns.lists(lines + 1, starts)
        return arrow.record_batch([made[name] for name in LEDGER.names], schema=LEDGER)

    def _named(self, entries: Entries) -> dict[str, Any]:
        """Return module, source and licence of each entry."""
        sources, codes = columns.numbers(entries["source"]), entries["license"]
        return {
            "module": self._modules.take(sources),
            "source": self._sources.take(sources),
            "license": self._licenses.take(columns.numbers(codes, codes != NO_LICENSE)),
        }

    def _judged(self, rows: slice, texts: Any, is_left_out: Numbers) -> dict[str, Any]:
        """Return reason and detail, also of the rows that are usable and left out."""
        reason, detail = self._with_held(rows, texts.column("reason"), texts.column("detail"))
        if len(self._mix.held):
            is_left_out = is_left_out & ~self._mix.held[rows]
        if not is_left_out.any():
            return {"reason": reason, "detail": detail}
        twins, minima = self._mix.twins[rows], self._near_in(rows)
        is_twin = is_left_out & (twins != NO_TWIN)
        is_near = is_twin & (minima != _NOT_NEAR)
        left = _chosen(is_twin + is_near.astype(numpy.uint8), NOT_DRAWN, DUPLICATE, NEAR_DUPLICATE)
        reason = pc.if_else(columns.booleans(is_left_out), left, reason)
        if is_twin.any():
            said = detail.to_pylist()  # what reviewers decided
            told = [
                "; ".join(filter(None, (self._told(twin, alike), said[place]))) if is_one else None
                for place, (twin, alike, is_one) in enumerate(
                    zip(twins.tolist(), minima.tolist(), is_twin.tolist(), strict=True)
                )
            ]
            detail = pc.if_else(columns.booleans(is_twin), columns.strings(told), detail)
        return {"reason": reason, "detail": detail}

    def _near_in(self, rows: slice) -> Numbers:
        """Return how many minima each row has in common with its twin; mostly `_NOT_NEAR`."""
        near = self._mix.near
        minima = numpy.full(rows.stop - rows.start, _NOT_NEAR, dtype=numpy.int64)
        low, high = numpy.searchsorted(near.rows, [rows.start, rows.stop]).tolist()
        minima[near.rows[low:high] - rows.start] = near.equal_minima[low:high]
        return minima

    def _with_held(self, rows: slice, reason: Any, detail: Any) -> tuple[Any, Any]:
        """Return reasons and details that say of rows held out on which line they stand."""
        if self._held is None:
            return reason, detail
        lines, starts = self._held.of(self._validation.copies[rows])
        is_held = starts[1:] > starts[:-1]
        if not len(lines):
            return reason, detail
        told = detail.to_pylist()  # what reviewers decided
        for place, line in zip(numpy.flatnonzero(is_held).tolist(), lines.tolist(), strict=True):
            told[place] = "; ".join(filter(None, (f"{VALIDATION_LINE}{line + 1}", told[place])))
        held = columns.booleans(is_held)
        return pc.if_else(held, HELD_OUT, reason), columns.strings(told)

    def close(self) -> None:
        """Remove what was not asked for."""
        self._lines.close()
        if self._held is not None:
            self._held.close()

    def _told(self, twin: int, minima: int) -> str:
        entry = self._index.entry(twin)
        name = f"{self._index.source_names[entry['source']]} row {entry['row']}"
        if minima == _NOT_NEAR:
            return f"equal to {name}, which stands for it"
        if minima == SAME_WORDS:
            return f"the same words as {name}, which stands for it"
        of = self._mix.near.signature
        return f"like {name}, which stands for it: {minima} of {of} minima are equal"


def _chosen(number: Numbers, *texts: str) -> Any:
    """Return for each row the text that its number names."""
    return columns.strings(texts).take(columns.numbers(number.astype(numpy.uint8)))

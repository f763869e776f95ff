"""What became of each row, as rows of the ledger: the index and the mix, told in words."""

from __future__ import annotations

from typing import Any

import numpy
import pyarrow as arrow
import pyarrow.compute as pc

from teapot.index import NO_LICENSE, NO_RECORD, Entries, Numbers, RecordIndex
from teapot.mixing import Mix, lines_of_records

NOT_DRAWN, DUPLICATE = "not-drawn", "duplicate"
_HEX_DIGITS = 64

LEDGER = arrow.schema(
    [
        ("module", arrow.string()),
        ("source", arrow.string()),
        ("row", arrow.int64()),
        ("id", arrow.string()),
        ("content_digest", arrow.string()),
        ("license", arrow.string()),
        ("fate", arrow.string()),
        ("reason", arrow.string()),
        ("detail", arrow.string()),
        ("repairs", arrow.list_(arrow.string())),
        ("digest_before", arrow.string()),
        ("record_digest", arrow.string()),
        ("occurrence", arrow.int64()),
        ("lines", arrow.list_(arrow.int64())),
    ]
)


class Fates:
    """Gives rows their fates, some thousands at a time."""

    def __init__(self, index: RecordIndex, mix: Mix) -> None:
        self._index, self._mix = index, mix
        self._lines, self._starts = lines_of_records(mix, len(index))
        self._lines += 1
        self._licenses = arrow.array(index.license_names, arrow.string())

    def finish(self, first: int, texts: Any) -> Any:
        """Return the ledger's rows from `first` on; `texts` are their ids, reasons and the like."""
        entries = self._index.entries(first, len(texts))
        rows = numpy.arange(first, first + len(entries))
        starts = self._starts[first : first + len(entries) + 1]
        is_usable = entries["state"] != NO_RECORD
        is_kept = starts[1:] > starts[:-1]
        made = {name: texts.column(name) for name in texts.schema.names}
        made |= self._named(entries)
        made |= self._judged(rows, texts, is_usable & ~is_kept)
        made["row"] = arrow.array(entries["row"].astype(numpy.int64))
        made["repairs"] = pc.fill_null(texts.column("repairs"), [])
        made["content_digest"] = _hex(entries["content"], numpy.any(entries["content"], axis=1))
        made["record_digest"] = _hex(entries["record"], is_usable)
        made["fate"] = pc.if_else(arrow.array(is_kept), "kept", "dropped")
        occurrences = self._mix.occurrences[rows].astype(numpy.int64)
        made["occurrence"] = arrow.array(occurrences, mask=~is_usable)
        lines = self._lines[starts[0] : starts[-1]]
        made["lines"] = arrow.ListArray.from_arrays(
            arrow.array((starts - starts[0]).astype(numpy.int32)), arrow.array(lines)
        )
        return arrow.record_batch([made[name] for name in LEDGER.names], schema=LEDGER)

    def _named(self, entries: Entries) -> dict[str, Any]:
        """Return module, source and licence of each entry."""
        names = [name.partition(" ") for name in self._index.source_names]
        sources = arrow.array(entries["source"])
        codes = entries["license"]
        return {
            "module": arrow.array([name[0] for name in names], arrow.string()).take(sources),
            "source": arrow.array([name[2] for name in names], arrow.string()).take(sources),
            "license": self._licenses.take(arrow.array(codes, mask=codes == NO_LICENSE)),
        }

    def _judged(self, rows: Numbers, texts: Any, is_left_out: Numbers) -> dict[str, Any]:
        """Return reason and detail, also of the rows that are usable and left out."""
        reason, detail = texts.column("reason"), texts.column("detail")
        if not is_left_out.any():
            return {"reason": reason, "detail": detail}
        twins = self._mix.twins[rows]
        is_twin = is_left_out & (twins >= 0)
        left = pc.if_else(arrow.array(is_twin), DUPLICATE, NOT_DRAWN)
        told = [self._told(twin) if twin >= 0 else None for twin in twins.tolist()]
        return {
            "reason": pc.if_else(arrow.array(is_left_out), left, reason),
            "detail": pc.if_else(arrow.array(is_twin), arrow.array(told, arrow.string()), detail),
        }

    def _told(self, twin: int) -> str:
        entry = self._index.entry(twin)
        name = self._index.source_names[entry["source"]]
        return f"equal to {name} row {entry['row']}, which stands for it"


def _hex(digests: Numbers, is_there: Numbers) -> Any:
    """Return digests, shape (n, 32), as text; null where there is none."""
    count = len(digests)
    text = arrow.py_buffer(numpy.ascontiguousarray(digests).tobytes().hex().encode())
    ends = numpy.arange(0, (count + 1) * _HEX_DIGITS, _HEX_DIGITS, dtype=numpy.int32)
    there = arrow.py_buffer(numpy.packbits(is_there, bitorder="little").tobytes())
    made = arrow.StringArray.from_buffers(count, arrow.py_buffer(ends), text, there)
    return pc.if_else(arrow.array(is_there), made, None)

"""Whether any line of a validation file is near to one that is trained on."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import numpy

from teapot.datafiles import DataFiles
from teapot.equals import are_among
from teapot.errors import DataError, MissingExtraError, counted
from teapot.index import Numbers
from teapot.model.likeness import Likeness
from teapot.model.verification import CheckResult, Status
from teapot.neardup import least_equal
from teapot.sketches import Sketch, Sketcher, band_keys, bands_of

_CHUNK_LINES = 1 << 11
_SHOWN = 5


def check_near(likeness: Likeness, data: DataFiles, validation: DataFiles) -> Iterator[CheckResult]:
    """Yield whether any line of the data is near to one of the validation file."""
    compared = "each line of the validation file with those of the data: " + _told(likeness)
    try:
        near = _NearLines(likeness, validation)
        found = list(islice(near.among(data), _SHOWN + 1))
    except MissingExtraError as error:
        yield _unread(Status.SKIPPED, compared, str(error))
        return
    except (DataError, ValueError, LookupError, TypeError) as error:
        yield _unread(Status.FAULT, compared, f"a line that is no record: {error}")
        return
    details = [f"line {line} of the data is near to line {held} held out" for line, held in found]
    if len(found) > _SHOWN:
        details[-1] = "and more lines"
    yield CheckResult.compare(
        "near-leaks", compared, expected="no line near to one held out",
        found=f"{counted(min(len(found), _SHOWN), 'line')} or more" if found
        else "no line near to one held out", details=details,
    )  # fmt: skip


def _unread(status: Status, compared: str, found: str) -> CheckResult:
    return CheckResult(
        name="near-leaks", status=status, compared=compared,
        expected="no line near to one held out", found=found,
    )  # fmt: skip


def _told(likeness: Likeness) -> str:
    if likeness.match == "normalized":
        return "the words of all turns"
    return f"a similarity of {likeness.near.threshold}, as the recipe means it"


class _NearLines:
    """The lines held out, in memory as sketches, and what is near to one of them."""

    def __init__(self, likeness: Likeness, validation: DataFiles) -> None:
        self._sketcher = Sketcher(likeness)
        self._bands = bands_of(likeness.near) if likeness.match == "near" else None
        self._least = least_equal(likeness)
        parts = [sketches for _, sketches in self._sketches_of(validation)]
        self._held = numpy.concatenate(parts) if parts else numpy.empty(0, self._sketcher.type)
        keys = band_keys(self._held, self._bands)
        self._orders = numpy.argsort(keys, axis=1, kind="stable")
        self._keys = numpy.take_along_axis(keys, self._orders, axis=1)

    def among(self, data: DataFiles) -> Iterator[tuple[int, int]]:
        """Yield a line of the data and one held out that are near to each other, from 1."""
        if not len(self._held):
            return
        for first, sketches in self._sketches_of(data):
            shared: dict[int, set[int]] = {}
            keys = band_keys(sketches, self._bands)
            for column, known, order in zip(keys, self._keys, self._orders, strict=True):
                for place in numpy.flatnonzero(are_among(column, known)).tolist():
                    low = numpy.searchsorted(known, column[place], side="left")
                    high = numpy.searchsorted(known, column[place], side="right")
                    shared.setdefault(place, set()).update(order[low:high].tolist())
            for place, others in sorted(shared.items()):
                held = self._near_to(sketches[place], numpy.array(sorted(others)))
                if held is not None:
                    yield first + place + 1, held + 1

    def _near_to(self, sketch: Sketch, others: Numbers) -> int | None:
        held = self._held[others]
        near = (held["text"] == sketch["text"]).all(axis=1)
        if "minima" in (held.dtype.names or ()):
            near |= (held["minima"] == sketch["minima"]).sum(axis=1) >= self._least
        found = numpy.flatnonzero(near)
        return int(others[found[0]]) if len(found) else None

    def _sketches_of(self, files: DataFiles) -> Iterator[tuple[int, Sketch]]:
        """Yield sketches of the lines of files, after the number of the first, from 0."""
        lines, first = files.lines(), 0
        while batch := list(islice(lines, _CHUNK_LINES)):
            yield first, self._sketcher.of_lines(batch, len(batch))
            first += len(batch)

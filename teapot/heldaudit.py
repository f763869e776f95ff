"""What a ledger says of the rows that are held out: on which lines they stand, and their contents.

It comes from a ledger that nothing vouches for yet, so all that it says is looked at.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy
from numpy.typing import NDArray

from teapot.claims import Claims
from teapot.contents import hash_contents
from teapot.ledgercolumns import VALIDATION_LINE
from teapot.ledgerdigest import digests_of
from teapot.ledgerqueries import RowTest
from teapot.model.ledgeraccount import HeldAccount
from teapot.sorted_digests import DigestSorter, shared_digests

MOST_SHOWN = 10
_LINE = re.compile(rf"{VALIDATION_LINE}([1-9][0-9]{{0,15}})(?:; .*)?", re.DOTALL)


def line_of(detail: str | None) -> int | None:
    """Return the line of the validation file that a detail names, from 1; None if it does not."""
    found = _LINE.fullmatch(detail or "")
    return int(found[1]) if found else None


def names_line(lines: Collection[int]) -> RowTest:
    """Return a test that finds details that name any of some lines of the validation file."""
    return lambda details: numpy.array(
        [line_of(detail) in lines for detail in details.to_pylist()], dtype=numpy.bool_
    )


class HeldAudit:
    """Gathers the rows held out, with a slot of the file `claimed` for each of so many lines."""

    def __init__(self, claimed: Path, lines: int) -> None:
        self._claims = Claims(claimed, lines)
        self._contents = DigestSorter(lines)

    def take(self, columns: Mapping[str, Any], is_held: NDArray[numpy.bool_]) -> str | None:
        """Take the held rows of a batch; return what is wrong with the first that names no line."""
        places = numpy.flatnonzero(is_held)
        details = [columns["detail"][place].as_py() for place in places.tolist()]
        lines = [line_of(detail) for detail in details]
        if None in lines:
            told = details[lines.index(None)]
            return f"a row is held out, and its detail names no validation line: {told!r:.80}"
        self._contents.add(digests_of(columns["content_digest"], is_held).tobytes())
        records = digests_of(columns["record_digest"], is_held)
        self._claims.put(numpy.array(lines, dtype=numpy.int64), records)
        return None

    def account(self, kept: Iterable[bytes]) -> HeldAccount:
        """Return what was gathered; `kept` are the sorted contents of the data, end to end."""
        self._claims.finish()
        facts = hash_contents(self._contents.blocks())
        shared = [digest.hex() for digest in shared_digests(kept, self._contents.blocks())]
        return HeldAccount(
            claims=self._claims.made, contents=facts.count, contents_root=facts.merkle_root,
            shared=len(shared), shown=tuple(shared[:MOST_SHOWN]),
        )  # fmt: skip

    def close(self) -> None:
        """Remove the scratch files that nobody else reads."""
        self._claims.__exit__(None, None, None)
        self._contents.__exit__(None, None, None)

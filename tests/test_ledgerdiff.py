"""Two ledgers compared: as a plain account of the same rules does, either way round, in parts."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow as arrow
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from teapot import ledgerdiff
from teapot.errors import DataError, DigestError
from teapot.ledgercolumns import LEDGER
from teapot.ledgerdiff import compare_ledgers
from teapot.ledgerrows import StatedLedger
from teapot.model.difference import RowChanges
from tests.support.ledgers import rows_sha256

SOURCES = [("m/a", "s"), ("m/a", "t"), ("m/b", "s")]


@dataclass(frozen=True, kw_only=True)
class Row:
    """What matters of a ledger's row."""

    where: tuple[str, str]
    row: int
    identity: str | None
    content: str | None
    license: str | None
    lines: int

    @property
    def is_kept(self) -> bool:
        return self.lines > 0


@st.composite
def ledgers(draw: st.DrawFn) -> list[Row]:
    """Draw a ledger of few ids and contents, so that they repeat within and across ledgers."""
    found = []
    for where in SOURCES:
        for number in range(1, draw(st.integers(0, 6)) + 1):
            content = draw(st.sampled_from(["x", "y", "z", "ø\u2028", None]))
            lines = draw(st.integers(0, 2)) if content else 0
            found.append(
                Row(
                    where=where, row=number, content=content, lines=lines,
                    identity=draw(st.sampled_from(["1", "2", "i\n|", ""])),
                    license=draw(st.sampled_from(["MIT", "Apache-2.0", None])),
                )
            )  # fmt: skip
    return [replace(row, identity=row.identity or _made_id(row)) for row in found]


def _digest(content: str | None) -> str | None:
    return None if content is None else sha256(content.encode()).hexdigest()


def _made_id(row: Row) -> str | None:
    return None if row.content is None else f"{row.where[1]}-{str(_digest(row.content))[:16]}"


def write(path: Path, rows: list[Row]) -> StatedLedger:
    """Write a ledger; return it as its manifest would state it."""
    told: list[dict[str, Any]] = []
    line = 0
    for row in rows:
        told.append({
            "module": row.where[0], "source": row.where[1], "row": row.row, "id": row.identity,
            "content_digest": _digest(row.content), "license": row.license,
            "fate": "kept" if row.is_kept else "dropped", "reason": None, "detail": None,
            "repairs": [], "digest_before": None, "record_digest": _digest(row.content),
            "occurrence": None, "lines": list(range(line + 1, line + 1 + row.lines)),
        })  # fmt: skip
        line += row.lines
    table = arrow.Table.from_pylist(told, schema=LEDGER)
    parquet.write_table(table, path)
    return StatedLedger(path=path, rows=len(rows), rows_sha256=rows_sha256(told), lines=line)


def compared(a: list[Row], b: list[Row], examples: int = 100) -> dict[str, RowChanges]:
    with tempfile.TemporaryDirectory() as folder:
        first, second = (write(Path(folder, name), rows) for name, rows in (("a", a), ("b", b)))
        return compare_ledgers(first, second, SOURCES, examples)


Pairs = list[tuple[Row, Row]]
_Key = Callable[[Row], Hashable]


def _pair(a: list[Row], b: list[Row], key: _Key) -> Pairs:
    """Pair rows of one key, first with first, and take them out of both lists."""
    waiting = defaultdict(list)
    for row in b:
        waiting[key(row)].append(row)
    pairs = [(row, waiting[key(row)].pop(0)) for row in a if waiting[key(row)]]
    for one, other in pairs:
        a.remove(one)
        b.remove(other)
    return pairs


def _named(rows: Iterable[Row], *, are: bool) -> list[Row]:
    return [r for r in rows if (r.identity is not None and r.identity != _made_id(r)) is are]


def plainly(a: list[Row], b: list[Row]) -> dict[str, dict[str, int]]:
    """Return the counts by the words of docs/diff.md, one rule after the other."""
    same: Pairs = []
    changed: Pairs = []
    alone: tuple[list[Row], list[Row]] = ([], [])
    keys: tuple[tuple[bool, _Key, _Key], ...] = (
        (True, lambda r: (r.where[0], r.identity, r.content), lambda r: (r.where[0], r.identity)),
        (False, lambda r: (r.where[0], r.content), lambda r: (r.where, r.row)),
    )
    for is_named, same_key, changed_key in keys:
        left = _named(a, are=is_named), _named(b, are=is_named)
        same += _pair(*left, same_key)
        changed += _pair(*left, changed_key)
        for whole, part in zip(alone, left, strict=True):
            whole.extend(part)
    counts: dict[str, dict[str, int]] = {m: defaultdict(int) for m, _ in SOURCES}
    for kind, pairs in (("same", same), ("changed", changed)):
        for one, other in pairs:
            of = counts[one.where[0]]
            of[kind] += 1
            of["entered"] += other.is_kept and not one.is_kept
            of["left"] += one.is_kept and not other.is_kept
            of["recounted"] += one.is_kept and other.is_kept and one.lines != other.lines
            of["relicensed"] += one.license != other.license
    for kind, rows in zip(("removed", "added"), alone, strict=True):
        for row in rows:
            counts[row.where[0]][kind] += 1
    return counts


COUNTS = ("same", "changed", "added", "removed", "entered", "left", "recounted", "relicensed")


def _counts(found: dict[str, RowChanges]) -> dict[str, dict[str, int]]:
    return {m: {name: getattr(part, name) for name in COUNTS} for m, part in found.items()}


@given(ledgers(), ledgers())
def test_rows_are_paired_by_the_documented_rules(a: list[Row], b: list[Row]) -> None:
    expected = plainly(a, b)
    found = _counts(compared(a, b))
    assert found == {m: {name: counts[name] for name in COUNTS} for m, counts in expected.items()}


@given(ledgers(), ledgers())
def test_every_row_that_was_read_is_accounted_for_once(a: list[Row], b: list[Row]) -> None:
    for module, found in compared(a, b).items():
        read = [sum(row.where[0] == module for row in rows) for rows in (a, b)]
        assert read[0] == found.same + found.changed + found.removed
        assert read[1] == found.same + found.changed + found.added


MIRRORED = {"added": "removed", "removed": "added", "entered": "left", "left": "entered"}


@given(ledgers(), ledgers(), st.integers(1, 4))
def test_exchanged_sides_give_the_mirror_image(a: list[Row], b: list[Row], shown: int) -> None:
    one, other = compared(a, b, shown), compared(b, a, shown)
    for module, found in one.items():
        mirrored = other[module]
        for name in COUNTS:
            assert getattr(found, name) == getattr(mirrored, MIRRORED.get(name, name))
        for name, examples in found.examples.items():
            exchanged = [(e.b, e.a) for e in mirrored.examples[MIRRORED.get(name, name)]]
            assert [(e.a, e.b) for e in examples] == exchanged


@given(ledgers())
def test_a_ledger_is_the_same_as_itself(rows: list[Row]) -> None:
    for found in compared(rows, rows).values():
        assert found.is_none and not found.examples


@given(ledgers(), ledgers())
def test_in_how_many_parts_makes_no_difference(a: list[Row], b: list[Row]) -> None:
    whole = compared(a, b, 2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ledgerdiff, "_BUCKET_ROWS", 1)
        assert compared(a, b, 2) == whole


@given(ledgers(), ledgers())
def test_examples_are_rows_of_the_ledgers(a: list[Row], b: list[Row]) -> None:
    sides = [
        {(r.where[1], r.row, r.identity, _digest(r.content), r.lines) for r in rows}
        for rows in (a, b)
    ]
    for found in compared(a, b).values():
        for kind, examples in found.examples.items():
            assert len(examples) == getattr(found, kind)
            for example in examples:
                pairs = zip(sides, (example.a, example.b), strict=True)
                assert all(
                    row is None
                    or (row.source, row.row, row.id, row.content_sha256, row.lines) in rows
                    for rows, row in pairs
                )


def _one(**changed: Any) -> Row:
    row = Row(where=("m/a", "s"), row=1, identity="1", content="x", license="MIT", lines=1)
    return replace(row, **changed)


def test_another_digest_than_stated_is_an_error(tmp_path: Path) -> None:
    stated = write(tmp_path / "a", [_one()])
    with pytest.raises(DigestError, match="is not the ledger that its manifest states"):
        compare_ledgers(stated, replace(stated, rows_sha256="0" * 64), SOURCES, 1)


def test_other_sizes_than_stated_are_an_error(tmp_path: Path) -> None:
    stated = write(tmp_path / "a", [_one()])
    with pytest.raises(DataError, match="has 1 rows, the manifest states 2"):
        compare_ledgers(stated, replace(stated, rows=2), SOURCES, 1)


def test_a_row_of_no_source_of_the_mix_is_an_error(tmp_path: Path) -> None:
    stated = write(tmp_path / "a", [_one()])
    with pytest.raises(DataError, match="m/a s, which is no source of the mix"):
        compare_ledgers(stated, stated, SOURCES[1:], 1)


def test_a_row_that_cannot_be_read_counts_by_what_is_wrong(tmp_path: Path) -> None:
    ledger = write(tmp_path / "a", [_one(content=None, lines=0)])
    table = parquet.read_table(ledger.path).to_pylist()
    for row in table:
        row["detail"] = "other"
    path = tmp_path / "b"
    parquet.write_table(arrow.Table.from_pylist(table, schema=LEDGER), path)
    other = replace(ledger, path=path, rows_sha256=rows_sha256(table))
    found = compare_ledgers(ledger, other, SOURCES, 1)["m/a"]
    assert (found.same, found.changed) == (0, 1)

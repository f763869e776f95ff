from __future__ import annotations

import math
import tracemalloc
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from decimal import Decimal, localcontext
from fractions import Fraction
from hashlib import sha256
from random import Random
from typing import Any, NamedTuple

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from teapot import scratch
from teapot.amounts import Usable, solve
from teapot.equals import are_among
from teapot.index import ENTRY, NO_RECORD, SPOOLED, RecordIndex
from teapot.mixing import LinesOf, Mix, RecordLines, Rules, plan_mix, rank_order
from teapot.model.amount import Asked, AskedMix
from teapot.model.config import Duplicates
from teapot.ordering import DRAW_LABEL, Ranker

KEEP, DROP = Duplicates(policy="keep"), Duplicates(policy="drop")
SEED = 42


class Row(NamedTuple):
    """A record as the plan sees it: equal contents are duplicates, whatever their ids."""

    content: str
    id: str = ""


class Line(NamedTuple):
    """One line of the output."""

    module: str
    row: Row
    occurrence: int


class Planned(NamedTuple):
    """A mix with its records, and the lines it puts out."""

    mix: Mix
    records: list[tuple[str, Row]]
    lines: list[Line]

    def of(self, module: str) -> list[Line]:
        """Return the module's lines in their order."""
        return [line for line in self.lines if line.module == module]


Modules = Mapping[str, Sequence[Row]]


def _digest(text: str) -> bytes:
    return sha256(text.encode()).digest()


def by_weight(weights: Mapping[str, Decimal]) -> LinesOf:
    """Return what gives each module the lines of its weight."""

    def lines_of(usable: Mapping[str, Usable]) -> Mapping[str, int]:
        lines = solve(AskedMix(modules={m: Asked(weight=weights[m]) for m in usable}), usable)
        assert not isinstance(lines, tuple)
        return lines

    return lines_of


def _entries(records: Sequence[tuple[str, Row]]) -> NDArray[Any]:
    """Return what stands in an index of records, whose lines are their module, content and id."""
    entries = numpy.zeros(len(records), dtype=ENTRY)
    for entry, record in zip(entries, records, strict=True):
        entry["content"] = list(_digest(record[1].content))
        entry["record"] = list(_digest(repr(record)))
        entry["state"] = SPOOLED
    return entries


def _plan(
    modules: Modules,
    weights: Mapping[str, Decimal],
    duplicates: Duplicates = KEEP,
    seed: int = SEED,
) -> Planned:
    records = [(name, row) for name, rows in modules.items() for row in rows]
    with closing(RecordIndex()) as index:
        for name, rows in modules.items():
            index.begin_source(name)
            index.extend(_entries([(name, row) for row in rows]), ["MIT"])
            index.end_module(name)
        mix = plan_mix(index, by_weight(weights), Rules(seed=seed, duplicates=duplicates))
    occurrences = mix.occurrences.tolist()
    lines = [
        Line(module=records[record][0], row=records[record][1], occurrence=occurrences[record])
        for record in mix.order.tolist()
    ]
    return Planned(mix, records, lines)


def _rows(count: int, prefix: str = "") -> list[Row]:
    return [Row(f"{prefix}{place}") for place in range(count)]


def _one(rows: Sequence[Row], weight: Decimal, duplicates: Duplicates = KEEP) -> Planned:
    return _plan({"m": rows}, {"m": weight}, duplicates)


WEIGHTS = st.decimals(0, 4, places=3) | st.decimals(0, 4, places=12)
# Few contents and few ids, so that equal contents with equal and unequal ids all occur.
ROWS = st.lists(st.builds(Row, st.sampled_from("abcdef"), st.sampled_from("123")), max_size=12)
MIXES = st.dictionaries(st.sampled_from(["a", "b/c", "č", "d"]), ROWS, min_size=1)
POLICIES = st.sampled_from([KEEP, DROP, Duplicates(policy="drop", prefer=("d", "b/c"))])


@given(WEIGHTS, st.integers(0, 40))
def test_weight_gives_the_floor_of_weight_times_records(weight: Decimal, count: int) -> None:
    planned = _one(_rows(count), weight)
    assert len(planned.lines) == math.floor(Fraction(weight) * count)
    assert planned.mix.shares["m"].lines == len(planned.lines)
    copies = Counter(planned.lines).values()
    assert all(math.floor(weight) <= number <= math.ceil(weight) for number in copies)


@pytest.mark.parametrize(
    ("weight", "count", "lines"), [("0.3", 503, 150), ("1", 3196, 3196), ("0", 9, 0), ("2.5", 3, 7)]
)
def test_known_amounts(weight: str, count: int, lines: int) -> None:
    assert len(_one(_rows(count), Decimal(weight)).lines) == lines


@pytest.mark.parametrize(("weight", "digits"), [("0." + "9" * 34, 28), ("0.999", 2)])
def test_floor_is_exact_whatever_the_ambient_decimal_precision(weight: str, digits: int) -> None:
    with localcontext(prec=digits):
        assert len(_one(_rows(3), Decimal(weight)).lines) == 2


@given(ROWS, WEIGHTS, WEIGHTS)
def test_a_larger_weight_only_adds_lines(rows: list[Row], some: Decimal, more: Decimal) -> None:
    some, more = sorted((some, more))
    assert Counter(_one(rows, some).lines) <= Counter(_one(rows, more).lines)


@given(MIXES, st.dictionaries(st.sampled_from(["a", "b/c", "č", "d"]), WEIGHTS, min_size=4))
def test_other_modules_change_nothing_about_a_modules_lines(
    modules: Modules, weights: Mapping[str, Decimal]
) -> None:
    together = _plan(modules, weights)
    for name, rows in modules.items():
        alone = _plan({name: rows}, weights)
        assert together.of(name) == alone.lines
        assert together.mix.shares[name] == alone.mix.shares[name]


@settings(deadline=None)
@given(MIXES, WEIGHTS, POLICIES, st.randoms())
def test_the_order_of_rows_and_modules_does_not_reach_the_output(
    modules: Modules, weight: Decimal, duplicates: Duplicates, random: Random
) -> None:
    names = list(modules)
    random.shuffle(names)
    shuffled = {name: random.sample(modules[name], len(modules[name])) for name in names}
    weights = dict.fromkeys(modules, weight)
    one, other = _plan(modules, weights, duplicates), _plan(shuffled, weights, duplicates)
    assert one.lines == other.lines
    assert one.mix.shares == other.mix.shares


@given(MIXES, st.permutations(["a", "b/c", "č", "d"]), st.integers(0, 4))
def test_dropping_duplicates_keeps_the_preferred_copy_of_every_content(
    modules: Modules, order: list[str], preferred: int
) -> None:
    prefer = tuple(order[:preferred])
    duplicates = Duplicates(policy="drop", prefer=prefer)
    planned = _plan(modules, dict.fromkeys(modules, Decimal(1)), duplicates)
    holders: dict[str, set[str]] = {}
    for module, row in planned.records:
        holders.setdefault(row.content, set()).add(module)
    assert Counter(line.row.content for line in planned.lines) == dict.fromkeys(holders, 1)
    for line in planned.lines:
        wanted = [name for name in prefer if name in holders[line.row.content]]
        assert not wanted or line.module == wanted[0]


@given(MIXES)
def test_without_a_preference_the_lowest_rank_is_kept(modules: Modules) -> None:
    planned = _plan(modules, dict.fromkeys(modules, Decimal(1)), DROP)
    ranks: dict[str, list[tuple[bytes, str]]] = {}
    for place, (module, row) in enumerate(planned.records):
        occurrence = int(planned.mix.occurrences[place])
        rank = Ranker(DRAW_LABEL, SEED, module).rank(_digest(row.content), occurrence)
        ranks.setdefault(row.content, []).append((rank, module))
    kept = {line.row.content: line.module for line in planned.lines}
    assert kept == {content: min(held)[1] for content, held in ranks.items()}


@given(MIXES, POLICIES)
def test_duplicates_are_counted_and_each_dropped_one_names_the_kept(
    modules: Modules, duplicates: Duplicates
) -> None:
    planned = _plan(modules, dict.fromkeys(modules, Decimal(1)), duplicates)
    counts = Counter(row.content for _, row in planned.records)
    assert planned.mix.duplicate_groups == sum(count > 1 for count in counts.values())
    assert planned.mix.duplicate_records == len(planned.records) - len(counts)
    for record, twin in enumerate(planned.mix.twins.tolist()):
        assert (record in planned.mix.order) == (twin == -1)
        if twin >= 0:
            assert planned.records[twin][1].content == planned.records[record][1].content
            assert twin in planned.mix.order


@given(ROWS)
def test_equal_records_of_a_module_are_numbered_from_0(rows: list[Row]) -> None:
    seen = sorted((line.row.content, line.occurrence) for line in _one(rows, Decimal(1)).lines)
    counts = Counter(row.content for row in rows)
    assert seen == [(key, place) for key in sorted(counts) for place in range(counts[key])]


@given(ROWS, WEIGHTS)
def test_the_cutoff_tells_drawn_from_undrawn(rows: list[Row], weight: Decimal) -> None:
    planned = _one(rows, weight)
    share = planned.mix.shares["m"]
    ranker = Ranker(DRAW_LABEL, SEED, "m")
    drawn = [
        occurrence
        for (_, row), occurrence in zip(planned.records, planned.mix.occurrences, strict=True)
        if share.cutoff is not None
        and ranker.rank(_digest(row.content), int(occurrence), share.whole) <= share.cutoff
    ]
    assert len(drawn) == share.drawn == len(planned.lines) - share.whole * len(rows)


@pytest.mark.parametrize("weight", ["0.3", "1.3"])
def test_a_fraction_is_spread_over_the_whole_output(weight: str) -> None:
    modules = {"all": _rows(1000, "a"), "part": _rows(1000, "p")}
    planned = _plan(modules, {"all": Decimal(1), "part": Decimal(weight)})
    places = [place for place, line in enumerate(planned.lines) if line.module == "part"]
    assert 0.45 < sum(places) / len(places) / len(planned.lines) < 0.55
    assert places[0] < 30 < len(planned.lines) - 30 < places[-1]


def test_a_seed_decides_choice_and_order() -> None:
    some, others = (
        _plan({"m": _rows(100)}, {"m": Decimal("0.5")}, seed=seed).lines for seed in (1, 2)
    )
    assert set(some) != set(others)
    both = set(some) & set(others)
    assert [line for line in some if line in both] != [line for line in others if line in both]


@given(MIXES, WEIGHTS, POLICIES, st.integers(1, 5))
def test_a_plan_that_does_not_fit_into_memory_is_the_same(
    modules: Modules, weight: Decimal, duplicates: Duplicates, rows_in_memory: int
) -> None:
    weights = dict.fromkeys(modules, weight)
    expected = _plan(modules, weights, duplicates)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scratch, "ROWS_IN_MEMORY", rows_in_memory)
        found = _plan(modules, weights, duplicates)
        with closing(RecordLines(found.mix)) as record_lines:
            lines_and_starts = record_lines.of(found.mix.copies)
    assert found.lines == expected.lines
    assert found.mix.shares == expected.mix.shares
    for name in ("order", "copies", "occurrences", "twins"):
        assert getattr(found.mix, name).tolist() == getattr(expected.mix, name).tolist()
    for some, others in zip(
        lines_and_starts, RecordLines(expected.mix).of(expected.mix.copies), strict=True
    ):
        assert some.tolist() == others.tolist()


def test_ranks_whose_first_bytes_are_equal_are_told_apart_by_the_others() -> None:
    ranks = [bytes([number // 2]) * 8 + bytes([number % 2]) * 24 for number in range(8)]
    shuffled = [ranks[place] for place in (5, 0, 7, 3, 1, 6, 4, 2)]
    keys = numpy.array([int.from_bytes(rank[:8], "big") for rank in shuffled], dtype=numpy.uint64)
    order = rank_order(keys, lambda place: shuffled[place])
    assert [shuffled[place] for place in order] == ranks


@given(ROWS, WEIGHTS)
def test_lines_of_records_inverts_the_order(rows: list[Row], weight: Decimal) -> None:
    mix = _one(rows, weight).mix
    lines, starts = RecordLines(mix).of(mix.copies)
    found = [lines[starts[record] : starts[record + 1]].tolist() for record in range(len(rows))]
    assert found == [
        [line for line, standing in enumerate(mix.order) if standing == record]
        for record in range(len(rows))
    ]


@given(st.lists(st.integers(0, 20)), st.lists(st.integers(0, 20), min_size=1))
def test_keys_are_found_among_those_that_are_known(keys: list[int], known: list[int]) -> None:
    found = are_among(numpy.array(keys, numpy.uint64), numpy.unique(known).astype(numpy.uint64))
    assert found.tolist() == [key in known for key in keys]


def test_keys_are_looked_up_without_sorting_all_that_are_known() -> None:
    known = numpy.arange(0, 1 << 21, 2, dtype=numpy.uint64)
    tracemalloc.start()
    try:
        found = are_among(numpy.arange(100, dtype=numpy.uint64), known)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found.tolist() == [True, False] * 50
    assert peak_bytes < known.nbytes // 100


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=30))
def test_whole_ranks_decide_where_their_beginnings_are_equal(ranks: list[tuple[int, int]]) -> None:
    whole = [bytes([first]) * 8 + bytes([rest]) for first, rest in ranks]
    keys = numpy.array([int.from_bytes(rank[:8], "big") for rank in whole], dtype=numpy.uint64)
    asked: list[int] = []

    def whole_rank(place: int) -> bytes:
        asked.append(place)
        return whole[place]

    assert [whole[place] for place in rank_order(keys, whole_rank)] == sorted(whole)
    firsts = Counter(first for first, _ in ranks)
    assert sorted(asked) == [place for place, (first, _) in enumerate(ranks) if firsts[first] > 1]


def test_a_module_without_a_usable_record_gives_no_line() -> None:
    entries = _entries([("none", row) for row in _rows(3)])
    entries["state"] = NO_RECORD
    with closing(RecordIndex()) as index:
        for name, part in (("first", _entries([])), ("none", entries), ("some", _entries([]))):
            index.begin_source(name)
            index.extend(part, [])
            index.end_module(name)
        weights = dict.fromkeys(index.spans, Decimal("1.5"))
        mix = plan_mix(index, by_weight(weights), Rules(seed=SEED, duplicates=DROP))
    assert len(mix.order) == 0 == mix.duplicate_groups
    assert [share.lines for share in mix.shares.values()] == [0, 0, 0]
    assert {share.cutoff for share in mix.shares.values()} == {None}


def test_a_row_without_a_record_is_nobodys_twin() -> None:
    entries = _entries([("m", Row("same"))] * 3)
    entries["state"][0] = NO_RECORD
    with closing(RecordIndex()) as index:
        index.begin_source("m")
        index.extend(entries, ["MIT"])
        index.end_module("m")
        mix = plan_mix(index, by_weight({"m": Decimal(1)}), Rules(seed=SEED, duplicates=DROP))
    assert mix.twins[0] == -1
    assert 0 not in mix.order
    assert (mix.duplicate_groups, mix.duplicate_records, len(mix.order)) == (1, 1, 1)

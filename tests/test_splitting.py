"""Which records are held out: whole groups, by content alone, and none of them in the data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from decimal import Decimal
from fractions import Fraction
from hashlib import sha256
from typing import NamedTuple

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from teapot import scratch
from teapot.amounts import Usable, solve
from teapot.index import ENTRY, SPOOLED, Numbers, RecordIndex
from teapot.mixing import Mix, RecordLines, Rules, plan_mix
from teapot.model.amount import Asked, AskedMix
from teapot.model.config import Duplicates
from teapot.ordering import ORDER_LABEL, SPLIT_LABEL, Ranker
from teapot.relatives import NO_PAIRS, components
from teapot.splitting import Split, _below

SEED = 7
Modules = Mapping[str, Sequence[str]]
Near = Sequence[tuple[str, str]]
TEXTS = [chr(code) for code in range(ord("a"), ord("s"))]
MODULES = st.dictionaries(
    st.sampled_from(["m/a", "m/b", "m/c"]),
    st.lists(st.sampled_from(TEXTS), max_size=14),
    min_size=1,
)
NEAR = st.lists(st.tuples(st.sampled_from(TEXTS), st.sampled_from(TEXTS)), max_size=6)
SHARES = st.fractions(min_value="1/1000", max_value="999/1000", max_denominator=1000)
POLICIES = st.sampled_from([Duplicates(), Duplicates(policy="drop")])


class Planned(NamedTuple):
    """A mix, and the module and text of each of its rows."""

    mix: Mix
    rows: list[tuple[str, str]]

    def held(self, *modules: str) -> Counter[tuple[str, str]]:
        """Return the rows that are held out, of the modules named or of all."""
        rows = (self.rows[place] for place in self.mix.validation.tolist())
        return Counter(row for row in rows if not modules or row[0] in modules)


def _digest(text: str) -> bytes:
    return sha256(text.encode()).digest()


def _pairs(rows: Sequence[tuple[str, str]], near: Near) -> Numbers:
    found = [
        (one, other)
        for one, (_, first) in enumerate(rows)
        for other, (_, second) in enumerate(rows)
        if (first, second) in near
    ]
    return numpy.array(found, dtype=numpy.int64).reshape(-1, 2)


def _plan(
    modules: Modules, share: Fraction, *, near: Near = (), weight: str = "1",
    duplicates: Duplicates | None = None,
) -> Planned:  # fmt: skip
    rows = [(name, text) for name, texts in modules.items() for text in texts]

    def lines_of(usable: Mapping[str, Usable]) -> Mapping[str, int]:
        asked = AskedMix(modules={name: Asked(weight=Decimal(weight)) for name in usable})
        lines = solve(asked, usable)
        assert not isinstance(lines, tuple)
        return lines

    with closing(RecordIndex()) as index:
        for name, texts in modules.items():
            index.begin_source(name)
            entries = numpy.zeros(len(texts), dtype=ENTRY)
            for entry, text in zip(entries, texts, strict=True):
                entry["content"] = list(_digest(text))
                entry["record"] = list(_digest(name + text))
                entry["state"] = SPOOLED
            index.extend(entries, ["MIT"])
            index.end_module(name)
        split = Split(share, _pairs(rows, near))
        rules = Rules(seed=SEED, duplicates=duplicates or Duplicates(), split=split)
        mix = plan_mix(index, lines_of, rules)
    return Planned(mix, rows)


def _groups(texts: Sequence[str], near: Near) -> list[set[str]]:
    """Return what is connected, found in the simplest way."""
    groups = [{text} for text in texts]
    for one, other in near:
        if one in texts and other in texts:
            joined = [group for group in groups if one in group or other in group]
            groups = [group for group in groups if group not in joined] + [set().union(*joined)]
    return groups


@given(MODULES, SHARES, NEAR, POLICIES, st.sampled_from(["0.5", "1", "2.5"]))
def test_no_relative_of_a_held_record_is_in_the_data(
    modules: Modules, share: Fraction, near: Near, duplicates: Duplicates, weight: str
) -> None:
    found = _plan(modules, share, near=near, duplicates=duplicates, weight=weight)
    held = {text for _, text in found.held()}
    trained = {found.rows[place][1] for place in found.mix.order.tolist()}
    for group in _groups(sorted({text for _, text in found.rows}), near):
        assert not (group & held and group & trained)
        assert not group & held or group <= held


@given(MODULES, SHARES, NEAR, POLICIES, st.sampled_from(["0.5", "1", "2.5"]))
def test_every_record_is_held_once_or_in_the_data_or_left_out(
    modules: Modules, share: Fraction, near: Near, duplicates: Duplicates, weight: str
) -> None:
    mix = _plan(modules, share, near=near, duplicates=duplicates, weight=weight).mix
    assert sorted(mix.validation.tolist()) == numpy.flatnonzero(mix.held).tolist()
    assert not (mix.held & (mix.copies > 0)).any()
    assert not (mix.held & (mix.twins >= 0)).any()
    twins = int((mix.twins >= 0).sum())
    usable = sum(part.usable for part in mix.shares.values())
    assert usable + len(mix.validation) + twins == len(mix.held)
    assert len(mix.order) == sum(part.lines for part in mix.shares.values())


@given(MODULES, SHARES, NEAR)
def test_a_group_goes_by_the_rank_of_its_lowest_content(
    modules: Modules, share: Fraction, near: Near
) -> None:
    found = _plan(modules, share, near=near)
    wanted: set[str] = set()
    for group in _groups(sorted({text for _, text in found.rows}), near):
        rank = Ranker(SPLIT_LABEL, SEED, "").rank(min(map(_digest, group)))
        if Fraction(int.from_bytes(rank, "big"), 1 << 256) < share:
            wanted |= group
    assert {text for _, text in found.held()} == wanted


@given(MODULES, st.lists(st.sampled_from(TEXTS), max_size=9), SHARES, NEAR)
def test_another_module_moves_only_what_is_related_to_it(
    modules: Modules, more: list[str], share: Fraction, near: Near
) -> None:
    before = _plan(modules, share, near=near)
    after = _plan({**modules, "m/z": more}, share, near=near)
    groups = _groups(sorted({text for _, text in after.rows}), near)
    known = {text for _, text in before.rows}
    related = {text for group in groups if group & set(more) - known for text in group}
    kept = {row: n for row, n in before.held().items() if row[1] not in related}
    assert kept == {r: n for r, n in after.held(*modules).items() if r[1] not in related}


@given(MODULES, SHARES, SHARES, NEAR)
def test_a_larger_share_only_adds(
    modules: Modules, one: Fraction, other: Fraction, near: Near
) -> None:
    small, large = (_plan(modules, share, near=near).held() for share in sorted((one, other)))
    assert small <= large


@settings(deadline=None)
@given(MODULES, SHARES, NEAR, st.randoms(use_true_random=False))
def test_the_order_of_rows_and_modules_does_not_matter(
    modules: Modules, share: Fraction, near: Near, random: object
) -> None:
    names = sorted(modules, reverse=True)
    turned = {name: sorted(modules[name], reverse=True) for name in names}
    one, other = _plan(modules, share, near=near), _plan(turned, share, near=near)
    assert [one.rows[n] for n in one.mix.validation] == [
        other.rows[n] for n in other.mix.validation
    ]
    assert [one.rows[n] for n in one.mix.order] == [other.rows[n] for n in other.mix.order]


def test_about_the_share_is_held_and_lies_in_order_of_rank() -> None:
    found = _plan({"m/a": [f"text {n}" for n in range(2000)]}, Fraction(1, 20))
    assert 70 <= len(found.mix.validation) <= 130
    ranks = [Ranker(ORDER_LABEL, SEED, "m/a").rank(_digest(text)) for _, text in found.held()]
    assert ranks == sorted(ranks)


def test_amounts_are_of_what_is_left() -> None:
    found = _plan({"m/a": [f"text {n}" for n in range(200)]}, Fraction(1, 4), weight="0.5")
    left = 200 - len(found.mix.validation)
    assert len(found.mix.validation) > 20
    assert found.mix.shares["m/a"].usable == left
    assert len(found.mix.order) == left // 2


@pytest.mark.parametrize("spilled", [False, True])
def test_lines_of_the_data_come_before_those_held_out(
    spilled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if spilled:
        monkeypatch.setattr(scratch, "ROWS_IN_MEMORY", 8)
    mix = _plan({"m/a": [f"text {n}" for n in range(90)]}, Fraction(1, 4), weight="1.5").mix
    both = mix.with_validation()
    assert both.order.tolist() == [*mix.order.tolist(), *mix.validation.tolist()]
    assert len(mix.validation)
    with closing(RecordLines(both)) as lines:
        found, starts = lines.of(both.copies)
    for row in numpy.flatnonzero(mix.held).tolist():
        (line,) = found[starts[row] : starts[row + 1]].tolist()
        assert mix.validation[line - len(mix.order)] == row


def test_without_a_split_nothing_is_held() -> None:
    with closing(RecordIndex()) as index:
        rules = Rules(seed=1, duplicates=Duplicates())
        mix = plan_mix(index, lambda usable: dict.fromkeys(usable, 0), rules)
    assert not len(mix.validation)
    assert mix.with_validation() is mix


@given(st.integers(1, 30), st.lists(st.tuples(st.integers(0, 29), st.integers(0, 29)), max_size=40))
def test_components_are_what_pairs_connect(count: int, pairs: list[tuple[int, int]]) -> None:
    inside = [(one % count, other % count) for one, other in pairs]
    groups: list[set[int]] = [{node} for node in range(count)]
    for one, other in inside:
        joined = [group for group in groups if one in group or other in group]
        groups = [group for group in groups if group not in joined] + [set().union(*joined)]
    wanted = {node: min(group) for group in groups for node in group}
    found = components(count, numpy.array(inside, dtype=numpy.int64).reshape(-1, 2))
    assert dict(enumerate(found.tolist())) == wanted


def test_a_long_chain_is_one_group() -> None:
    nodes = numpy.random.default_rng(1).permutation(5000)
    pairs = numpy.stack((nodes[1:], nodes[:-1]), axis=1)
    assert not components(5000, pairs).any()
    assert components(3, NO_PAIRS).tolist() == [0, 1, 2]


@given(st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=9), SHARES)
def test_a_rank_is_compared_exactly(ranks: list[bytes], share: Fraction) -> None:
    edge = -(-share.numerator * (1 << 256) // share.denominator)
    ranks = [*ranks, edge.to_bytes(32, "big"), (edge - 1).to_bytes(32, "big"), bytes(32)]
    given_ranks: NDArray[numpy.uint8] = numpy.frombuffer(b"".join(ranks), numpy.uint8)
    wanted = [Fraction(int.from_bytes(rank, "big"), 1 << 256) < share for rank in ranks]
    assert _below(given_ranks.reshape(-1, 32), share).tolist() == wanted

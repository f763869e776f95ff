"""Lines of modules: exact sums, caps that hold, and never a contradiction that passes."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from teapot.amounts import Conflict, Usable, apportion, contradictions, root, solve
from teapot.model.amount import (
    Asked,
    AskedMix,
    Group,
    WholeMix,
    quantity,
    share_of_text,
    share_text,
)

NAMES = ["a", "b/c", "č", "d", "e", "f"]
RECORDS = st.integers(1, 400)
SEEDS = st.integers(0, 3)


def mix(modules: Mapping[str, Asked], **more: Any) -> AskedMix:
    return AskedMix(modules=modules, **more)


def share(text: str, **more: Any) -> Asked:
    return Asked(share=share_of_text(text), **more)


def rows(number: int, **more: Any) -> Asked:
    return Asked(rows=number, **more)


def usable(tokens: int = 7, **records: int) -> dict[str, Usable]:
    return {name: Usable(records=n, tokens=n * tokens) for name, n in records.items()}


def lines(asked: AskedMix, given: Mapping[str, Usable]) -> dict[str, int]:
    found = solve(asked, given)
    assert not isinstance(found, tuple), found
    return dict(found)


def told(asked: AskedMix, given: Mapping[str, Usable]) -> list[str]:
    found = solve(asked, given)
    assert isinstance(found, tuple), found
    return [str(conflict) for conflict in found]


@st.composite
def mixes(draw: st.DrawFn) -> tuple[AskedMix, dict[str, Usable]]:
    """Return a mix of shares below 100% beside modules of weights, rows and one group."""
    names = draw(st.permutations(NAMES))
    parts = draw(st.lists(st.integers(1, 30), min_size=1, max_size=3))
    modules = {
        name: Asked(share=Fraction(part, 100)) for name, part in zip(names, parts, strict=False)
    }
    members = draw(st.integers(1, 2))
    groups = {
        "g": Group(
            modules=tuple(sorted(names[3 : 3 + members])),
            temperature=draw(st.decimals("0.5", 9, places=2)),
            rows=draw(st.none() | st.integers(1, 300)),
        )
    }
    modules |= dict.fromkeys(groups["g"].modules, Asked(group="g"))
    modules["f"] = draw(st.builds(rows, st.integers(1, 500)))
    given = {name: Usable(records=draw(RECORDS)) for name in modules}
    assume(all(asked.share is None or given[n].records > 20 for n, asked in modules.items()))
    return mix(modules, groups=groups, seed=draw(SEEDS)), given


@given(mixes())
def test_every_share_is_within_one_line_of_what_was_asked(
    made: tuple[AskedMix, dict[str, Usable]],
) -> None:
    asked, given = made
    found = lines(asked, given)
    shares = {name: a.share for name, a in asked.modules.items() if a.share is not None}
    fixed = sum(count for name, count in found.items() if name not in shares)
    long = Fraction(fixed) / (1 - sum(shares.values()))
    for name, part in shares.items():
        assert abs(found[name] - part * long) < 1
    assert abs(sum(found.values()) - long) <= Fraction(1, 2)


@given(mixes())
def test_groups_and_rows_are_exact(made: tuple[AskedMix, dict[str, Usable]]) -> None:
    asked, given = made
    found = lines(asked, given)
    group = asked.groups["g"]
    whole = group.rows or sum(given[name].records for name in group.modules)
    assert sum(found[name] for name in group.modules) == whole
    if "f" not in group.modules:
        assert found["f"] == asked.modules["f"].rows


@given(mixes(), st.randoms())
def test_the_order_of_modules_changes_nothing(
    made: tuple[AskedMix, dict[str, Usable]], chance: Any
) -> None:
    asked, given = made
    items = list(asked.modules.items())
    chance.shuffle(items)
    group = asked.groups["g"]
    turned = Group(modules=group.modules[::-1], temperature=group.temperature, rows=group.rows)
    again = mix(dict(items), groups={"g": turned}, seed=asked.seed)
    assert lines(again, dict(reversed(given.items()))) == lines(asked, given)


@given(
    st.lists(st.integers(1, 60), min_size=1, max_size=6), st.integers(1, 5000), SEEDS
)  # fmt: skip
def test_shares_of_a_told_length_sum_to_it_exactly(
    parts: list[int], length: int, seed: int
) -> None:
    whole = sum(parts)
    shares = (Asked(share=Fraction(part, whole)) for part in parts)
    modules = dict(zip(NAMES, shares, strict=False))
    asked = mix(modules, whole=WholeMix(rows=length), seed=seed)
    found = lines(asked, {name: Usable(records=5000) for name in asked.modules})
    assert sum(found.values()) == length
    for name, amount in asked.modules.items():
        assert amount.share is not None
        assert abs(found[name] - amount.share * length) < 1


@given(st.lists(st.fractions(0, 50), min_size=1, max_size=6), SEEDS)
def test_the_largest_remainders_get_the_lines_left(quotas: list[Fraction], seed: int) -> None:
    named = dict(zip(NAMES, quotas, strict=False))
    found = apportion(named, -(-sum(quotas) // 1), seed)
    raised = {name for name, count in found.items() if count > named[name] // 1}
    remainders = {name: quota % 1 for name, quota in named.items()}
    kept = remainders.keys() - raised
    assert sum(found.values()) == -(-sum(quotas) // 1)
    assert all(remainders[up] >= remainders[down] for up in raised for down in kept)


def test_equal_remainders_go_by_the_seed_and_not_by_the_name() -> None:
    quotas = dict.fromkeys(NAMES, Fraction(1, 6))
    winners = {
        next(name for name, count in apportion(quotas, 1, seed).items() if count)
        for seed in range(60)
    }
    assert len(winners) > 3


@given(mixes(), st.integers(1, 400))
def test_more_rows_leave_the_lines_of_other_fixed_modules(
    made: tuple[AskedMix, dict[str, Usable]], more: int
) -> None:
    asked, given = made
    assume("f" not in asked.groups["g"].modules)
    raised = {**asked.modules, "f": rows((asked.modules["f"].rows or 0) + more)}
    first = lines(asked, given)
    found = solve(mix(raised, groups=asked.groups, seed=asked.seed), given)
    if isinstance(found, tuple):  # then something is over 1,000 lines a record
        return
    assert all(found[name] == first[name] for name in asked.groups["g"].modules)
    assert found["f"] - first["f"] == more
    assert sum(found.values()) >= sum(first.values()) + more


@given(mixes(), st.sampled_from(NAMES), st.decimals(0, 3, places=2))
def test_a_cap_holds_or_is_named(
    made: tuple[AskedMix, dict[str, Usable]], name: str, cap: Decimal
) -> None:
    asked, given = made
    assume(name in asked.modules)
    uncapped = lines(asked, given)
    part = asked.modules[name]
    capped = Asked(rows=part.rows, share=part.share, group=part.group, max_repeat=cap)
    found = solve(mix({**asked.modules, name: capped}, groups=asked.groups, seed=asked.seed), given)
    if uncapped[name] <= Fraction(cap) * given[name].records:
        assert found == uncapped  # a cap that holds decides nothing
    else:
        assert isinstance(found, tuple)
        assert [conflict.path for conflict in found] == [("modules", name, "max_repeat")]


@given(st.integers(0, 10**12), st.decimals("0.01", 1000, places=4))
def test_a_power_is_that_of_the_numbers_to_forty_digits(number: int, temperature: Decimal) -> None:
    with localcontext(prec=7):  # the ambient precision is nobody's business
        found = root(number, temperature)
    if number:
        with localcontext(prec=80):
            exact = (Decimal(number).ln() / temperature).exp()
            told = Decimal(found.numerator) / Decimal(found.denominator)
            assert abs(told / exact - 1) < Decimal("1e-39")
    else:
        assert found == 0


@pytest.mark.parametrize(
    ("temperature", "expected"),
    [("1", {"a": 90, "b": 9, "c": 1}), ("2", {"a": 70, "b": 22, "c": 7}),
     ("1000", {"a": 33, "b": 33, "c": 33})],
)  # fmt: skip
def test_temperature_brings_the_parts_nearer(temperature: str, expected: dict[str, int]) -> None:
    group = Group(modules=("a", "b", "c"), temperature=Decimal(temperature), rows=100)
    found = lines(
        mix(dict.fromkeys("abc", Asked(group="g")), groups={"g": group}),
        usable(a=9000, b=900, c=90),
    )
    assert sum(found.values()) == 100
    assert all(0 <= found[name] - count <= 1 for name, count in expected.items())


def test_a_power_of_a_square_is_exact() -> None:
    assert root(144, Decimal(2)) == 12
    assert root(7, Decimal("0.5")) == 49


def test_tokens_become_the_nearest_number_of_lines_at_the_mean() -> None:
    given = {"a": Usable(records=10, tokens=333)}
    assert lines(mix({"a": Asked(tokens=1000)}), given) == {"a": 30}  # 33.3 a record
    assert lines(mix({"a": Asked(tokens=1017)}), given) == {"a": 31}
    assert lines(mix({"a": Asked(tokens=10)}), given) == {"a": 0}


def test_shares_of_tokens_count_long_rows_for_more() -> None:
    given = {"a": Usable(records=100, tokens=1000), "b": Usable(records=100, tokens=5000)}
    asked = mix(
        {"a": Asked(weight=Decimal(1)), "b": share("50%")}, whole=WholeMix(share_of="tokens")
    )
    assert lines(asked, given) == {"a": 100, "b": 20}
    both = mix(
        {"a": share("1/4"), "b": share("75%")}, whole=WholeMix(share_of="tokens", tokens=4000)
    )
    assert lines(both, given) == {"a": 100, "b": 60}


def test_a_told_length_that_the_others_fit_is_no_contradiction() -> None:
    asked = mix({"a": rows(90), "b": share("10%")}, whole=WholeMix(rows=100))
    assert lines(asked, usable(a=9, b=9)) == {"a": 90, "b": 10}


@pytest.mark.parametrize(
    ("asked", "given", "expected"),
    [
        (mix({"a": share("60%"), "b": share("50%"), "c": rows(1)}), usable(a=1, b=1, c=1),
         ["modules.b.share: the shares sum to 110%, over 100%: modules.a.share 60%, "
          "modules.b.share 50%; lower one of them"]),
        (mix({"a": share("50%"), "b": share("1/2"), "c": rows(1)}), usable(a=1, b=1, c=1),
         ["modules.b.share: the shares sum to 100% and leave nothing to the other modules: "
          "modules.a.share 50%, modules.b.share 50%; lower one"]),
        (mix({"a": share("100%")}), usable(a=1),
         ["modules.a.share: nothing says how long the mix is: every module is a share "
          "(modules.a.share 100%); give another module rows or a weight, or say amounts.rows"]),
        (mix({"a": share("90%")}, whole=WholeMix(rows=10)), usable(a=10),
         ["amounts.rows: the shares sum to 90%, and the rest is nobody's: modules.a.share 90%"]),
        (mix({"a": rows(5)}, whole=WholeMix(rows=5)), usable(a=5),
         ["amounts.rows: no module has a share of it; to check the length of the mix, use "
          "expect.examples"]),
        (mix({"a": share("10%"), "b": rows(9)}, whole=WholeMix(rows=5, share_of="tokens")),
         usable(a=5, b=5),
         ["amounts.rows: shares are of tokens; say amounts.tokens, or share_of: rows"]),
        (mix({"a": share("10%"), "b": rows(50)}, whole=WholeMix(rows=100)), usable(a=50, b=50),
         ["amounts.rows: found 100, but 10% of it beside the 50 lines of the other modules makes "
          "60; remove it, or correct the shares: modules.a.share 10%"]),
        (mix({"a": share("10%"), "b": rows(50)}, whole=WholeMix(tokens=9, share_of="tokens")),
         usable(a=50, b=50),
         ["amounts.tokens: says how many tokens the mix has, and so do the modules that are no "
          "shares; remove it, or make every module a share"]),
        (mix({"a": share("10%"), "b": Asked(weight=Decimal("0.1"))}), usable(a=50, b=5),
         ["modules.a.share: nothing says how long the mix is: the modules that are no shares "
          "have no line; raise one of them (modules.a.share 10%)"]),
        (mix({"a": share("10%"), "b": rows(1200), "c": Asked(tokens=3)}), usable(a=0, b=0, c=0),
         ["modules.a.share: it has no usable record to make 10% of the mix from",
          "modules.b.rows: asked for 1,200 rows, and it has no usable record; look at what was "
          "dropped",
          "modules.c.tokens: asked for 3 tokens, and it has no usable record; look at what was "
          "dropped"]),
        (mix({"a": rows(41, max_repeat=Decimal(4)), "b": rows(10_001)}), usable(a=10, b=10),
         ["modules.a.max_repeat: modules.a.rows makes 41 lines of 10 usable records, and "
          "max_repeat 4 allows 40; ask for less, or raise max_repeat",
          "modules.b.max_repeat: modules.b.rows makes 10,001 lines of 10 usable records, and "
          "max_repeat 1000 allows 10,000; ask for less"]),
        (mix({"a": Asked(group="g", max_repeat=Decimal(1)), "b": Asked(group="g")},
             groups={"g": Group(modules=("a", "b"), rows=22)}), usable(a=10, b=10),
         ["modules.a.max_repeat: groups.g makes 11 lines of 10 usable records, and max_repeat 1 "
          "allows 10; ask for less, or raise max_repeat"]),
        (mix({"a": Asked(group="g")}, groups={"g": Group(modules=("a",), rows=22)}), usable(a=0),
         ["groups.g: its modules have no usable record: a"]),
        (mix({"a": Asked(group="g")},
             groups={"g": Group(modules=("a",), temperature=Decimal(0))}), usable(a=5),
         ["groups.g.temperature: found 0, expected a number from 0.01 to 1000"]),
        (mix({"a": Asked(tokens=5)}), {"a": Usable(records=5)},
         ["modules.a.tokens: its usable records hold no token, so no number of lines has any"]),
    ],
)  # fmt: skip
def test_what_cannot_be_had_is_named_with_its_place(
    asked: AskedMix, given: dict[str, Usable], expected: list[str]
) -> None:
    assert told(asked, given) == expected


AMOUNTS = st.one_of(
    st.builds(lambda n: Asked(weight=n), st.decimals("0.01", 3, places=2)),
    st.builds(lambda n, cap: Asked(rows=n, max_repeat=cap), st.integers(1, 99),
              st.none() | st.decimals(0, 9, places=1)),
    st.builds(lambda n: Asked(tokens=n), st.integers(1, 999)),
    st.builds(lambda n: Asked(share=n), st.fractions(Fraction(1, 20), 1, max_denominator=20)),
    st.just(Asked(group="g")),
)  # fmt: skip
USABLE = st.builds(lambda n, tokens: Usable(records=n, tokens=n * tokens),
                   st.integers(0, 60), st.integers(0, 9))  # fmt: skip


@given(
    st.dictionaries(st.sampled_from(NAMES), AMOUNTS, min_size=1),
    st.fixed_dictionaries(dict.fromkeys(NAMES, USABLE)),
    st.builds(WholeMix, rows=st.none() | st.integers(1, 500),
              tokens=st.none() | st.integers(1, 500), share_of=st.sampled_from(["rows", "tokens"])),
    st.builds(lambda t, n: Group(modules=(), temperature=t, rows=n),
              st.decimals("0.01", 9, places=2), st.none() | st.integers(1, 99)),
)  # fmt: skip
def test_an_answer_keeps_to_all_that_was_asked_or_there_is_none(
    modules: dict[str, Asked], given: dict[str, Usable], whole: WholeMix, group: Group
) -> None:
    members = tuple(name for name, asked in modules.items() if asked.group)
    made = Group(modules=members, temperature=group.temperature, rows=group.rows)
    asked = mix(modules, groups={"g": made} if members else {}, whole=whole)
    found = solve(asked, given)
    if isinstance(found, tuple):
        assert found
        return
    assert found.keys() == modules.keys()
    length = sum(found.values())
    for name, part in modules.items():
        count, records = found[name], given[name].records
        if part.weight is not None:
            assert count == int(Fraction(part.weight) * records)
        if part.rows is not None:
            assert count == part.rows
        if part.tokens is not None:
            mean = Fraction(given[name].tokens, records)
            assert abs(count * mean - part.tokens) <= mean / 2
        if part.share is not None and whole.share_of == "rows":
            assert abs(count - part.share * length) < 1 + part.share
        assert count <= Fraction(part.max_repeat or (0 if part.max_repeat == 0 else 1000)) * records
    if members:
        wanted = made.rows or sum(given[name].records for name in members)
        assert sum(found[name] for name in members) == wanted
    if asked.has_shares and whole.share_of == "rows" and whole.rows is not None:
        assert length == whole.rows


@given(st.lists(st.integers(1, 100), min_size=2, max_size=6))
def test_shares_over_the_whole_never_pass(parts: list[int]) -> None:
    assume(sum(parts) > 100)
    modules = {
        name: Asked(share=Fraction(part, 100)) for name, part in zip(NAMES, parts, strict=False)
    }
    asked = mix({**modules, "x": rows(5)})
    assert [type(conflict) for conflict in contradictions(asked)] == [Conflict]
    assert isinstance(solve(asked, {name: Usable(records=9) for name in asked.modules}), tuple)


@pytest.mark.parametrize(
    ("text", "number"), [(500, 500), ("500", 500), ("20k", 20_000), ("1.5M", 1_500_000),
                         ("2B", 2 * 10**9), ("0.0001k", Fraction(1, 10))],
)  # fmt: skip
def test_quantities_have_letters_for_thousands(text: Any, number: Fraction) -> None:
    assert quantity(text) == number


@given(st.fractions(0, 1))
def test_a_share_comes_back_from_its_text(part: Fraction) -> None:
    assert share_of_text(share_text(part)) == part


@pytest.mark.parametrize(
    ("text", "canonical"), [("10.0%", "10%"), ("1/10", "10%"), ("2/6", "1/3"), ("0.5%", "0.5%")]
)
def test_a_share_is_written_in_one_way(text: str, canonical: str) -> None:
    assert share_text(share_of_text(text)) == canonical

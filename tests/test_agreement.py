"""Cohen's kappa against values worked out elsewhere, and what must always hold of it."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from teapot.agreement import agreement, cohen_kappa

_PAIRS = st.lists(st.tuples(st.sampled_from("kde"), st.sampled_from("kde")), max_size=30)


def _table(both: int, first: int, second: int, none: int) -> list[tuple[str, str]]:
    """Return the pairs of a two by two table."""
    return [
        *[("yes", "yes")] * both, *[("yes", "no")] * first, *[("no", "yes")] * second,
        *[("no", "no")] * none,
    ]  # fmt: skip


def test_two_tables_of_equal_agreement_have_the_kappas_they_are_known_for() -> None:
    # 60 of 100 agreed in both; p_e is 0.54 in the first and 0.46 in the second.
    assert cohen_kappa(_table(45, 15, 25, 15)) == Fraction(6, 46)
    assert cohen_kappa(_table(25, 35, 5, 35)) == Fraction(14, 54)
    assert agreement(("a", "b"), _table(20, 5, 10, 15)).kappa == "0.400"


def test_where_chance_alone_agrees_always_there_is_no_kappa() -> None:
    assert cohen_kappa([]) is None
    assert cohen_kappa([("keep", "keep")] * 5) is None


@given(_PAIRS)
def test_kappa_is_the_same_both_ways_and_one_where_all_agree(pairs: list[tuple[str, str]]) -> None:
    kappa = cohen_kappa(pairs)
    assert kappa == cohen_kappa([(two, one) for one, two in pairs])
    if kappa is not None:
        assert -1 <= kappa <= 1
        assert (kappa == 1) == all(one == two for one, two in pairs)

"""From verdicts to decisions: whose word stands, and what is a conflict."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from teapot.model.verdict import Verdict
from teapot.verdicts import settle
from tests.support.verdicts import verdict

_A, _B = "aa" * 32, "bb" * 32
_LINES = st.lists(
    st.builds(
        verdict, st.sampled_from([_A, _B]), st.sampled_from(["keep", "drop"]),
        st.sampled_from(["ada", "bob", "cyd"]),
        supersedes=st.lists(st.sampled_from(["ada", "bob", "cyd"]), max_size=3),
    ),
    max_size=12,
)  # fmt: skip


def of(*lines: dict[str, object]) -> list[Verdict]:
    return [Verdict.from_dict(line) for line in lines]


def test_reviewers_who_agree_are_both_named_with_their_reasons() -> None:
    found = settle(of(verdict(_A, "drop", "ada", reason="x"), verdict(_A, "drop", "bob")))
    assert found.decisions[_A].told("local:v1") == "drop by ada, bob (local:v1): x"
    assert found.conflicts == ()


def test_a_reviewers_later_word_stands_for_their_earlier_one() -> None:
    found = settle(of(verdict(_A, "drop"), verdict(_A, "keep")))
    assert found.decisions[_A].verdict == "keep"


def test_two_edits_that_differ_are_a_conflict() -> None:
    turns = [[{"role": "user", "content": text}] for text in "xy"]
    lines = [
        verdict(_A, "edit", name, messages=turn) for name, turn in zip("ab", turns, strict=True)
    ]
    assert len(settle(of(*lines)).conflicts) == 1


def test_a_later_verdict_of_who_was_superseded_is_a_conflict_again() -> None:
    lines = [verdict(_A, "drop", "ada"), verdict(_A, "keep", "bob", supersedes=["ada"])]
    assert settle(of(*lines)).decisions[_A].reviewers == ("bob",)
    assert settle(of(*lines, verdict(_A, "drop", "ada"))).conflicts


@given(_LINES)
def test_every_record_is_decided_or_in_conflict_and_the_last_word_counts(
    lines: list[dict[str, object]],
) -> None:
    found = settle(of(*lines))
    keys = {str(line["content_digest"]) for line in lines}
    conflicting = {conflict.key for conflict in found.conflicts}
    assert found.decisions.keys() | conflicting == keys
    assert not found.decisions.keys() & conflicting
    for key in keys:
        last = [line for line in lines if line["content_digest"] == key][-1]
        if key in found.decisions:
            assert found.decisions[key].verdict == last["verdict"]
            assert last["reviewer"] in found.decisions[key].reviewers


@given(_LINES)
def test_a_line_that_supersedes_all_leaves_no_conflict(lines: list[dict[str, object]]) -> None:
    last = [verdict(key, "drop", "dan", supersedes=["ada", "bob", "cyd"]) for key in (_A, _B)]
    assert settle(of(*lines, *last)).conflicts == ()

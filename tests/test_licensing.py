from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import license_expression
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from teapot import licensing
from teapot.licensing import LicensePolicy, LicenseVerdict, SpdxExpression, parse_license
from teapot.model.record import Fault

ALL, MIT = LicensePolicy(None), LicensePolicy(["MIT"])
WORDS = [
    "MIT", "Apache-2.0", "GPL-2.0+", "LicenseRef-own", "unknown", "Classpath-exception-2.0", "WITH",
    "AND", "OR", "(", ")", "+", ":", ",",
]  # fmt: skip


def _allows(policy: LicensePolicy, text: object) -> bool:
    verdict = policy.judge(text)
    return isinstance(verdict, LicenseVerdict) and verdict.allowed


@pytest.mark.parametrize("missing", [None, "", " \n", 0, False, 5, [], ["MIT"], {"id": "MIT"}])
def test_a_missing_licence_is_a_fault_whatever_is_allowed(missing: object) -> None:
    for policy in (ALL, MIT, LicensePolicy([str(missing)])):
        verdict = policy.judge(missing)
        assert isinstance(verdict, Fault)
        assert verdict.code == "license-missing"


@pytest.mark.parametrize(
    "text",
    [
        "unknown", "Unknown", "UNKNOWN", "NOASSERTION", "NONE", "other", "proprietary", "mixed",
        "all", "free", "public-domain", "Apache 2.0", "MIT License", "MIT/Apache-2.0",
        "MIT, Apache-2.0", "MIT OR unknown", "MIT AND NOASSERTION", "MIT WITH unknown", "MIT OR",
        "(MIT", "MIT)", "AND", "licenseref-own", "LicenseRef-", "LicenseRef-a b",
        "https://opensource.org/licenses/MIT",
    ],
)  # fmt: skip
def test_what_is_no_spdx_expression_is_a_fault_even_where_it_is_listed(text: str) -> None:
    for policy in (ALL, MIT, LicensePolicy([text])):
        verdict = policy.judge(text)
        assert isinstance(verdict, Fault)
        assert verdict.code == "license-unknown"


@pytest.mark.parametrize(
    "text",
    ["Classpath-exception-2.0", "MIT OR Classpath-exception-2.0", "MIT WITH Apache-2.0",
     "MIT WITH LicenseRef-own"],
)  # fmt: skip
def test_an_exception_is_no_licence_and_a_licence_no_exception(text: str) -> None:
    assert isinstance(parse_license(text), Fault)


@pytest.mark.parametrize("text", ["LicenseRef-Apache", "LicenseRef-MIT-Discord", "LicenseRef-AGPL"])
def test_a_licence_ref_is_never_taken_for_a_licence_of_the_list(text: str) -> None:
    parsed = parse_license(text)
    assert not isinstance(parsed, SpdxExpression) or parsed.text == text
    assert not _allows(ALL, text)


@example("()")
@example("( AND MIT")
@example("(" * 5000)
@settings(deadline=None)
@given(st.text() | st.lists(st.sampled_from(WORDS)).map(" ".join))
def test_any_text_is_either_an_expression_or_a_fault(text: str) -> None:
    parsed = parse_license(text)
    if isinstance(parsed, SpdxExpression):
        assert parse_license(parsed.text) == parsed


@pytest.mark.parametrize(
    ("written", "normal"),
    [
        ("mit", "MIT"), (" MIT\n", "MIT"), ("apache-2.0", "Apache-2.0"),
        ("GPL-3.0", "GPL-3.0-only"), ("GPL-2.0+", "GPL-2.0-or-later"), ("cc-by-4.0", "CC-BY-4.0"),
        ("mit or apache-2.0", "MIT OR Apache-2.0"), ("LicenseRef-own", "LicenseRef-own"),
        ("gpl-2.0-only with classpath-exception-2.0", "GPL-2.0-only WITH Classpath-exception-2.0"),
    ],
)  # fmt: skip
def test_a_licence_is_written_in_its_normal_spelling(written: str, normal: str) -> None:
    parsed = parse_license(written)
    assert isinstance(parsed, SpdxExpression)
    assert parsed.text == normal


def test_the_policy_itself_may_be_written_in_any_spelling() -> None:
    assert _allows(LicensePolicy(["apache-2.0", "gpl-3.0"]), "Apache-2.0")
    assert _allows(LicensePolicy(["gpl-3.0"]), "GPL-3.0-only")


@pytest.mark.parametrize(
    ("text", "by_all", "by_mit", "by_own"),
    [
        ("MIT", True, True, False),
        ("Apache-2.0", True, False, False),
        ("MIT OR Apache-2.0", True, True, False),
        ("MIT AND Apache-2.0", True, False, False),
        ("LicenseRef-own", False, False, True),
        ("LicenseRef-other", False, False, False),
        ("MIT OR LicenseRef-own", True, True, True),
        ("MIT AND LicenseRef-own", False, False, False),
        ("GPL-2.0-only WITH Classpath-exception-2.0", True, False, False),
        ("LicenseRef-own WITH Classpath-exception-2.0", False, False, False),
    ],
)
def test_who_lets_what_in(text: str, by_all: bool, by_mit: bool, by_own: bool) -> None:
    own = LicensePolicy(["LicenseRef-own"])
    assert (_allows(ALL, text), _allows(MIT, text), _allows(own, text)) == (by_all, by_mit, by_own)


def test_an_exception_must_be_allowed_together_with_its_licence() -> None:
    text = "GPL-2.0-only WITH Classpath-exception-2.0"
    assert _allows(LicensePolicy([text]), text)
    assert not _allows(LicensePolicy(["GPL-2.0-only"]), text)
    assert not _allows(LicensePolicy([text]), "GPL-2.0-only")


class Expression(NamedTuple):
    """An expression, and the sets of licences of which one must be wholly allowed."""

    text: str
    ways: frozenset[frozenset[str]]


def _either(left: Expression, right: Expression) -> Expression:
    return Expression(f"({left.text} OR {right.text})", left.ways | right.ways)


def _both(left: Expression, right: Expression) -> Expression:
    ways = frozenset(one | other for one in left.ways for other in right.ways)
    return Expression(f"({left.text} and {right.text})", ways)


IDS = st.sampled_from(["MIT", "Apache-2.0", "CC0-1.0", "LicenseRef-own"])
EXPRESSIONS = st.recursive(
    IDS.map(lambda name: Expression(name, frozenset([frozenset([name])]))),
    lambda part: st.builds(_either, part, part) | st.builds(_both, part, part),
    max_leaves=6,
)


@settings(deadline=None)
@given(EXPRESSIONS, st.sets(IDS))
def test_either_of_or_and_all_of_and_must_be_allowed(
    expression: Expression, allowed: set[str]
) -> None:
    expected = any(way <= allowed for way in expression.ways)
    assert _allows(LicensePolicy(allowed), expression.text) == expected


def test_an_empty_list_lets_nothing_in() -> None:
    assert not _allows(LicensePolicy([]), "MIT")


def test_a_misspelt_licence_is_answered_with_its_neighbour() -> None:
    fault = parse_license("Apache-2")
    assert isinstance(fault, Fault)
    assert "did you mean Apache-2.0?" in fault.words


def test_threads_that_judge_the_first_licences_at_once_all_judge(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tokenizer = license_expression.AdvancedTokenizer
    finish = tokenizer.make_automaton

    def finish_late(self: Any) -> None:
        time.sleep(0.1)
        finish(self)

    licensing._parse.cache_clear()
    licensing._licensing.cache_clear()
    licensing._licensing()
    monkeypatch.setattr(tokenizer, "make_automaton", finish_late)
    texts = ["MIT", "GPL-3.0-only OR MIT", "MIT AND ISC"]
    with ThreadPoolExecutor(len(texts)) as pool:
        verdicts = list(pool.map(LicensePolicy(None).judge, texts))
    assert verdicts == [LicenseVerdict(text, True) for text in texts]

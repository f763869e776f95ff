"""Planted data is of tests/support/planted.py; all of it is invented."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from teapot.findings import redacted
from teapot.personaldata import PersonalScanner, is_card
from tests.support.planted import LOOK_ALIKES, PERSONAL

SCANNER = PersonalScanner()


@pytest.mark.parametrize("kind", PERSONAL)
def test_datum_is_found_by_its_kind_and_cut_out_whole(kind: str) -> None:
    text = f"é before {PERSONAL[kind]}. After"
    found = list(SCANNER.findings(text))
    assert [(one.kind, one.reason) for one in found] == [(kind, "personal-data")]
    assert redacted(text, found) == f"é before [REDACTED:{kind}]. After"


@pytest.mark.parametrize("text", LOOK_ALIKES)
def test_look_alike_is_no_finding(text: str) -> None:
    assert list(SCANNER.findings(text)) == []


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("mail <jan@dilna.cz>, or jan@dilna.cz.", "mail <[REDACTED:email]>, or [REDACTED:email]."),
        ("mailto:o'neil+tea@mail.dilna.co.uk?x", "mailto:[REDACTED:email]?x"),
        ("邮箱jan@dilna.cz。", "邮箱[REDACTED:email]。"),
        ("müller@käse-laden.de", "[REDACTED:email]"),
        ("jan@notexample.com", "[REDACTED:email]"),
        ("CZ6508000000192000145399 IBAN", "[REDACTED:iban] IBAN"),
        ("CZ65 0800 0000 1920 0014 5399 THE END", "[REDACTED:iban] THE END"),
        ("tel:+420777123456;", "tel:[REDACTED:phone];"),
        ("4539-1488-0343-6467", "[REDACTED:card]"),
        ("卡号4539148803436467。", "卡号[REDACTED:card]。"),
        ("+1 (650) 253-0000 x", "[REDACTED:phone] x"),
    ],
)
def test_datum_ends_where_it_ends(text: str, left: str) -> None:
    assert redacted(text, SCANNER.findings(text)) == left


@given(st.integers(0, 10**10 - 1), st.integers(0, 9))
def test_one_of_ten_last_digits_makes_a_card(number: int, last: int) -> None:
    head = f"45391{number:010d}"
    valid = [digit for digit in range(10) if is_card(f"{head}{digit}")]
    assert len(valid) == 1
    assert is_card(f"{head}{last}") == (last == valid[0])


@given(
    st.lists(st.sampled_from([*PERSONAL.values(), "word", " ", "\n", "A", "7", "@"]), max_size=6)
)
def test_redacted_text_has_nothing_left(words: list[str]) -> None:
    text = " | ".join(words)
    assert list(SCANNER.findings(redacted(text, SCANNER.findings(text)))) == []


@given(st.text("ab.@-+1 Z0", max_size=400))
def test_any_text_is_scanned(text: str) -> None:
    assert all(0 <= one.start < one.end <= len(text) for one in SCANNER.findings(text))

"""Which licences cannot be combined, and that a mix of them is told or refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import teapot
from teapot.errors import DataError
from teapot.licenseconflicts import MOST_PAIRS, license_conflicts, unknown_licenses
from teapot.licenseterms import license_data
from tests.support.compositions import compose
from tests.support.project import chat_rows, write_config, write_module

IDS = sorted(license_data().licenses)


def _conflict(*texts: str) -> list[tuple[str, ...]]:
    return [found.licenses for found in license_conflicts(dict.fromkeys(texts, ("m",)))]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("CC-BY-SA-4.0", "CC-BY-NC-4.0"), ("CC-BY-SA-4.0", "CC-BY-NC-SA-4.0"),
        ("GPL-2.0-only", "Apache-2.0"), ("GPL-2.0-only", "GPL-3.0-only"),
        ("GPL-2.0-only", "GPL-3.0-or-later"), ("CC-BY-SA-4.0", "ODbL-1.0"),
        ("CDLA-Sharing-1.0", "ODbL-1.0"), ("GPL-3.0-only", "BSD-4-Clause"),
        ("CC-BY-NC-4.0", "ODbL-1.0"), ("GPL-2.0-only", "CC-BY-SA-4.0"),
        ("MIT AND CC-BY-SA-4.0", "CC-BY-NC-4.0"), ("GPL-2.0-only", "CC-BY-SA-1.0"),
        ("GPL-2.0-only OR CC-BY-NC-4.0", "ODbL-1.0"),
    ],
)  # fmt: skip
def test_what_cannot_be_combined(one: str, other: str) -> None:
    assert _conflict(one, other) == [tuple(sorted((one, other)))]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("MIT", "Apache-2.0"), ("MIT", "GPL-2.0-only"), ("Apache-2.0", "GPL-3.0-only"),
        ("Apache-2.0", "GPL-2.0-or-later"), ("GPL-2.0-or-later", "GPL-3.0-only"),
        ("CC-BY-SA-3.0", "CC-BY-SA-4.0"), ("CC-BY-SA-4.0", "GPL-3.0-only"),
        ("CC-BY-NC-4.0", "CC-BY-NC-SA-4.0"), ("CC-BY-NC-4.0", "MIT"), ("CC0-1.0", "ODbL-1.0"),
        ("CC-BY-4.0", "CC-BY-SA-4.0"), ("LGPL-2.1-only", "GPL-3.0-only"),
        ("GPL-2.0-only OR Apache-2.0", "GPL-3.0-only"), ("LicenseRef-x", "CC-BY-SA-4.0"),
        ("LicenseRef-x OR MIT", "GPL-2.0-only"), ("AGPL-3.0-only", "GPL-3.0-only"),
    ],
)  # fmt: skip
def test_what_can_be_combined_or_is_not_known_is_not_told(one: str, other: str) -> None:
    assert _conflict(one, other) == []


@given(st.lists(st.sampled_from(IDS), min_size=1, max_size=5, unique=True), st.randoms())
def test_conflicts_do_not_hang_on_the_order(texts: list[str], chance: object) -> None:
    assert sorted(_conflict(*texts)) == sorted(_conflict(*reversed(texts)))
    one = _conflict(texts[0])
    assert bool(one) == ("no-derivatives" in license_data().licenses[texts[0]].terms)


@given(st.sampled_from(IDS), st.sampled_from(IDS), st.sampled_from(IDS))
def test_another_licence_takes_no_conflict_away(one: str, other: str, third: str) -> None:
    before, after = _conflict(one, other), _conflict(one, other, third)
    assert set(before) <= set(after)


def test_thousands_of_licences_are_told_in_time_and_in_few_words() -> None:
    free, bound = (f"MIT AND LicenseRef-{n}" for n in range(2)), (f"ODbL-1.0 AND {i}" for i in IDS)
    pairs = [f"{one} OR {other}" for one in IDS for other in IDS[:20]]
    found = _conflict(*free, *bound, *pairs)
    assert MOST_PAIRS <= len(found) <= MOST_PAIRS + len(IDS)


def test_three_that_go_only_in_twos_are_told_as_three() -> None:
    texts = ("CC-BY-SA-4.0", "GPL-3.0-only OR LAL-1.3", "GPL-3.0-only OR ODbL-1.0")
    assert _conflict(*texts) == []
    texts = ("CC-BY-SA-4.0", "GPL-3.0-only OR ODbL-1.0", "LAL-1.3 OR ODbL-1.0")
    assert _conflict(*texts) == [texts]


def test_what_the_data_does_not_know_is_known_to_be_unknown() -> None:
    used = {"LicenseRef-x": ("m",), "MIT": ("m",), "MIT OR LicenseRef-y": ("m",)}
    assert [found.licenses for found in unknown_licenses(used)] == [("LicenseRef-x",)]


def _project(folder: Path, licenses: dict[str, str], conflicts: str) -> Path:
    for name, text in licenses.items():
        write_module(folder, f"t/{name}", chat_rows(name, 3), license=text)
    allowed = {"allowed": sorted(set(licenses.values())), "conflicts": conflicts}
    return write_config(folder, {f"t/{name}": 1 for name in licenses}, license=allowed)


def test_a_conflict_is_a_warning_with_its_modules_or_an_error(tmp_path: Path) -> None:
    licenses = {"a": "CC-BY-SA-4.0", "b": "CC-BY-NC-4.0", "c": "CC-BY-NC-4.0", "d": "MIT"}
    [told] = teapot.plan(_project(tmp_path, licenses, "warn")).report.warnings
    assert told.startswith("licences: CC-BY-NC-4.0 (t/b, t/c) with CC-BY-SA-4.0 (t/a): the licence")
    config = _project(tmp_path, licenses, "fail")
    for use in (teapot.plan, compose):
        with pytest.raises(DataError, match=r"mix\.config:1: license\.conflicts: licences: CC-BY-"):
            use(config)
    assert not (tmp_path / "mix.jsonl").exists()


def test_an_unknown_licence_fails_where_conflicts_do(tmp_path: Path) -> None:
    licenses = {"a": "LicenseRef-x", "b": "CC-BY-SA-4.0"}
    assert teapot.plan(_project(tmp_path, licenses, "warn")).report.warnings == ()
    with pytest.raises(DataError, match=r"LicenseRef-x \(t/a\): the licence data 1 does not know"):
        teapot.plan(_project(tmp_path, licenses, "fail"))


def test_a_mix_without_conflicts_has_the_same_bytes_either_way(tmp_path: Path) -> None:
    made = []
    for conflicts in ("warn", "fail"):
        config = _project(tmp_path, {"a": "MIT", "b": "CC-BY-SA-4.0"}, conflicts)
        made.append(compose(config).manifest_sha256)
    assert made[0] == made[1]

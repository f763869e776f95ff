"""The licence data says what it can be asked, and profiles let in nothing that it does not know."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import teapot
from teapot.canonical import dumps
from teapot.digest import sha256_hex
from teapot.errors import BadRowsError, ConfigError
from teapot.licenseterms import PROFILES, license_data, passing
from teapot.licensing import LicensePolicy, LicenseVerdict, SpdxExpression, parse_license
from teapot.model.record import Fault
from teapot.model.verification import Status
from teapot.usecases.verify import VerifyOptions, verify
from tests.support.compositions import compose, restate
from tests.support.project import chat_rows, write_config, write_module

DATA = license_data()
IDS = sorted(DATA.licenses)


def _said(profile: tuple[str, ...], text: str, *named: str) -> bool | str:
    verdict = LicensePolicy(named, profile).judge(text)
    return verdict.allowed if isinstance(verdict, LicenseVerdict) else verdict.code


@pytest.mark.parametrize("identity", IDS)
def test_the_data_speaks_of_spdx_ids_and_explains_every_term(identity: str) -> None:
    terms = DATA.licenses[identity]
    parsed = parse_license(identity)
    assert isinstance(parsed, SpdxExpression)
    assert parsed.text == identity
    assert terms.terms <= set(DATA.terms)
    assert terms.name
    assert terms.also | terms.not_under <= set(IDS) - {identity}
    assert not (terms.also and "share-alike" not in terms.terms)


@pytest.mark.parametrize("identity", [i for i in IDS if i.startswith("CC-")])
def test_a_creative_commons_id_spells_its_terms(identity: str) -> None:
    words = set(identity.split("-"))
    named = {
        "BY": "attribution", "SA": "share-alike", "NC": "non-commercial", "ND": "no-derivatives",
    }  # fmt: skip
    asked = {term for word, term in named.items() if word in words}
    assert DATA.licenses[identity].terms & set(named.values()) == asked


def test_a_deprecated_id_has_a_successor_that_is_valid() -> None:
    for old, new in DATA.deprecated.items():
        parsed = parse_license(new)
        assert isinstance(parsed, SpdxExpression)
        assert parsed.text == new
        read = parse_license(old)
        assert isinstance(read, Fault) == ("WITH" in new)
        assert (new in read.hint) if isinstance(read, Fault) else read.text == new


def test_the_data_is_laid_out_for_readers() -> None:
    written = files("teapot").joinpath("licenses.json").read_text(encoding="utf-8")
    names = re.findall(r'^    "([^"]+)": \{', written, flags=re.MULTILINE)
    assert names == sorted(names, key=str.lower)
    assert sorted(names) == IDS


@pytest.mark.parametrize("profile", sorted(PROFILES))
def test_what_forbids_derivatives_passes_no_profile(profile: str) -> None:
    assert not [identity for identity in passing([profile]) if "ND" in identity.split("-")]
    assert {"MIT", "CC0-1.0", "CC-BY-4.0", "ODC-By-1.0", "Apache-2.0"} <= passing([profile])


def test_profiles_are_what_they_are_called() -> None:
    assert passing(["permissive"]) == passing(["commercial", "no-sharealike"])
    assert "GPL-3.0-only" in passing(["commercial"])
    assert "CC-BY-NC-4.0" in passing(["no-sharealike"])
    assert not {"CC-BY-NC-4.0", "CC-BY-SA-4.0", "ODbL-1.0"} & passing(["permissive"])
    assert passing([]) == frozenset()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("MIT", True), ("CC-BY-SA-4.0", False), ("MIT OR GPL-3.0-only", True),
        ("MIT AND GPL-3.0-only", False), ("LicenseRef-x", "license-unprofiled"),
        ("MIT OR LicenseRef-x", True), ("GPL-3.0-only OR LicenseRef-x", "license-unprofiled"),
        ("MIT AND LicenseRef-x", "license-unprofiled"), ("GPL-3.0-only AND LicenseRef-x", False),
        ("NASA-1.3", "license-unprofiled"), ("unknown", "license-unknown"),
        ("Apache-2.0 WITH LLVM-exception", "license-unprofiled"),
    ],
)  # fmt: skip
def test_a_profile_judges_expressions_and_fails_closed(text: str, said: bool | str) -> None:
    assert _said(("permissive",), text) == said


def test_what_is_named_enters_beside_a_profile() -> None:
    named = ("LicenseRef-x", "CC-BY-SA-4.0", "Apache-2.0 WITH LLVM-exception")
    for text in named:
        assert _said(("permissive",), text, *named) is True
    assert _said(("permissive",), "LicenseRef-y", *named) == "license-unprofiled"


@given(st.sets(st.sampled_from(sorted(PROFILES)), min_size=1), st.sampled_from(IDS))
def test_several_profiles_let_in_what_each_lets_in(profiles: set[str], identity: str) -> None:
    each = all(identity in passing([profile]) for profile in profiles)
    assert (identity in passing(profiles)) == each
    assert _said(tuple(sorted(profiles)), identity) is each


def _one_module(folder: Path, licenses: Sequence[str], **license_: Any) -> Path:
    rows = zip(chat_rows("a", len(licenses)), licenses, strict=True)
    write_module(folder, "t/a", [{**row, "license": text} for row, text in rows])
    return write_config(folder, {"t/a": 1}, license=license_)


def _mix(folder: Path, licenses: dict[str, str], **license_: Any) -> Path:
    for name, text in licenses.items():
        write_module(folder, f"t/{name}", chat_rows(name, 3), license=text)
    return write_config(folder, {f"t/{name}": 1 for name in licenses}, license=license_)


def _recipe(made: teapot.Composition) -> dict[str, Any]:
    value = json.loads(made.paths.manifest.read_bytes())
    recipe: dict[str, Any] = value["predicate"]["buildDefinition"]["externalParameters"]["recipe"]
    return recipe


def test_a_profile_drops_what_does_not_pass_and_the_recipe_says_by_what(tmp_path: Path) -> None:
    licenses = ["MIT", "CC-BY-SA-4.0", "LicenseRef-x"]
    config = _one_module(tmp_path, licenses, profile="permissive", allowed=["LicenseRef-x"])
    made = compose(config)
    assert sorted(made.report.licenses) == ["LicenseRef-x", "MIT"]
    recipe = _recipe(made)
    assert recipe["license_profile"] == {
        "data": DATA.version, "named": ["LicenseRef-x"], "profile": ["permissive"],
    }  # fmt: skip
    assert set(recipe["licenses"]) == {"LicenseRef-x", *passing(["permissive"])}


def test_without_a_profile_a_recipe_says_nothing_of_one(tmp_path: Path) -> None:
    made = compose(_mix(tmp_path, {"a": "MIT"}, allowed=["MIT"]))
    assert "license_profile" not in _recipe(made)
    assert _recipe(made)["licenses"] == ["MIT"]


def test_a_licence_of_unknown_terms_fails_the_run_and_is_told_how_to_be_named(
    tmp_path: Path,
) -> None:
    config = _mix(tmp_path, {"a": "MIT", "b": "NASA-1.3"}, profile=["permissive"])
    with pytest.raises(BadRowsError, match=r"name it in license.allowed: \[NASA-1.3\]"):
        teapot.plan(config)


def test_a_deprecated_id_is_told_with_its_successor(tmp_path: Path) -> None:
    config = _mix(tmp_path, {"a": "GPL-3.0"}, allowed=["GPL-3.0"])
    told = "GPL-3.0 is a deprecated SPDX id; it is read as GPL-3.0-only, write that"
    warned = teapot.plan(config).report.warnings
    assert warned == (f"mix.config: {told}", f"t/a: {told}")


def test_a_deprecated_exception_is_refused_with_what_to_write(tmp_path: Path) -> None:
    config = _mix(tmp_path, {"a": "MIT"}, allowed=["GPL-2.0-with-classpath-exception"])
    with pytest.raises(ConfigError, match=r"write GPL-2\.0-only WITH Classpath-exc"):
        teapot.plan(config)


@pytest.mark.parametrize(
    ("license_", "told"),
    [
        ({"profile": "permisive"}, "expected one of permissive, no-sharealike, comm"),
        ({"profile": []}, "profile"),
        ({"profile": "permissive", "allowed": "all"}, "a profile beside allowed: all"),
        ({}, "the key allowed is missing, and so is profile"),
    ],
)
def test_a_profile_that_says_nothing_is_an_error(
    tmp_path: Path, license_: dict[str, Any], told: str
) -> None:
    with pytest.raises(ConfigError, match=told):
        teapot.plan(_mix(tmp_path, {"a": "MIT"}, **license_))


def test_a_recipe_that_lets_in_more_than_its_profile_is_found(tmp_path: Path) -> None:
    made = compose(_mix(tmp_path, {"a": "MIT"}, profile="permissive"))

    def widen(statement: Any) -> None:
        parameters = statement["predicate"]["buildDefinition"]["externalParameters"]
        parameters["recipe"]["licenses"] = ["CC-BY-ND-4.0", *parameters["recipe"]["licenses"]]
        parameters["recipe_sha256"] = sha256_hex(dumps(parameters["recipe"]))

    restate(made, widen)
    [found] = verify(made.paths.manifest, options=VerifyOptions())
    assert found.exit_code == 1
    [told] = [str(result) for result in found.results if result.status == Status.FAULT]
    assert "its licences are not those of the profile permissive" in told


def test_a_mix_by_a_profile_is_made_again_to_the_byte(tmp_path: Path) -> None:
    config = _one_module(tmp_path, ["MIT", "GPL-3.0-only"], profile=["permissive", "commercial"])
    made = compose(config)
    assert made.data.records == 1
    options = VerifyOptions(rebuild=True, config=config)
    [found] = verify(made.paths.manifest, options=options)
    assert found.is_ok, found

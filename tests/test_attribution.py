"""The attribution: who is named, that it is stated and checked, and that names stay names."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import teapot
from teapot.attribution import attribution_of, attribution_text
from teapot.cli.app import run
from teapot.digest import sha256_hex
from teapot.errors import DataError, UsageError
from teapot.model.attribution import AttributedPart
from teapot.model.manifest import Manifest
from teapot.model.verification import Status, Verification
from teapot.usecases.attribute import attribution
from teapot.usecases.verify import VerifyOptions, verify
from tests.support.compositions import compose, manifest_of, restate
from tests.support.project import chat_rows, write_config, write_module

EVIL = "a`|<b>\x1b[2J\u202e\n# x](http://e)"


def _project(folder: Path, **config: Any) -> Path:
    write_module(folder, "t/a", chat_rows("a", 4), maintainer="Ann <ann@example.org>")
    mixed = zip(chat_rows("b", 3), ["MIT", "CC-BY-4.0", "MIT OR LicenseRef-x"], strict=True)
    rows = [{**row, "license": text} for row, text in mixed]
    write_module(folder, "t/b", rows, license="CC-BY-4.0")
    return write_config(folder, {"t/a": 2, "t/b": 1}, **config)


@pytest.fixture
def made(tmp_path: Path) -> teapot.Composition:
    return compose(_project(tmp_path, output={"attribution": True}))


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return manifest_of(compose(_project(tmp_path_factory.mktemp("mix"))))


def _checked(made: teapot.Composition, **options: Any) -> Verification:
    [found] = verify(made.paths.manifest, options=VerifyOptions(**options))
    return found


def _status(found: Verification, name: str) -> list[Status]:
    return [result.status for result in found.results if result.name == name]


def test_it_names_licences_obligations_and_people(made: teapot.Composition) -> None:
    text = made.paths.attribution.read_text(encoding="utf-8")
    assert made.paths.attribution.name == "mix.ATTRIBUTION.md"
    for told in (
        "# Attribution\n\nThe data file `mix.jsonl` holds 11 records",
        "## `CC-BY-4.0`\n\n1 record, ",
        "Creative Commons Attribution 4.0 International (`CC-BY-4.0`): "
        "<https://spdx.org/licenses/CC-BY-4.0.html>\n\n- attribution: Name the authors",
        "Sources:\n\n- `t/a` `1`, source `t-a`: 8 records\n  - from `t-a.jsonl`, SHA-256 `",
        "  - maintained by `Ann <ann@example.org>`",
        "- `t/b` `1`, source `t-b`: 1 record\n",
        "  - these rows name the licence themselves; declared is `CC-BY-4.0`",
        "`LicenseRef-x`; what it asks is not in the licence data",
    ):
        assert told in text


def test_the_manifest_states_it_and_adds_up(made: teapot.Composition) -> None:
    statement = json.loads(made.paths.manifest.read_bytes())["predicate"]
    stated = statement["teapot_composition"]["attribution"]
    digest = sha256_hex(made.paths.attribution.read_bytes())
    assert statement["runDetails"]["byproducts"] == [
        {"name": "mix.ATTRIBUTION.md", "digest": {"sha256": digest}}
    ]
    assert (stated["name"], stated["sha256"]) == ("mix.ATTRIBUTION.md", digest)
    assert stated["maintainers"] == {"t/a": "Ann <ann@example.org>"}
    assert [tuple(part.values()) for part in stated["parts"]] == [
        ("CC-BY-4.0", 1, "t/b", "t-b"), ("MIT", 8, "t/a", "t-a"), ("MIT", 1, "t/b", "t-b"),
        ("MIT OR LicenseRef-x", 1, "t/b", "t-b"),
    ]  # fmt: skip
    found = _checked(made)
    assert found.is_ok
    assert _status(found, "attribution") == [Status.OK]


def test_it_comes_from_the_manifest_alone(made: teapot.Composition) -> None:
    text = made.paths.attribution.read_text(encoding="utf-8")
    for target in (made.paths.manifest, made.paths.data, made.paths.attribution):
        assert attribution(target) == text
    assert attribution_of(manifest_of(made)) == text


def test_a_mix_without_one_has_the_same_data_and_says_nothing_of_it(
    made: teapot.Composition, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    plain = compose(_project(other))
    assert plain.data.sha256 == made.data.sha256
    assert plain.recipe_sha256 == made.recipe_sha256
    assert not plain.paths.attribution.exists()
    assert b"ttribution" not in plain.paths.manifest.read_bytes()
    assert b"byproducts" not in plain.paths.manifest.read_bytes()
    assert _status(_checked(plain), "attribution") == []
    assert "t-a`: records not counted" in attribution(plain.paths.manifest)


def test_the_commands_write_and_print_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = str(_project(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert run(["compose", config, "--attribution", "--no-sign"]) == 0
    assert "credits   mix.ATTRIBUTION.md" in capsys.readouterr().out
    assert run(["attribution", "mix.jsonl"]) == 0
    assert capsys.readouterr().out == Path("mix.ATTRIBUTION.md").read_text(encoding="utf-8")
    assert run(["attribution", "."]) == 0
    assert run(["attribution", "none.jsonl"]) == 2


def test_an_altered_one_is_a_fault_and_a_missing_one_is_told(made: teapot.Composition) -> None:
    path = made.paths.attribution
    path.write_bytes(path.read_bytes().replace(b"Ann", b"Bob"))
    found = _checked(made)
    assert (found.exit_code, _status(found, "attribution")) == (1, [Status.FAULT])
    path.unlink()
    found = _checked(made)
    assert (found.exit_code, _status(found, "attribution")) == (0, [Status.SKIPPED])


def test_a_rebuild_makes_it_again(made: teapot.Composition, tmp_path: Path) -> None:
    assert _checked(made, rebuild=True, config=tmp_path / "mix.config").is_ok
    config = _project(tmp_path)  # which does not ask for it
    assert _checked(made, rebuild=True, config=config).is_ok


def test_it_goes_where_it_is_no_longer_asked_for(made: teapot.Composition, tmp_path: Path) -> None:
    assert made.paths.attribution.exists()
    again = compose(tmp_path / "mix.config", attribution=False)
    assert again.attribution is None
    assert not again.paths.attribution.exists()


def test_what_is_not_ours_is_neither_overwritten_nor_removed(tmp_path: Path) -> None:
    path = tmp_path / "mix.ATTRIBUTION.md"
    path.write_text("mine")
    config = _project(tmp_path)
    compose(config)
    with pytest.raises(UsageError, match=r"mix\.ATTRIBUTION\.md: is there and no manifest tells"):
        compose(config, attribution=True)
    compose(config)
    assert path.read_text() == "mine"


def _other_source(stated: Any) -> None:
    stated["parts"][0]["source"] = "t-a"


def _other_lines(stated: Any) -> None:
    stated["parts"][1]["lines"] = 7


def _other_name(stated: Any) -> None:
    stated["name"] = "../x"


def _other_digest(stated: Any) -> None:
    stated["sha256"] = "0" * 64


@pytest.mark.parametrize("change", [_other_source, _other_lines, _other_name, _other_digest])
def test_a_manifest_that_states_another_is_found(
    made: teapot.Composition, change: Callable[[Any], None]
) -> None:
    restate(made, lambda value: change(value["predicate"]["teapot_composition"]["attribution"]))
    assert _checked(made).exit_code == 1


def test_lines_that_only_the_ledger_knows_better_are_found(tmp_path: Path) -> None:
    sources = [{"id": f"s{n}", "kind": "jsonl", "path": f"s{n}.jsonl"} for n in (1, 2)]
    path = write_module(tmp_path, "t/a", [], sources=sources)
    for number in (1, 2):
        rows = b"".join(json.dumps(r).encode() + b"\n" for r in chat_rows(f"s{number}", number))
        (path.parent / f"s{number}.jsonl").write_bytes(rows)
    made = compose(write_config(tmp_path, {"t/a": 1}), attribution=True)
    assert _checked(made).is_ok

    def swap(value: Any) -> None:
        parts = value["predicate"]["teapot_composition"]["attribution"]["parts"]
        parts[0]["lines"], parts[1]["lines"] = parts[1]["lines"], parts[0]["lines"]

    restate(made, swap)
    found = _checked(made)
    assert _status(found, "conservation") == [Status.FAULT]


def test_a_manifest_that_contradicts_itself_is_not_told_from(made: teapot.Composition) -> None:
    restate(
        made,
        lambda value: _no_source(value["predicate"]["teapot_composition"]["attribution"]),
    )
    with pytest.raises(DataError, match="no source x of t/b was read"):
        attribution(made.paths.manifest)


def _no_source(stated: Any) -> None:
    stated["parts"][0]["source"] = "x"


@given(st.text(min_size=1, max_size=20))
def test_no_name_is_anything_but_a_name(manifest: Manifest, text: str) -> None:
    plain, evil = (_text_of(manifest, name) for name in ("Ann", text))
    assert len(evil.splitlines()) == len(plain.splitlines())


def test_an_evil_name_is_shown_as_what_it_is(manifest: Manifest) -> None:
    [line] = [line for line in _text_of(manifest, EVIL).splitlines() if "maintained by" in line]
    assert "\x1b" not in line and "<b>" not in line and "](http" not in line


def _text_of(manifest: Manifest, maintainer: str) -> str:
    return attribution_text(
        "mix.jsonl", manifest.recipe, manifest.report, maintainers={"t/a": maintainer},
        parts=[AttributedPart(module="t/a", source="t-a", license="MIT", lines=8)],
    )  # fmt: skip

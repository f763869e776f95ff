"""Reading a manifest: what is written comes back the same, and one thing is said in one way."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import teapot
from teapot.canonical import dumps_readable, loads
from teapot.errors import DataError
from teapot.manifestfile import (
    MAX_BYTES,
    number_faults,
    read_manifest,
    recipe_faults,
    stated_recipe_sha256,
)
from teapot.model.manifest import DataFile, LedgerFile, Manifest
from teapot.model.recipe import Recipe, RecipeGroup, RecipeModule, RecipeSource
from teapot.model.report import Amount, ModuleReport
from teapot.names import file_fault
from teapot.schemas import schema_text
from tests.support.compositions import make
from tests.support.project import chat_rows, write_config, write_module


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The bytes of a manifest with some of everything."""
    folder = tmp_path_factory.mktemp("mix")
    prefer = {"policy": "drop", "prefer": ["t/b"]}
    return make(folder, duplicates=prefer, max_bad_rows=3).paths.manifest.read_bytes()


def changed(data: bytes, change: Callable[[Any], object]) -> bytes:
    """Return a manifest that says something else, written as Teapot writes."""
    value = loads(data)
    change(value)
    return dumps_readable(value)


def refusal(data: bytes) -> list[str]:
    with pytest.raises(DataError) as caught:
        read_manifest(data, "mix.manifest.json")
    assert all(problem.where.startswith("mix.manifest.json") for problem in caught.value.problems)
    return [problem.message for problem in caught.value.problems]


def composition(value: Any) -> Any:
    return value["predicate"]["teapot_composition"]


def build(value: Any) -> Any:
    return value["predicate"]["buildDefinition"]


# What comes back.


def test_a_manifest_comes_back_to_the_byte(data: bytes) -> None:
    manifest = read_manifest(data, "mix.manifest.json")
    assert manifest.to_bytes() == data
    assert Manifest.from_dict(manifest.to_dict()) == manifest == Manifest.from_dict(loads(data))
    assert Recipe.from_dict(loads(data)["predicate"]["buildDefinition"]["externalParameters"][
        "recipe"
    ]) == manifest.recipe  # fmt: skip
    assert stated_recipe_sha256(data) == manifest.recipe.sha256()


def test_a_sound_manifest_has_no_faults(data: bytes) -> None:
    manifest = read_manifest(data, "mix.manifest.json")
    assert [*number_faults(manifest), *recipe_faults(manifest)] == []


def test_languages_come_back_and_are_left_out_where_a_module_declares_none(tmp_path: Path) -> None:
    write_module(tmp_path, "t/a", chat_rows("a", 4), languages=["cs", "en"])
    write_module(tmp_path, "t/b", chat_rows("b", 4))
    config = write_config(tmp_path, {"t/a": 1, "t/b": 1})
    data = teapot.compose(config, output=tmp_path / "mix.jsonl").paths.manifest.read_bytes()
    manifest = read_manifest(data, "m")
    assert manifest.to_bytes() == data
    assert [module.languages for module in manifest.recipe.modules] == [("cs", "en"), ()]
    written = build(loads(data))["externalParameters"]["recipe"]["modules"]
    assert ["languages" in module for module in written] == [True, False]

    def empty(value: Any) -> None:
        build(value)["externalParameters"]["recipe"]["modules"][1]["languages"] = []

    (told,) = refusal(changed(data, empty))  # so that there is one way to say it
    assert told == "the list is empty, expected at least one item"


@pytest.mark.parametrize("weight", ["0.30", "1", "3.0000001", "2.0000000001"])
def test_every_weight_comes_back(weight: str, tmp_path: Path) -> None:
    write_module(tmp_path, "t/a", chat_rows("a", 4))
    config = write_config(tmp_path, {"t/a": weight})
    made = teapot.compose(config, output=tmp_path / "mix.jsonl")
    data = made.paths.manifest.read_bytes()
    manifest = read_manifest(data, "m")
    assert manifest.report.modules[0].weight == Decimal(weight)
    assert (manifest.to_bytes(), list(recipe_faults(manifest))) == (data, [])


def test_a_tiny_weight_beside_others_is_no_contradiction(tmp_path: Path) -> None:
    write_module(tmp_path, "t/a", chat_rows("a", 4))
    write_module(tmp_path, "t/b", chat_rows("b", 4))
    config = write_config(tmp_path, {"t/a": "0.0000001", "t/b": 1})
    made = teapot.compose(config, output=tmp_path / "mix.jsonl")
    manifest = read_manifest(made.paths.manifest.read_bytes(), "m")
    assert list(recipe_faults(manifest)) == []


def test_a_recipe_digest_that_is_not_the_recipes_is_for_the_caller_to_judge(data: bytes) -> None:
    other = changed(data, lambda v: build(v)["externalParameters"].update(recipe_sha256="0" * 64))
    assert stated_recipe_sha256(other) == "0" * 64
    assert read_manifest(other, "m") == read_manifest(data, "m")


# Names.


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("C:mix.jsonl", "begins with a drive letter"),
        ("c:\\mix.jsonl", "begins with a drive letter"),
        ("/mix.jsonl", "leads out of its folder"),
        ("../mix.jsonl", "leads out of its folder"),
        ("a/mix.jsonl", "leads out of its folder"),
        ("..\\mix.jsonl", "leads out of its folder"),
        ("", "names no file"),
        (".", "names no file"),
        ("..", "names no file"),
        ("mix\n.jsonl", "holds characters that cannot be seen"),
        ("mix\0.jsonl", "holds characters that cannot be seen"),
        ("mix\u202e.jsonl", "holds characters that cannot be seen"),
        ("mix\u200b.jsonl", "holds characters that cannot be seen"),
        ("cafe\u0301.jsonl", "is not in Unicode's form NFC, so another name could look the same"),
        ("\u212b.jsonl", "is not in Unicode's form NFC, so another name could look the same"),
    ],
)
def test_a_name_that_is_not_that_of_a_file_beside_is_told(name: str, fault: str) -> None:
    assert file_fault(name) == fault


@pytest.mark.parametrize("name", ["mix.jsonl", "čaj.jsonl", "a b.jsonl", ".x.jsonl", "ab:c.jsonl"])
def test_a_name_of_a_file_beside_is_let_through(name: str) -> None:
    assert file_fault(name) is None


@pytest.mark.parametrize(
    ("data_name", "ledger_name", "told"),
    [
        ("C:x.jsonl", None, "the file name 'C:x.jsonl' begins with a drive letter"),
        ("..", None, "the file name '..' names no file"),
        ("mix\u202e.jsonl", None, r"the file name 'mix\u202e.jsonl' holds characters that cannot"),
        ("mix.json", None, "the file name 'mix.json' does not end in .jsonl"),
        (None, "..", "the file name '..' names no file"),
        (None, "other.ledger.parquet", "the ledger is named 'other.ledger.parquet', expected"),
    ],
)
def test_a_manifest_that_names_no_file_beside_it_is_refused(
    data_name: str | None, ledger_name: str | None, told: str, data: bytes
) -> None:
    def rename(value: Any) -> None:
        if data_name is not None:
            value["subject"][0]["name"] = data_name
        if ledger_name is not None:
            composition(value)["ledger"]["name"] = ledger_name

    (found,) = refusal(changed(data, rename))
    assert found.startswith(told)


@pytest.mark.parametrize("name", ["../x.jsonl", "/x.jsonl", "a\\x.jsonl", "x\0.jsonl"])
def test_a_name_with_a_folder_does_not_fit_the_schema(name: str, data: bytes) -> None:
    assert refusal(changed(data, lambda value: value["subject"][0].update(name=name)))


# One way to say it.


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        (b"{\n", b"{ \n", 1),
        (b"{\n", b"\n{\n", 1),
        (b"\n", b"\r\n", 1),
        (b'  "_type"', b'\t"_type"', 2),
        (b'"https://in-toto.io', b'"\\u0068ttps://in-toto.io', 2),
        (b'"https://in-toto.io', b'"https:\\/\\/in-toto.io', 2),
    ],
)
def test_other_white_space_or_escapes_are_refused_with_their_line(
    old: bytes, new: bytes, line: int, data: bytes
) -> None:
    (told,) = refusal(data.replace(old, new, 1))
    assert told.startswith("is not written as Teapot writes a manifest, or says one thing in two")
    assert f" line {line} is " in told


@pytest.mark.parametrize("ending", [b"\n", b" ", b"\n\n"])
def test_another_ending_is_refused(ending: bytes, data: bytes) -> None:
    for other in (data + ending, data.removesuffix(b"\n")):
        (told,) = refusal(other)
        assert told.startswith("is not written as Teapot writes a manifest")


def test_keys_in_another_order_are_refused(data: bytes) -> None:
    value = dict(reversed(json.loads(data).items()))
    (told,) = refusal(json.dumps(value, indent=2, ensure_ascii=False).encode() + b"\n")
    assert " line 2 is '\"" in told


@pytest.mark.parametrize(
    "change",
    [
        lambda v: v["subject"][0]["digest"].update(sha256="0" * 64),
        lambda v: composition(v).update(seed=43),
        lambda v: composition(v)["modules"][0].update(weight="0.50"),
        lambda v: composition(v)["modules"][0].update(weight="00.5"),
        lambda v: build(v)["externalParameters"]["recipe"].update(seed=43),
    ],
)
def test_one_thing_said_in_two_ways_is_refused(
    change: Callable[[Any], object], data: bytes
) -> None:
    (told,) = refusal(changed(data, change))
    assert "says one thing in two ways" in told


@pytest.mark.parametrize("number", ["1.0", "1e0", "true", "-1", '"1"', "null", "1" + "0" * 30])
def test_a_count_that_is_no_plain_number_is_refused(number: str, data: bytes) -> None:
    start = data.index(b'"records": ', data.index(b'"data"')) + len(b'"records": ')
    stop = min(data.index(end, start) for end in (b",", b"\n"))
    assert refusal(data[:start] + number.encode() + data[stop:])


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        (b"", "is not strict JSON: "),
        (b"null", "found nothing, expected a mapping"),
        (b"[]", "found a list, expected a mapping"),
        (b'{"_type": 1, "_type": 1}', "is not strict JSON: "),
        (b"[" * 100_000, "is not strict JSON: "),
        (b'{"a":' * 100_000, "is not strict JSON: "),
        (b'{"_type": NaN}', "is not strict JSON: "),
        (b'{"_type": "\\ud800"}', "is not strict JSON: "),
        (b'{"_type": 1e999}', "is not strict JSON: "),
        (b'{"_type": %b}' % (b"9" * 4000), "is not strict JSON: the integer of thousands of"),
        (b'\xef\xbb\xbf{"_type": 1}', "is not strict JSON: "),
        (b'{"_type": "\xff"}', "is not strict JSON: "),
    ],
    ids=lambda bad: bad[:12],
)
def test_what_is_no_manifest_is_refused_in_words(bad: bytes, told: str) -> None:
    assert refusal(bad)[0].startswith(told)


def test_a_manifest_of_bytes_without_end_is_refused_unread() -> None:
    (told,) = refusal(b"[" * (MAX_BYTES + 1))
    assert told == "has 67,108,865 bytes, expected 67,108,864 at most"


def test_only_the_first_faults_of_many_are_told(data: bytes) -> None:
    many = changed(data, lambda v: v.update({f"more {number}": 1 for number in range(50)}))
    assert len(refusal(many)) == 5


@settings(max_examples=60)
@given(place=st.integers(0, 2**20), bit=st.integers(0, 7))
def test_a_flipped_bit_is_refused_or_another_manifest(place: int, bit: int, data: bytes) -> None:
    altered = bytearray(data)
    altered[place % len(data)] ^= 1 << bit
    try:
        manifest = read_manifest(bytes(altered), "m")
    except DataError:
        return
    assert manifest != read_manifest(data, "m") or stated_recipe_sha256(bytes(altered)) != (
        stated_recipe_sha256(data)
    )


# Sums, and the recipe against the account.


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            lambda c: c["modules"][0].update(read=13),
            "t/a: 13 rows read, but 6 kept, 6 unused and 0",
        ),
        (lambda c: c["modules"][0].update(read=13), "t/a: 13 rows read, but its sources have 12"),
        (lambda c: c["modules"][0].update(read=13), "rows of the ledger: stated 25, the parts sum"),
        (lambda c: c["modules"][0].update(usable=1), "t/a: 1 usable, but 6 kept and 6 unused"),
        (lambda c: c["modules"][1]["dropped"].update(license=1), "t/b: 8 rows read, but 6 kept"),
        (lambda c: c["modules"][0].update(kept=7), "t/a: 12 rows read, but 7 kept, 6 unused and"),
        (lambda c: c["modules"][0].update(unused=7), "t/a: 12 rows read, but 6 kept, 7 unused and"),
        (lambda c: c["modules"][0].update(lines=7), "lines by module: stated 24, the parts sum to"),
        (lambda c: c["licenses"]["MIT"].update(lines=1), "lines by licence: stated 24, the parts"),
        (lambda c: c["modules"][0].update(characters=0), "characters by module: stated "),
        (lambda c: c["licenses"]["MIT"].update(characters=0), "characters by licence: stated "),
        (lambda c: c["data"].update(records=25), "lines by module: stated 25, the parts sum to 24"),
        (lambda c: c["modules"][0].update(cutoff=None), "t/a: a cut-off is stated where nothing"),
        (lambda c: c["modules"][1].update(lines=12, cutoff="ab" * 32), "t/b: a cut-off is stated"),
        (lambda c: c["ledger"].update(rows=26), "rows of the ledger: stated 26, the parts sum to"),
    ],
)
def test_each_sum_that_does_not_add_up_is_told(
    change: Callable[[Any], object], told: str, data: bytes
) -> None:
    manifest = read_manifest(changed(data, lambda v: change(composition(v))), "m")
    assert [fault for fault in number_faults(manifest) if fault.startswith(told)]


def test_a_source_of_other_rows_does_not_add_up(data: bytes) -> None:
    def change(value: Any) -> None:
        build(value)["resolvedDependencies"][0]["annotations"]["rows"] = 1

    manifest = read_manifest(changed(data, change), "m")
    assert list(number_faults(manifest)) == ["t/a: 12 rows read, but its sources have 1"]


def recipe_of(value: Any) -> Any:
    return build(value)["externalParameters"]["recipe"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda v: recipe_of(v)["modules"][0].update(weight="0.6"), "its modules, their versions"),
        (lambda v: recipe_of(v)["modules"][0].update(version="2"), "its modules, their versions"),
        (lambda v: recipe_of(v)["modules"].reverse(), "its modules, their versions"),
        (lambda v: composition(v)["modules"][0].update(version="2"), "its modules, their versions"),
        (lambda v: composition(v)["modules"].pop(), "its modules, their versions"),
        (
            lambda v: recipe_of(v)["modules"][0]["sources"][0].update(sha256="0" * 64),
            "its sources are not those that were read",
        ),
        (
            lambda v: recipe_of(v)["modules"][0]["sources"][0].update(rows=1),
            "its sources are not those that were read",
        ),
        (
            lambda v: recipe_of(v)["modules"][0]["sources"][0].update(revision="1"),
            "its sources are not those that were read",
        ),
        (
            lambda v: build(v)["resolvedDependencies"][0].update(uri="elsewhere"),
            "its sources are not those that were read",
        ),
        (lambda v: build(v)["resolvedDependencies"].pop(), "its sources are not those that were"),
    ],
)
def test_a_recipe_that_is_not_what_was_read_is_told(
    change: Callable[[Any], object], told: str, data: bytes
) -> None:
    manifest = Manifest.from_dict(loads(changed(data, change)))
    assert [fault for fault in recipe_faults(manifest) if fault.startswith(told)]


# The schema.


def _schema(*path: str) -> dict[str, Any]:
    node: dict[str, Any] = json.loads(schema_text("manifest"))
    for part in path:
        node = node["$defs"][part] if part in node.get("$defs", {}) else node["properties"][part]
    return node


_COMPOSITION = ("predicate", "teapot_composition")


@pytest.mark.parametrize(
    ("made", "schema", "others"),
    [
        (Recipe, _schema("recipe"), set()),
        (RecipeModule, _schema("recipeModule"), set()),
        (RecipeSource, _schema("recipeSource"), set()),
        (RecipeGroup, _schema("recipe", "groups")["items"], set()),
        (ModuleReport, _schema(*_COMPOSITION, "modules")["items"], set()),
        (Amount, _schema("amount"), set()),
        (LedgerFile, _schema(*_COMPOSITION, "ledger"), set()),
        (DataFile, _schema(*_COMPOSITION, "data"), {"characters", "tokens"}),
    ],
    ids=lambda part: part.__name__ if isinstance(part, type) else "",
)
def test_a_value_has_exactly_the_fields_of_its_schema(
    made: Any, schema: dict[str, Any], others: set[str]
) -> None:
    fields = {field.name: field.default for field in dataclasses.fields(made)}
    if made is DataFile:
        del fields["name"]  # the subject bears it
    assert fields.keys() | others == set(schema["properties"])
    optional = {name for name, value in fields.items() if value is not dataclasses.MISSING}
    assert optional == set(schema["properties"]) - set(schema["required"])
    assert schema["additionalProperties"] is False

from __future__ import annotations

import dataclasses
import importlib
import json
import pkgutil
from collections.abc import Iterator
from decimal import Decimal
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

import teapot.model
from teapot.model.config import Config, Duplicates, License, ModuleUse, Output
from teapot.model.manifest import DataFile, LedgerFile, Manifest
from teapot.model.module import FieldMap, Module, SourceSpec, SystemPrompt
from teapot.model.recipe import FORMAT, Recipe, RecipeModule, RecipeSource
from teapot.model.record import Fault
from teapot.model.report import Amount, MixReport, ModuleReport, SourceReport, decimal_text
from teapot.schemas import schema_text


def _values() -> Iterator[type]:
    for info in pkgutil.iter_modules(teapot.model.__path__):
        for value in vars(importlib.import_module(f"teapot.model.{info.name}")).values():
            if isinstance(value, type) and dataclasses.is_dataclass(value):
                yield value


def _config(**keys: Any) -> Config:
    return Config.from_dict({"license": {"allowed": "all"}, "modules": {"m": True}, **keys})


@pytest.mark.parametrize("value", dict.fromkeys(_values()), ids=lambda value: value.__name__)
def test_what_crosses_borders_is_frozen(value: Any) -> None:
    assert value.__dataclass_params__.frozen
    assert hasattr(value, "__slots__")


# Config.


def test_a_config_of_two_lines_has_every_default() -> None:
    config = _config()
    assert config == Config(license=License(allowed=None), modules={"m": ModuleUse()})
    assert (config.training.seed, config.weight("m")) == (42, Decimal(1))


def test_allowed_licences_are_a_set_whatever_their_order() -> None:
    one = _config(license={"allowed": ["MIT", "Apache-2.0", "MIT"]})
    assert one.license.allowed == ("Apache-2.0", "MIT")


@pytest.mark.parametrize(
    ("use", "weights", "weight"),
    [
        (True, {}, "1"),
        (True, {"m": Decimal("0.3")}, "0.3"),
        (True, {"m": "0.30"}, "0.30"),
        (True, {"m": 0}, "0"),
        (False, {}, "0"),
        ({}, {"m": 2}, "2"),
        ({"repeat": Decimal("0.1")}, {}, "0.1"),
        ({"weight": "2.5"}, {}, "2.5"),
        ({"repeat": 0}, {}, "0"),
        ({"enabled": False, "repeat": 2}, {}, "0"),
    ],
)
def test_weight_is_the_uses_own_then_the_trainings_then_one(
    use: Any, weights: dict[str, Any], weight: str
) -> None:
    config = _config(modules={"m": use}, training={"weights": weights})
    assert str(config.weight("m")) == weight


def test_sections_may_be_written_short() -> None:
    config = _config(output="a.jsonl", duplicates="drop")
    assert config.output == Output(file="a.jsonl")
    assert config.duplicates == Duplicates(policy="drop")
    long = _config(output={"file": "a.jsonl"}, duplicates={"policy": "drop", "prefer": []})
    assert (long.output, long.duplicates) == (config.output, config.duplicates)


@pytest.mark.parametrize("rate", ["2e-4", Decimal("0.0002"), "0.0002"])
def test_a_learning_rate_is_one_number_however_it_is_written(rate: object) -> None:
    assert _config(training={"learning_rate": rate}).training.learning_rate == Decimal("0.0002")


def test_a_quantization_written_as_a_number_is_text() -> None:
    assert _config(base={"quantization": 4}).base.quantization == "4"


# Modules.


def test_a_module_file_becomes_one_value() -> None:
    module = Module.from_dict(
        {
            "name": "a/b", "version": "1", "description": "d", "license": "MIT",
            "sources": [{"id": "s", "kind": "jsonl", "path": "s.jsonl"}],
            "fields": {"id": "key"}, "system_prompt": "old", "repair": ["double-close"],
            "suggested_weight": "0.3",
        }
    )  # fmt: skip
    assert module == Module(
        name="a/b", version="1", description="d", license="MIT",
        sources=(SourceSpec(id="s", kind="jsonl", path="s.jsonl"),), fields=FieldMap(id="key"),
        system_prompt=SystemPrompt(text="old", mode="missing"), repair=("double-close",),
        suggested_weight=Decimal("0.3"),
    )  # fmt: skip
    assert module.reasoning == "allow"


@pytest.mark.parametrize(
    ("place", "uri"),
    [
        ({"path": "data/s.jsonl"}, "data/s.jsonl"),
        ({"url": "https://h/s.jsonl", "path": "s"}, "https://h/s.jsonl"),
        ({"repo": "o/n", "file": "d/s.jsonl", "revision": "main"}, "hf://datasets/o/n/d/s.jsonl"),
        ({"repo": "o/n", "split": "train"}, "hf://datasets/o/n/default/train"),
        ({"repo": "o/n", "config": "c", "split": "train"}, "hf://datasets/o/n/c/train"),
        ({}, "s"),
    ],
)
def test_a_sources_identity_is_what_it_declares(place: dict[str, Any], uri: str) -> None:
    assert SourceSpec(id="s", kind="k", **place).uri == uri


# Reports, recipes, manifests.


@pytest.mark.parametrize(
    ("number", "text"),
    [("0.30", "0.3"), ("1", "1"), ("1.000", "1"), ("2.5", "2.5"), ("1E+3", "1000"), ("100", "100"),
     ("1E-7", "0.0000001"), ("0", "0"), ("-0.0", "0"), ("0.000", "0")],
)  # fmt: skip
def test_decimals_are_written_without_exponent_or_needless_zeros(number: str, text: str) -> None:
    assert decimal_text(Decimal(number)) == text


@given(st.decimals(0, 1000, places=12) | st.decimals(0, 1000, places=1))
def test_decimal_text_loses_nothing_and_is_one_for_equal_numbers(number: Decimal) -> None:
    assert Decimal(decimal_text(number)) == number
    assert decimal_text(number) == decimal_text(number.normalize())


def test_a_fault_says_where_in_the_row_it_is() -> None:
    assert str(Fault("schema", "no role", 2)) == "messages[2]: no role [schema]"
    assert str(Fault("schema", "no messages")) == "no messages [schema]"


def _recipe() -> Recipe:
    source = RecipeSource(
        id="s", kind="jsonl", uri="s.jsonl", revision=None, sha256="0" * 64, rows=3, license=None,
        query=None, format=None,
    )  # fmt: skip
    module = RecipeModule(
        name="a/č", version="1", weight="0.3", license="MIT", fields={"id": "key", "tools": None},
        ignore_message_keys=(), system_prompt=None, reasoning="allow", repair=("double-close",),
        checks=(), max_length=None, on_bad_row="fail", max_bad_rows=None, sources=(source,),
        languages=("cs",),
    )  # fmt: skip
    return Recipe(
        format=FORMAT, seed=42, licenses=("MIT",), duplicates="keep", prefer=(), strip_think=False,
        include_reasoning=False, max_bad_rows=None, modules=(module,),
    )  # fmt: skip


def test_a_recipes_digest_is_that_of_its_canonical_json() -> None:
    recipe = _recipe()
    value = dataclasses.asdict(recipe)
    younger = {
        "amounts", "groups", "license_profile", "likeness", "split", "decontaminate", "epochs",
    }  # fmt: skip
    for part, keys in (
        (value, younger),
        (value["modules"][0], {"amount", "max_repeat", "curation", "scan"}),
    ):
        for key in keys:  # what is younger than the format is left out where it says nothing
            assert not part.pop(key)
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    assert recipe.sha256() == sha256(text.encode()).hexdigest()


def _manifest() -> Manifest:
    part = ModuleReport(
        name="a/č", version="1", weight=Decimal("0.30"), read=3, dropped={"license": 1},
        repaired={"double-close": 1}, usable=2, kept=1, unused=1, lines=1, characters=9,
        tokens=None, cutoff="f" * 64,
    )  # fmt: skip
    source = SourceReport(
        module="a/č", id="s", kind="jsonl", uri="s.jsonl", revision=None, sha256="0" * 64,
        bytes=99, rows=3, digest_of="file", expected=3,
    )  # fmt: skip
    amount = Amount(lines=1, characters=9, tokens=None)
    report = MixReport(
        modules=(part,), sources=(source,), licenses={"MIT": amount}, total=amount,
        duplicate_groups=0, duplicate_records=0, warnings=("w",),
    )  # fmt: skip
    return Manifest(
        data=DataFile(
            name="d.jsonl", sha256="1" * 64, bytes=50, records=1, merkle_root="2" * 64,
            contents=1, contents_root="5" * 64,
        ),
        ledger=LedgerFile(name="d.ledger.parquet", rows=3, rows_sha256="3" * 64),
        recipe=_recipe(), report=report, versions={"teapot": "1"}, tokenizer=None,
    )  # fmt: skip


def test_a_manifest_is_of_its_schema() -> None:
    statement = json.loads(_manifest().to_bytes())
    Draft202012Validator(json.loads(schema_text("manifest"))).validate(statement)
    assert statement["subject"] == [{"name": "d.jsonl", "digest": {"sha256": "1" * 64}}]
    composition = statement["predicate"]["teapot_composition"]
    assert composition["modules"][0]["weight"] == "0.3"
    external = statement["predicate"]["buildDefinition"]["externalParameters"]
    assert external["recipe_sha256"] == _recipe().sha256()


def test_a_manifest_is_sorted_readable_json_without_any_fraction() -> None:
    text = _manifest().to_bytes()
    value = json.loads(text, parse_float=lambda number: pytest.fail(f"the fraction {number}"))
    expected = json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    assert text == expected.encode().replace(b"{}", b"{}")

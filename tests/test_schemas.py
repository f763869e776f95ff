from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from teapot.errors import UsageError
from teapot.model import amount, base, config, difference, module, recipe, record, verdict
from teapot.repairs import REPAIRS
from teapot.schemas import SCHEMAS, schema_text


def _schema(name: str) -> dict[str, Any]:
    schema: dict[str, Any] = json.loads(schema_text(name))
    return schema


def _resolved(schema: Any, root: Any) -> dict[str, Any]:
    """Return a schema with what it refers to; its own words come first."""
    if "$ref" not in schema:
        return dict(schema)
    target = root
    for part in schema["$ref"].removeprefix("#/").split("/"):
        target = target[part]
    return {**_resolved(target, root), **schema}


def _nodes(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
    for part in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from _nodes(part)


def _object(name: str, *path: str | int) -> dict[str, Any]:
    """Return the object schema at a path of properties; a number picks the branch of an anyOf."""
    node = _schema(name)
    for part in path:
        node = node["anyOf"][part] if isinstance(part, int) else node["properties"][part]
    return node


def test_every_schema_file_is_known_and_shipped() -> None:
    found = {path.name for path in files("teapot_schemas").iterdir() if path.name.endswith(".json")}
    assert found == {f"{name}.schema.json" for name in SCHEMAS}
    assert [_schema(name)["$id"] for name in SCHEMAS] == [
        f"https://w3id.org/teapot/schemas/{name}/v1" for name in SCHEMAS
    ]


def test_an_unknown_schema_is_a_usage_error_that_names_the_known() -> None:
    with pytest.raises(
        UsageError,
        match="no schema 'recipe', expected one of base, config, curation, diff, export",
    ):
        schema_text("recipe")


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_is_valid_2020_12(name: str) -> None:
    assert _schema(name)["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    Draft202012Validator.check_schema(_schema(name))


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_property_is_described(name: str) -> None:
    root = _schema(name)
    silent = [
        key
        for node in _nodes(root)
        for key, schema in node.get("properties", {}).items()
        if not _resolved(schema, root).get("description", "").endswith(".")
    ]
    assert silent == []


@pytest.mark.parametrize("name", SCHEMAS)
def test_objects_with_named_properties_admit_no_others(name: str) -> None:
    open_ones = [
        sorted(node["properties"])
        for node in _nodes(_schema(name))
        if node.get("type") == "object"
        and "properties" in node
        and node.get("additionalProperties") is not False
    ]
    assert open_ones == []


@pytest.mark.parametrize(
    ("made", "schema"),
    [
        (config.Config, _object("config")),
        (config.Base, _object("config", "base")),
        (config.License, _object("config", "license")),
        (config.Hardware, _object("config", "hardware")),
        (config.Training, _object("config", "training")),
        (config.Output, _object("config", "output", 1)),
        (config.Eval, _object("config", "eval")),
        (config.EvalSet, _schema("config")["$defs"]["evalSets"]["items"]["anyOf"][1]),
        (config.Expect, _object("config", "expect")),
        (config.Scan, _schema("config")["$defs"]["scan"]),
        (recipe.RecipeScan, _schema("manifest")["$defs"]["recipeModule"]["properties"]["scan"]),
        (config.Duplicates, _object("config", "duplicates", 1)),
        (config.Epochs, _object("config", "epochs")),
        (amount.WholeMix, _object("config", "amounts")),
        (config.Split, _object("config", "split")),
        (amount.Group, _object("config", "groups")["additionalProperties"]),
        (module.Module, _object("module")),
        (module.SourceSpec, _object("module", "sources")["items"]),
        (module.FieldMap, _object("module", "fields")),
        (module.SystemPrompt, _object("module", "system_prompt", 1)),
        (config.CurationUse, _object("config", "curations")["additionalProperties"]["anyOf"][1]),
        (verdict.Verdict, _object("curation")),
        (record.Record, _object("record")),
        (base.Base, _object("base")),
        (base.ThoughtMarks, _object("base", "thought")),
        (difference.DiffSide, _schema("diff")["$defs"]["side"]),
        (difference.ModuleSide, _schema("diff")["$defs"]["module"]),
        (difference.RowChanges, _schema("diff")["$defs"]["rows"]),
        (difference.RowFound, _schema("diff")["$defs"]["row"]),
        (difference.RowExample, _schema("diff")["$defs"]["example"]),
        (difference.LicenseSide, _schema("diff")["$defs"]["license"]),
        (difference.SourceSide, _schema("diff")["$defs"]["source"]),
    ],
    ids=lambda part: part.__name__ if isinstance(part, type) else "",
)
def test_a_value_has_exactly_the_fields_of_its_schema(made: Any, schema: dict[str, Any]) -> None:
    fields = dataclasses.fields(made)
    assert {field.name for field in fields} == set(schema["properties"])
    needed = {
        field.name
        for field in fields
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    }
    assert needed == set(schema.get("required", ()))


def test_a_modules_use_has_the_fields_of_its_schema_and_weight_is_repeat() -> None:
    use = _object("config", "modules")["additionalProperties"]["anyOf"][1]["properties"]
    assert {field.name for field in dataclasses.fields(config.ModuleUse)} == set(use) - {"weight"}
    assert use["weight"]["$ref"] == use["repeat"]["$ref"]


@pytest.mark.parametrize(
    ("mapping", "schema"),
    [
        (record.Message, _object("record", "messages")["items"]),
        (
            record.ToolCall,
            _object("record", "messages")["items"]["properties"]["tool_calls"]["items"],
        ),
    ],
)
def test_a_message_has_exactly_the_keys_of_its_schema(mapping: Any, schema: dict[str, Any]) -> None:
    assert mapping.__annotations__.keys() == schema["properties"].keys()


def test_the_schema_knows_exactly_the_repairs_there_are() -> None:
    assert _object("module", "repair")["items"]["enum"] == list(REPAIRS)


@pytest.mark.parametrize("name", ["config", "module"])
def test_both_schemas_say_the_same_of_bad_rows_and_names(name: str) -> None:
    root = _schema(name)
    policy = _resolved(root["properties"]["on_bad_row"], root)
    assert policy["enum"] == ["fail", "drop"]
    assert root["$defs"]["moduleName"] == _schema("config")["$defs"]["moduleName"]

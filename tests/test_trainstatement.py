"""The train statement: as its schema says, written in one way, and read strictly."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from teapot.canonical import dumps_readable, loads
from teapot.errors import DataError
from teapot.model.trainplan import Hyperparameters
from teapot.model.trainstatement import TrainRun, TrainStatement, plan_sha256
from teapot.modelstatements import read_train_statement
from teapot.schemas import schema_text
from tests.support.compositions import make
from tests.support.finetunes import WEIGHTS, outcome_for, plan_for, verified

NAME = "train.statement.json"


@pytest.fixture(scope="module")
def statement(tmp_path_factory: pytest.TempPathFactory) -> TrainStatement:
    composition = verified(make(tmp_path_factory.mktemp("mix")), allow_unsigned=True)
    plan = plan_for(composition)
    return TrainStatement.of(
        plan, outcome_for(plan), manifest=composition.manifest, weights={WEIGHTS: "6" * 64},
        versions={"teapot": "0"},
    )  # fmt: skip


def refusal(data: bytes) -> str:
    with pytest.raises(DataError) as caught:
        read_train_statement(data, NAME)
    return str(caught.value)


def test_a_statement_is_of_its_schema_and_is_read_back(statement: TrainStatement) -> None:
    data = statement.to_bytes()
    Draft202012Validator(json.loads(schema_text("train"))).validate(json.loads(data))
    assert read_train_statement(data, NAME) == statement
    assert b"\r" not in data and data.endswith(b"}\n")


def test_a_statement_tells_what_led_to_the_weights(statement: TrainStatement) -> None:
    value = json.loads(statement.to_bytes())
    build = value["predicate"]["buildDefinition"]
    assert value["subject"] == [{"name": WEIGHTS, "digest": {"sha256": "6" * 64}}]
    assert build["buildType"] == "https://w3id.org/teapot/train/v1"
    assert [part["name"] for part in build["resolvedDependencies"]] == [
        "manifest", "data", "model", "tokenizer", "chat-template", "training-template"
    ]  # fmt: skip
    model = build["resolvedDependencies"][2]
    assert model["uri"] == "hf://swiss-ai/Apertus-8B-Instruct-2509"
    assert model["annotations"] == {
        "digest_of": "config.json", "revision": "a" * 40,
        "weights": {"model.safetensors": "9" * 64},
    }  # fmt: skip
    assert value["predicate"]["teapot_training"]["steps"] == 6
    assert value["predicate"]["runDetails"]["builder"]["version"] == {
        "teapot": "0", "tokenizers": "0.22", "torch": "2.9.0"
    }  # fmt: skip


def test_no_number_of_a_statement_has_a_fraction(statement: TrainStatement) -> None:
    json.loads(statement.to_bytes(), parse_float=pytest.fail)


@pytest.mark.parametrize(
    ("made", "path"),
    [
        (Hyperparameters, ("$defs", "hyperparameters")),
        (TrainRun, ("properties", "predicate", "properties", "teapot_training")),
    ],
)
def test_a_value_has_exactly_the_fields_of_its_schema(made: Any, path: tuple[str, ...]) -> None:
    schema = json.loads(schema_text("train"))
    for part in path:
        schema = schema[part]
    names = {field.name for field in dataclasses.fields(made)}
    assert names == set(schema["properties"])
    assert names - {"validation"} == set(schema["required"])


def test_a_models_folder_is_named_without_its_path(tmp_path: Path) -> None:
    composition = verified(make(tmp_path))
    plan = plan_for(composition, model="/home/somebody/models/tiny", revision=None)
    statement = TrainStatement.of(
        plan, outcome_for(plan), manifest=composition.manifest, weights={WEIGHTS: "6" * 64},
        versions={"teapot": "0"},
    )  # fmt: skip
    assert statement.start.model == "tiny"
    assert b"somebody" not in statement.to_bytes()
    assert read_train_statement(statement.to_bytes(), NAME) == statement
    assert statement.run.plan_sha256 == plan_sha256(plan)


def set_at(*path: Any, to: Any) -> Callable[[Any], None]:
    def change(value: Any) -> None:
        for part in path[:-1]:
            value = value[part]
        value[path[-1]] = to

    return change


BUILD = ("predicate", "buildDefinition")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (set_at("_type", to="x"), "_type: found the text 'x', expected https://in-toto.io/"),
        (set_at("subject", to=[]), "subject: the list is empty, expected at least one item"),
        (set_at("more", to=1), "more: no such key"),
        (set_at("subject", 0, "name", to="../x"), "subject[0].name: found the text '../x', "
         "expected a file name without a folder or a NUL"),
        (set_at("subject", 0, "name", to=".."), "the file name '..' names no file"),
        (set_at(*BUILD, "buildType", to="x"), "buildType: found the text 'x', expected https://w3"),
        (set_at("predicate", "teapot_training", "steps", to=1.5), "steps: found 1.5, expected a"),
        (set_at("predicate", "teapot_training", "steps", to=True), "steps: found true, expected"),
        (set_at("predicate", "teapot_training", "steps", to=-1), "steps: found -1, expected a num"),
        (set_at(*BUILD, "resolvedDependencies", 0, "name", to="data"), "resolvedDependencies[0]."
         "name: found the text 'data', expected manifest"),
        (set_at(*BUILD, "resolvedDependencies", 2, "annotations", "revision", to=None), "is not "
         "written as Teapot writes a train statement: line"),
    ],
)  # fmt: skip
def test_what_is_no_statement_is_refused_with_its_place(
    change: Callable[[Any], None], told: str, statement: TrainStatement
) -> None:
    value = loads(statement.to_bytes())
    change(value)
    assert told in refusal(dumps_readable(value))


def test_another_spelling_of_a_statement_is_refused(statement: TrainStatement) -> None:
    compact = json.dumps(json.loads(statement.to_bytes())).encode()
    assert "is not written as Teapot writes a train statement: line 1 is" in refusal(compact)
    assert "is not strict JSON" in refusal(b'{"_type": 1, "_type": 1}')
    assert "expected 4,194,304 at most" in refusal(b" " * ((4 << 20) + 1))


@given(st.data())
def test_a_flipped_bit_gives_another_statement_or_none(
    statement: TrainStatement, data: st.DataObject
) -> None:
    flipped = bytearray(statement.to_bytes())
    place = data.draw(st.integers(0, len(flipped) - 1))
    flipped[place] ^= 1 << data.draw(st.integers(0, 7))
    try:
        assert read_train_statement(bytes(flipped), NAME) != statement
    except DataError as error:
        assert str(error).startswith(NAME)

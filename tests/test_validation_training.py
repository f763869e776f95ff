"""Compositions with a validation file on their way to a model: preflight, statement, card."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

import teapot
from teapot.canonical import loads
from teapot.cli.app import run
from teapot.errors import DataError
from teapot.model.trainplan import PlannedOrder, TrainPlan, epoch_ends, optimizer_steps
from teapot.model.trainstatement import STATEMENT, TrainRun, TrainStatement
from teapot.model.validationloss import EpochLoss, ValidationLosses, ValidationRun
from teapot.modelchecks import check_composed
from teapot.modelstatements import read_train_statement
from teapot.schemas import schema_text
from teapot.usecases.modelfolder import finish_model_folder
from teapot.usecases.verifymodel import verify_model
from tests.support.compositions import compose, manifest_of
from tests.support.environment import own_key
from tests.support.finetunes import outcome_for, plan_for, verified
from tests.support.fitjobs import NO_ESTIMATE, NUMBERS, ROWS, STEPS
from tests.support.modelfolders import signer, write_training_files
from tests.support.models import write_model
from tests.support.project import chat_row, chat_rows, write_config, write_module

MODEL = Path("model")
SPLIT = {"validation": "30%", "relatives": "exact"}
LOSSES = ValidationLosses(
    encoded_sha256="7" * 64, rows=9, supervised=120,
    losses=(EpochLoss(epoch="1", step=3, loss="1.2500"),
            EpochLoss(epoch="1.5", step=6, loss="1.1250")),
)  # fmt: skip
PLANNED = TrainPlan(
    base="apertus", model="tiny", revision=None, model_config_sha256="", lora_targets=(),
    hyperparameters=NUMBERS, manifest_sha256="", data_sha256="", rows=ROWS, optimizer_steps=STEPS,
    warmup_steps=1, tokenizer_sha256="", own_template_sha256="", training_template_sha256="",
    system_prompt=None, pad_token="<pad>", estimate=NO_ESTIMATE, versions={},
)  # fmt: skip
Check = Callable[..., Any]


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working folder in which one key is trusted, and no network."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    Path("teapot.allowed_signers").write_text(f"alice {own_key().public.ssh}\n")


@pytest.fixture
def check(capsys: pytest.CaptureFixture[str]) -> Check:
    """The JSON that a check of the config prints, its exit code in it."""

    def checked(*arguments: str) -> Any:
        given = ("--base", "apertus", "--model", "base", "--json", *arguments)
        code = run(["train", "--check", "mix.config", *given])
        out, err = capsys.readouterr()
        assert err == ""
        return {**json.loads(out), "exit_code": code}

    return checked


def mix(*rows: Any, training: dict[str, Any] | None = None, **config: Any) -> teapot.Composition:
    """Compose 40 rows and more, of which a part is held out, and write a model's folder."""
    write_model(Path("base"), "apertus")
    write_module(Path(), "t/a", [*chat_rows("a", 40), *rows])
    given = {"split": SPLIT, "training": training or {}, **config}
    return compose(write_config(Path(), {"t/a": 1}, output="mix.jsonl", **given))


def result(found: Any) -> Any:
    return next((part for part in found["checks"] if part["name"] == "validation"), None)


# What is checked.


def test_a_check_tells_on_what_the_loss_will_be_measured(
    check: Check, capsys: pytest.CaptureFixture[str]
) -> None:
    held = manifest_of(mix()).validation
    assert held is not None and held.records > 3
    found = check()
    assert found["exit_code"] == 0, found
    assert result(found)["found"] == f"{held.records} of {held.records} rows to measure the loss on"
    assert found["validation"]["data_sha256"] == held.sha256
    assert found["validation"]["rows"] == held.records
    assert run(["train", "--check", "mix.config", "--base", "apertus", "--model", "base"]) == 0
    tokens = found["validation"]["supervised"]
    told = f"validate  the loss on {tokens:,} tokens of {held.records} rows held out"
    assert told in capsys.readouterr().out


def test_the_plan_is_the_same_with_and_without(check: Check) -> None:
    mix()
    measured, plain = check(), check("--no-eval")
    assert measured["plan"] == plain["plan"]
    assert result(plain) is None and "validation" not in plain


def test_without_a_validation_file_nothing_is_told_of_one(check: Check) -> None:
    mix()
    compose(write_config(Path(), {"t/a": 1}, output="mix.jsonl"))
    found = check()
    assert result(found) is None and "validation" not in found


def test_overlong_held_out_rows_are_treated_as_those_of_the_data(check: Check) -> None:
    long = [chat_row(f"long-{number}", f"why {number}? " * 300) for number in range(12)]
    made = mix(*long, training={"max_length": 300})
    lines = made.paths.validation.read_bytes().splitlines()
    count = sum(b'"id":"long-' in line for line in lines)
    assert 0 < count < len(lines)
    found = check()
    assert (found["exit_code"], result(found)["status"]) == (1, "fault")
    found = check("--on-bad-row", "drop")
    assert (found["exit_code"], result(found)["status"]) == (0, "ok")
    assert found["validation"]["rows"] == len(lines) - count
    assert len(found["validation"]["dropped"]) == count


# Where epochs end.


@pytest.mark.parametrize(
    ("epochs", "steps", "ends"),
    [
        ("2", 6, {3: "1", 6: "2"}),
        ("1.5", 5, {3: "1", 5: "1.5"}),
        ("0.5", 2, {2: "0.5"}),
    ],
)
def test_a_loss_is_measured_where_an_epoch_or_the_run_ends(
    epochs: str, steps: int, ends: dict[int, str]
) -> None:
    numbers = replace(NUMBERS, epochs=epochs)  # 10 rows, 4 a step
    plan = replace(PLANNED, hyperparameters=numbers, optimizer_steps=steps)
    assert epoch_ends(plan) == ends


@given(
    rows=st.integers(1, 50), batch=st.integers(1, 20),
    epochs=st.decimals(min_value="0.1", max_value=5, places=1),
)  # fmt: skip
def test_every_whole_epoch_has_its_end_and_the_last_step_too(
    rows: int, batch: int, epochs: Decimal
) -> None:
    numbers = replace(NUMBERS, epochs=f"{epochs.normalize():f}", effective_batch=batch)
    steps = optimizer_steps(rows, numbers)
    plan = replace(PLANNED, rows=rows, hyperparameters=numbers, optimizer_steps=steps)
    ends = epoch_ends(plan)
    an_epoch = -(-rows // batch)
    whole = set(range(an_epoch, steps + 1, an_epoch))
    assert ends.keys() == whole | {steps}
    assert all(ends[step] == str(step // an_epoch) for step in whole)
    assert list(ends) == sorted(ends)


def test_epochs_with_orders_end_with_their_own_steps() -> None:
    orders = tuple(PlannedOrder(sha256="", examples=examples) for examples in (0, 9, 4, 0))
    assert epoch_ends(replace(PLANNED, orders=orders, optimizer_steps=4)) == {3: "2", 4: "4"}


# The model folder.


def finish(validation: ValidationLosses | None = LOSSES) -> tuple[teapot.Composition, Any]:
    """Write a model folder over a mix as training would leave it, and read its statement."""
    made = mix()
    composition = verified(made)
    plan = plan_for(composition)
    write_training_files(MODEL, plan)
    outcome = outcome_for(plan, validation=validation)
    finish_model_folder(MODEL, composition, plan, outcome, signer())
    return made, TrainStatement.from_dict(loads((MODEL / STATEMENT).read_bytes()))


def test_a_statement_has_the_losses_and_comes_back() -> None:
    made, statement = finish()
    held, data = manifest_of(made).validation, (MODEL / STATEMENT).read_bytes()
    assert held is not None
    assert statement.run.validation == ValidationRun(
        name="mix.validation.jsonl", sha256=held.sha256, records=held.records, rows=9,
        supervised=120, encoded_sha256="7" * 64, losses=LOSSES.losses,
    )  # fmt: skip
    Draft202012Validator(json.loads(schema_text("train"))).validate(json.loads(data))
    assert read_train_statement(data, STATEMENT) == statement
    assert statement.to_bytes() == data
    assert verify_model(MODEL).is_ok


def test_a_statement_of_a_run_without_has_no_word_of_it() -> None:
    _, statement = finish(None)
    training = json.loads((MODEL / STATEMENT).read_bytes())["predicate"]["teapot_training"]
    assert statement.run.validation is None and "validation" not in training
    assert "validation loss" not in (MODEL / "README.md").read_text()
    assert verify_model(MODEL).is_ok


def test_values_have_exactly_the_fields_of_the_schema() -> None:
    schema = json.loads(schema_text("train"))["$defs"]["validation"]
    losses = schema["properties"]["losses"]["items"]
    for made, part in ((ValidationRun, schema), (EpochLoss, losses)):
        names = {field.name for field in dataclasses.fields(made)}
        assert names == set(part["properties"]) == set(part["required"])


def test_a_card_has_a_table_of_the_losses() -> None:
    made, _ = finish()
    held = manifest_of(made).validation
    assert held is not None
    card = (MODEL / "README.md").read_text()
    assert (
        f"On 120 supervised tokens of 9 of {held.records} records in `mix.validation.jsonl` "
        f"(SHA-256 `{held.sha256}`), none of them trained on, the mean loss was:"
    ) in card
    assert "| `1` | 3 | `1.2500` |\n| `1.5` | 6 | `1.1250` |" in card


def test_losses_on_another_file_than_the_manifest_states_are_a_fault() -> None:
    made, statement = finish()
    manifest = manifest_of(made)
    assert check_composed(statement, manifest).status == "ok"
    without = replace(manifest, validation=None)
    for changed in ({"sha256": "0" * 64}, {"name": "other.jsonl"}, {"records": 1}):
        held = replace(statement.run.validation, **changed)
        other = replace(statement, run=replace(statement.run, validation=held))
        found = check_composed(other, manifest)
        assert found.status == "fault" and "is not of the validation file" in found.details[0]
    assert check_composed(statement, without).status == "fault"
    unmeasured: TrainRun = replace(statement.run, validation=None)
    assert check_composed(replace(statement, run=unmeasured), manifest).status == "ok"


def test_a_statement_with_a_path_for_the_validation_file_is_refused() -> None:
    _, statement = finish()
    held = replace(statement.run.validation, name="../x")
    other = replace(statement, run=replace(statement.run, validation=held))
    with pytest.raises(DataError):
        read_train_statement(other.to_bytes(), STATEMENT)

"""Compositions with orders of epochs on their way to a model: plan, statement, card, lineage."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy
import pytest

import teapot
from teapot.canonical import loads
from teapot.cli.app import run
from teapot.digest import sha256_hex
from teapot.model.trainplan import Hyperparameters, PlannedOrder, epoch_at, optimizer_steps
from teapot.model.trainstatement import STATEMENT, TrainStatement
from teapot.modelchecks import check_composed
from teapot.usecases.audit import AuditOptions, audit
from teapot.usecases.diff import diff
from teapot.usecases.modelfolder import finish_model_folder
from teapot.usecases.push import plan_push
from teapot.usecases.trace import trace
from teapot.usecases.verifymodel import verify_model
from tests.support.compositions import compose, manifest_of, write_project
from tests.support.environment import own_key
from tests.support.finetunes import outcome_for, plan_for, verified
from tests.support.modelfolders import signer, write_training_files
from tests.support.models import write_model
from tests.support.project import chat_row, chat_rows, write_config, write_module

MODEL = Path("model")
EPOCHS = {"orders": True, "count": 3}
Check = Callable[..., Any]


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working folder in which one key is trusted, and no network."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    Path("teapot.allowed_signers").write_text(f"alice {own_key().public.ssh}\n")


@pytest.fixture
def check(capsys: pytest.CaptureFixture[str]) -> Check:
    """The JSON that a check of a target prints, its exit code in it."""

    def checked(target: str, *arguments: str) -> Any:
        given = ("--base", "apertus", "--model", "base", "--json", *arguments)
        code = run(["train", "--check", target, *given])
        out, err = capsys.readouterr()
        assert err == ""
        return {**json.loads(out), "exit_code": code}

    return checked


def mix(*more: Any, training: dict[str, Any] | None = None) -> teapot.Composition:
    """Compose rows at 0.5 in three epochs of 16 examples a step, and write a model's folder."""
    write_model(Path("base"), "apertus")
    write_module(Path(), "t/a", [*chat_rows("a", 40), *more])
    config = write_config(
        Path(), {"t/a": "0.5"}, output="mix.jsonl", epochs=EPOCHS, training=training or {}
    )
    return compose(config)


def result(found: Any, name: str) -> Any:
    return next(part for part in found["checks"] if part["name"] == name)


def test_a_plan_has_the_orders_and_the_steps_of_all_epochs(check: Check) -> None:
    made = mix()
    found = check("mix.config")
    assert (found["exit_code"], found["ok"]) == (0, True), found
    plan, stated = found["plan"], manifest_of(made).orders
    assert plan["orders"] == [{"sha256": part.sha256, "examples": 20} for part in stated]
    assert (plan["rows"], plan["optimizer_steps"]) == (40, 6)
    assert plan["hyperparameters"]["epochs"] == "3"
    told = "6 steps (20 + 20 + 20 examples of 40 rows in 3 epochs, 16 a step)"
    assert result(found, "steps")["found"] == told
    assert check("mix.manifest.json")["plan"]["orders"] == plan["orders"]


def test_hours_are_told_for_the_examples_and_not_for_the_rows(check: Check) -> None:
    mix()
    (part,) = check("mix.config")["rows"]["modules"].values()
    by_orders = check("mix.config")["plan"]["estimate"]["hours"]
    compose(write_config(Path(), {"t/a": "1"}, output="mix.jsonl", training={"epochs": 3}))
    assert part["rows"] == 40
    assert by_orders <= check("mix.config")["plan"]["estimate"]["hours"]


def test_an_overlong_row_is_left_out_of_every_order(check: Check) -> None:
    mix(chat_row("long", "why? " * 300), training={"max_length": 300})
    assert check("mix.config")["exit_code"] == 1
    found = check("mix.config", "--on-bad-row", "drop")
    assert found["exit_code"] == 0
    plan, lines = found["plan"], Path("mix.jsonl").read_bytes().splitlines()
    (long,) = (line for line, text in enumerate(lines) if b'"id":"long"' in text)
    uses = [
        Path(f"mix.epoch-{epoch}.order").read_bytes()[::4].count(long) for epoch in (1, 2, 3)
    ]  # of so few lines, the first byte is the number
    assert sum(uses) in (1, 2)
    assert [order["examples"] for order in plan["orders"]] == [20 - used for used in uses]
    assert plan["rows"] == 40


@pytest.mark.parametrize(
    ("epochs", "trained"), [(1, 1), (2, 2), (3, 3)]
)  # fmt: skip
def test_fewer_epochs_are_trained_in_the_first_orders(
    epochs: int, trained: int, check: Check
) -> None:
    made = mix(training={"epochs": epochs})
    found = check("mix.config")["plan"]
    stated = manifest_of(made).orders[:trained]
    assert [part["sha256"] for part in found["orders"]] == [part.sha256 for part in stated]
    assert found["optimizer_steps"] == 2 * trained


@pytest.mark.parametrize(
    ("epochs", "told"),
    [
        (4, "training.epochs: found 4, the composition has orders of 3; compose again with more"),
        (1.5, "training.epochs: found 1.5, expected a whole number, as each epoch has an order"),
    ],
)
def test_epochs_without_an_order_are_refused(epochs: float, told: str, check: Check) -> None:
    mix()
    write_config(Path(), {"t/a": "0.5"}, output="mix.jsonl", training={"epochs": epochs})
    found = check("mix.config")
    (error,) = found["error"]
    assert found["exit_code"] == 2
    assert f"{error['path']}: {error['message']}".startswith(told)


def test_an_order_that_is_not_as_stated_is_not_trained_from(check: Check) -> None:
    mix()
    Path("mix.epoch-2.order").write_bytes(Path("mix.epoch-1.order").read_bytes())
    found = check("mix.config")
    assert found["exit_code"] == 1
    assert found["error"][0]["message"].startswith("orders: expected 3 orders")


# The model folder.


def finish(epochs: int = 3) -> tuple[teapot.Composition, TrainStatement]:
    """Compose a mix with three orders, and write a model folder as training would leave it."""
    made = compose(write_project(Path(), epochs=EPOCHS))
    composition = verified(made)
    orders = tuple(
        PlannedOrder(sha256=part.sha256, examples=part.examples)
        for part in composition.manifest.orders[:epochs]
    )
    plan = plan_for(composition, orders=orders)
    write_training_files(MODEL, plan)
    finish_model_folder(MODEL, composition, plan, outcome_for(plan), signer())
    return made, TrainStatement.from_dict(loads((MODEL / STATEMENT).read_bytes()))


def test_a_statement_names_the_orders_and_comes_back() -> None:
    made, statement = finish()
    assert [order.name for order in statement.composed.orders] == [
        path.name for path in made.paths.orders(3)
    ]
    for order, path in zip(statement.composed.orders, made.paths.orders(3), strict=True):
        assert order.sha256 == sha256_hex(path.read_bytes())
    assert statement.to_bytes() == (MODEL / STATEMENT).read_bytes()


def test_a_model_folder_verifies_and_is_pushed_without_the_orders() -> None:
    finish()
    assert verify_model(MODEL).is_ok
    verification, plan = plan_push(MODEL)
    assert verification.is_ok and plan is not None
    assert not any(file.name.endswith(".order") for file in plan.files)


def test_a_card_tells_of_the_orders() -> None:
    _, statement = finish()
    card = (MODEL / "README.md").read_text()
    assert "| `t/b` | `1` | 7 | 16 | 2.3 |" in card
    assert "An epoch has 27 lines, drawn and ordered anew" in card
    for order in statement.composed.orders:
        assert f"| order `{order.name}` | `{order.sha256}` |" in card


def test_records_are_traced_and_audited_from_a_model() -> None:
    made, _ = finish()
    line = made.paths.data.read_bytes().splitlines()[4]
    (found,) = trace(json.loads(line)["id"], [MODEL])
    assert found.lines == (5,)
    walked = audit(MODEL, AuditOptions(example=5))
    assert walked.verification.is_ok and walked.example is not None


def test_what_only_later_epochs_have_was_not_trained_on() -> None:
    made, _ = finish(epochs=1)
    used = set(numpy.fromfile("mix.epoch-1.order", "<u4").tolist())
    lines = made.paths.data.read_bytes().splitlines()
    (later, *_), (first, *_) = sorted(set(range(len(lines))) - used), sorted(used)
    told = "which only later epochs have: 1 of 3 epochs was trained"
    for query in (json.loads(lines[later])["id"], sha256_hex(lines[later])):
        (found,) = trace(query, [MODEL])
        assert (found.answer, found.why) == ("no", f"on line {later + 1} of the data, {told}")
    assert trace(json.loads(lines[first])["id"], [MODEL])[0].lines == (first + 1,)
    walked = audit(MODEL, AuditOptions(example=later + 1)).verification
    assert walked.is_ok
    assert walked.results[-1].details[0].startswith("it was not trained on: only later epochs")
    assert audit(MODEL, AuditOptions(example=first + 1)).verification.results[-1].details == ()
    card = (MODEL / "README.md").read_text()
    assert "on the records of the first epoch of the 3 of the composition `mix.jsonl`" in card

    Path("mix.epoch-1.order").write_bytes(b"\0" * 108)
    for line in (first, later):
        (found,) = trace(json.loads(lines[line])["id"], [MODEL])
        assert found.answer == "not known"
        assert found.why.endswith("and 1 of 3 epochs was trained, of which an order is not here")
    assert trace("nobody said this", [MODEL])[0].answer == "no"


def test_a_mix_with_orders_differs_from_one_without_by_its_epochs_and_its_rows() -> None:
    for name, config in (("plain", {}), ("orders", {"epochs": EPOCHS})):
        Path(name).mkdir()
        compose(write_project(Path(name), **config))
    found = diff("plain/mix.manifest.json", "orders/mix.manifest.json")
    settings = {setting.path: (setting.a, setting.b) for setting in found.settings}
    assert settings == {"epochs": (None, {"count": "3"})}
    configs = diff("plain/mix.config", "orders/mix.config")
    assert [(one.path, one.b) for one in configs.settings] == [("epochs", {"count": "3"})]
    rows = {module.name: module.rows for module in found.modules}
    assert rows["t/a"] is not None and (rows["t/a"].entered, rows["t/a"].left) == (6, 0)


def test_a_statement_of_other_orders_is_a_fault() -> None:
    made, statement = finish()
    manifest = manifest_of(made)
    assert check_composed(statement, manifest).status == "ok"
    composed = statement.composed
    for orders in ((), composed.orders[::-1], (*composed.orders, composed.orders[0])):
        other = replace(statement, composed=replace(composed, orders=orders))
        found = check_composed(other, manifest)
        assert found.status == "fault" and "in the first of the orders" in found.details[0]
    fewer = replace(statement, composed=replace(composed, orders=composed.orders[:2]))
    assert check_composed(fewer, manifest).status == "ok"
    without = replace(manifest, orders=())
    assert check_composed(statement, without).status == "fault"


# Steps.


def test_steps_are_those_of_each_epoch() -> None:
    numbers = Hyperparameters(effective_batch=4)
    orders = [PlannedOrder(sha256="", examples=examples) for examples in (9, 4, 0, 1)]
    assert optimizer_steps(99, numbers, orders) == 3 + 1 + 0 + 1
    made = [round(epoch_at(step, orders, 4), 2) for step in range(6)]
    assert made == [0, 0.33, 0.67, 1.0, 2.0, 4.0]

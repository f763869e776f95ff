"""Compositions whose epochs have orders: what is written, what is stated, what verify finds."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import pytest

import teapot
from teapot import MixOptions, VerifyOptions
from teapot.canonical import loads
from teapot.cli.app import run
from teapot.configfile import load_config
from teapot.digest import sha256_hex
from teapot.errors import DataError, DigestError, ExpectationError, UsageError
from teapot.files import OutputPaths
from teapot.manifestfile import read_manifest
from teapot.usecases.trainplan import config_differences
from tests.support.compositions import compose, manifest_of, restate, write_project
from tests.support.inline import inline_engine
from tests.support.mixtures import write_mixture
from tests.support.project import chat_rows, write_config, write_module
from tests.support.tokenizers import tokenizer_json

COUNT = 3
EPOCHS = {"orders": True, "count": COUNT}
ORDERS = [Path(f"mix.epoch-{epoch}.order") for epoch in range(1, COUNT + 1)]


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> teapot.Composition:
    """The same mix without orders."""
    return compose(write_project(tmp_path_factory.mktemp("plain")))


@pytest.fixture(scope="module")
def master(tmp_path_factory: pytest.TempPathFactory) -> teapot.Composition:
    """The composition that tests get copies of; its weights are 0.5, 2.3 and 1."""
    return compose(write_project(tmp_path_factory.mktemp("orders"), epochs=EPOCHS))


@pytest.fixture
def made(
    master: teapot.Composition, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> teapot.Composition:
    """A signed composition with orders, in the working folder."""
    shutil.copytree(master.paths.data.parent, tmp_path / "project")
    monkeypatch.chdir(tmp_path / "project")
    return dataclasses.replace(master, paths=OutputPaths(Path("mix.jsonl")))


def order(path: Path) -> list[int]:
    numbers: list[int] = numpy.fromfile(path, "<u4").tolist()
    return numbers


def examples(paths: OutputPaths, epoch: int) -> list[bytes]:
    lines = paths.data.read_bytes().splitlines()
    return [lines[line] for line in order(paths.orders(epoch)[epoch - 1])]


def faults(target: str | Path = "mix.jsonl", **options: Any) -> dict[str, tuple[str, ...]]:
    """Return the details of every check that does not hold."""
    (found,) = teapot.verify(target, options=VerifyOptions(**options))
    wrong = [one for one in found.results if one.status not in ("ok", "note", "skipped")]
    return {one.name: one.details for one in wrong}


def test_the_first_epoch_is_the_mix_without_orders(
    made: teapot.Composition, plain: teapot.Composition
) -> None:
    assert examples(made.paths, 1) == plain.paths.data.read_bytes().splitlines()


def test_every_record_of_an_epoch_stands_once_in_the_data(made: teapot.Composition) -> None:
    lines = made.paths.data.read_bytes().splitlines()
    assert len(set(lines)) == len(lines) == made.data.records
    uses = [Counter(examples(made.paths, epoch)) for epoch in range(1, COUNT + 1)]
    assert set().union(*uses) == set(lines)
    by_module = {name: Counter[int]() for name in ("t/a", "t/b", "t/c")}
    for line in lines:
        used = sum(epoch[line] for epoch in uses)
        by_module[json.loads(line)["module"]][used] += 1
    assert by_module == {"t/a": {1: 6, 2: 6}, "t/b": {6: 1, 7: 6}, "t/c": {3: 5}}
    assert uses[0] != uses[1] != uses[2]


def test_files_are_stated_and_signed(made: teapot.Composition) -> None:
    stated = manifest_of(made)
    assert [part.name for part in stated.orders] == [path.name for path in ORDERS]
    for part, path in zip(stated.orders, ORDERS, strict=True):
        written = path.read_bytes()
        assert (part.sha256, part.bytes) == (sha256_hex(written), len(written))
        assert part.examples == len(order(path)) == 27
    value = loads(made.paths.manifest.read_bytes())
    assert [part["name"] for part in value["subject"]] == ["mix.jsonl", *(p.name for p in ORDERS)]
    assert value["subject"][3]["digest"]["sha256"] == sha256_hex(ORDERS[2].read_bytes())
    assert stated.recipe.epochs == {"count": "3"}
    told = {m.name: (m.lines, m.kept, m.unused, m.epoch_lines) for m in stated.report.modules}
    assert told == {"t/a": (12, 12, 0, 6), "t/b": (7, 7, 0, 16), "t/c": (5, 5, 0, 5)}
    assert read_manifest(made.paths.manifest.read_bytes(), "m").to_bytes() == (
        made.paths.manifest.read_bytes()
    )
    assert [part["path"] for part in made.to_dict()["orders"]] == [str(path) for path in ORDERS]


def test_a_manifest_without_orders_says_nothing_of_them(plain: teapot.Composition) -> None:
    written = plain.paths.manifest.read_bytes()
    assert b"epoch" not in written and b"order" not in written
    assert manifest_of(plain).to_bytes() == written


def test_an_order_that_would_be_one_too_many_stops_a_run(
    tmp_path: Path,
) -> None:
    config = write_project(tmp_path, epochs=EPOCHS)
    foreign = tmp_path / f"mix.epoch-{COUNT + 1}.order"
    foreign.write_bytes(b"mine")
    with pytest.raises(UsageError) as refused:
        compose(config)
    told = "is there and has no manifest: not Teapot's work; choose -o, or remove it"
    assert str(refused.value) == f"{foreign}: {told}"
    assert foreign.read_bytes() == b"mine"
    assert not (tmp_path / "mix.jsonl").exists()


def test_an_order_is_explained_by_its_data(made: teapot.Composition) -> None:
    with pytest.raises(UsageError) as refused:
        teapot.explain(ORDERS[0], ["1"])
    told = "is the order of an epoch, expected a config, a data file or a manifest"
    assert str(refused.value).startswith(f"mix.epoch-1.order: {told}")
    with pytest.raises(UsageError, match="is the order of an epoch, and a proof is of a line"):
        teapot.prove(ORDERS[0], "1")


@pytest.mark.parametrize("target", ["mix.jsonl", "mix.epoch-2.order", "mix.manifest.json", "."])
def test_whatever_names_the_composition_verifies_it(made: teapot.Composition, target: str) -> None:
    assert faults(target) == {}
    assert faults(target, records=True, rebuild=True, config=Path("mix.config")) == {}


def test_a_small_weight_uses_new_records_each_epoch_and_leaves_out_the_rest(tmp_path: Path) -> None:
    write_module(tmp_path, "t/a", chat_rows("a", 30))
    made = compose(write_config(tmp_path, {"t/a": 0.1}, epochs=EPOCHS))
    (module,) = manifest_of(made).report.modules
    assert (module.lines, module.unused, module.epoch_lines) == (9, 21, 3)
    used = [line for epoch in (1, 2, 3) for line in examples(made.paths, epoch)]
    assert len(set(used)) == len(used) == 9


def test_shards_and_threads_and_tasks_make_the_same_orders(tmp_path: Path) -> None:
    ways: dict[str, dict[str, Any]] = {
        "whole": {"workers": 1},
        "shards": {"shards": 4},
        "tasks": {"engine": inline_engine(range_bytes=3000, bucket_bytes=2000)},
    }
    found = {}
    for name, options in ways.items():
        (tmp_path / name).mkdir()
        config = write_mixture(tmp_path / name, epochs=EPOCHS, duplicates="drop")
        made = compose(config, **options)
        assert faults(made.paths.manifest) == {}
        found[name] = [path.read_bytes() for path in made.paths.orders(COUNT)]
        found[name].append(made.data.sha256.encode())
    assert found["whole"] == found["shards"] == found["tasks"]


def _change(epoch: int, place: int, line: int) -> None:
    written = bytearray(ORDERS[epoch].read_bytes())
    written[4 * place : 4 * place + 4] = line.to_bytes(4, "little")
    ORDERS[epoch].write_bytes(written)


def _swap_files() -> None:
    held = ORDERS[0].read_bytes()
    ORDERS[0].write_bytes(ORDERS[1].read_bytes())
    ORDERS[1].write_bytes(held)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (ORDERS[1].unlink, ["mix.epoch-2.order cannot be read: No such file or directory"]),
        (lambda: _change(0, 3, 0), ["mix.epoch-1.order was altered: expected sha256"]),
        (lambda: ORDERS[2].write_bytes(ORDERS[2].read_bytes()[:-1]),
         ["mix.epoch-3.order was altered: expected sha256"]),
        (lambda: ORDERS[2].write_bytes(ORDERS[2].read_bytes() + b"x"),
         ["mix.epoch-3.order has more than the 108 bytes stated"]),
        (_swap_files, ["mix.epoch-1.order was altered", "mix.epoch-2.order was altered"]),
        (lambda: Path("mix.epoch-4.order").write_bytes(b""),
         ["mix.epoch-4.order is no part of this composition: remove it"]),
    ],
)  # fmt: skip
def test_an_order_that_is_not_the_one_stated_is_named(
    change: Callable[[], object], told: list[str], made: teapot.Composition
) -> None:
    change()
    found = faults()
    assert list(found) == ["orders"]
    for sentence, start in zip(found["orders"], told, strict=True):
        assert sentence.startswith(start)


def _sign_order(made: teapot.Composition, change: Callable[[], None]) -> None:
    """Have whoever holds the key state an order as it is after a change."""
    change()

    def state(value: Any) -> None:
        stated = value["predicate"]["teapot_composition"]["orders"]
        for number, path in enumerate(ORDERS):
            digest = sha256_hex(path.read_bytes())
            stated[number]["sha256"] = value["subject"][1 + number]["digest"]["sha256"] = digest

    restate(made, state)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda: _change(0, 0, 24),
         "mix.epoch-1.order names line 25, and the data has 24"),
        (lambda: [_change(epoch, place, 1) for epoch in range(3)
                  for place, line in enumerate(order(ORDERS[epoch])) if line == 0],
         "1 line of the data, line 1 first, are in no epoch"),
    ],
)  # fmt: skip
def test_a_signed_order_that_does_not_fit_the_data_is_found(
    change: Callable[[], None], told: str, made: teapot.Composition
) -> None:
    _sign_order(made, change)
    found = faults()
    assert list(found) == ["orders"]
    assert told in found["orders"]


def test_a_signed_order_that_ranks_do_not_give_is_found(made: teapot.Composition) -> None:
    _sign_order(made, _swap_files)
    found = faults()
    assert list(found) == ["epochs"]
    assert found["epochs"][0].startswith("mix.epoch-1.order is not the order of epoch 1: stated")


def test_numbers_that_nothing_can_have_are_told_and_not_worked_through(
    made: teapot.Composition,
) -> None:
    def claim(value: Any) -> None:
        stated = _composition(value)
        stated["data"]["records"] = 10**15
        stated["modules"][0]["epoch_lines"] = 10**15

    restate(made, claim)
    assert {"sums", "data"} <= faults().keys() and "orders" not in faults()


def test_a_size_that_the_file_has_not_is_told_and_bounds_the_work(
    made: teapot.Composition,
) -> None:
    examples = 10**12

    def claim(value: Any) -> None:
        stated = _composition(value)
        for module in stated["modules"]:
            module["epoch_lines"] = 0
        stated["modules"][0]["epoch_lines"] = examples
        for one in stated["orders"]:
            one["examples"], one["bytes"] = examples, 4 * examples

    restate(made, claim)
    assert "expected sha256" in faults()["orders"][0]


def test_data_that_was_altered_leaves_the_orders_their_own_check(made: teapot.Composition) -> None:
    with made.paths.data.open("ab") as file:
        file.write(b"{}\n")
    assert "orders" not in faults()
    _change(0, 3, 0)
    assert faults()["orders"][0].startswith("mix.epoch-1.order was altered")


def _composition(value: Any) -> Any:
    return value["predicate"]["teapot_composition"]


def _set_count(value: Any) -> None:
    value["predicate"]["buildDefinition"]["externalParameters"]["recipe"]["epochs"] = {"count": "2"}


def _more_lines(value: Any) -> None:
    _composition(value)["modules"][0]["epoch_lines"] = 7
    for part in _composition(value)["orders"]:
        part["examples"], part["bytes"] = 28, 112


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda value: _composition(value)["orders"][0].update(examples=26),
         "mix.epoch-1.order: 26 examples, the modules give 27 an epoch"),
        (lambda value: _composition(value)["orders"][1].update(bytes=107),
         "mix.epoch-2.order: 107 bytes, expected 4 for each example, 27"),
        (_set_count, "it asks for orders of 2 epochs, stated are 3"),
        (lambda value: _composition(value)["modules"][1].pop("epoch_lines"),
         "t/b: lines of epochs are stated where no orders are asked for, or not"),
        (_more_lines, "t/a: weight 0.5 of 12 usable records gives 6 lines, stated are 7"),
        (lambda value: _composition(value)["modules"][0].update(lines=11, kept=11, unused=1),
         "t/a: its epochs use 12 records, stated are 11 on 11 lines"),
    ],
)  # fmt: skip
def test_a_manifest_that_contradicts_its_recipe_is_found(
    change: Callable[[Any], object], told: str, made: teapot.Composition
) -> None:
    restate(made, change)
    assert told in [one for details in faults().values() for one in details]


def test_an_order_under_another_name_is_refused(made: teapot.Composition) -> None:
    def rename(value: Any) -> None:
        _composition(value)["orders"][0]["name"] = value["subject"][1]["name"] = "../x.order"

    restate(made, rename)
    assert "schema" in faults()


def test_fewer_epochs_remove_the_orders_that_are_left(made: teapot.Composition) -> None:
    config = write_project(Path(), epochs={"orders": True, "count": 2})
    compose(config)
    assert [path.exists() for path in ORDERS] == [True, True, False]
    assert faults() == {}
    compose(write_project(Path()))
    assert not any(path.exists() for path in ORDERS)
    assert faults() == {}


def test_a_file_that_no_manifest_tells_of_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "mix.epoch-1.order").write_text("mine")
    with pytest.raises(UsageError, match=r"mix\.epoch-1\.order: is there and has no manifest"):
        compose(write_project(tmp_path, epochs=EPOCHS))
    assert (tmp_path / "mix.epoch-1.order").read_text() == "mine"


def test_a_verified_composition_gives_its_orders_hashed_again(made: teapot.Composition) -> None:
    proven = teapot.verified("mix.jsonl")
    given = [n for block in proven.epoch(1) for n in block.tolist()]
    assert given == order(ORDERS[1])
    _change(1, 0, 5)
    with pytest.raises(DigestError, match=r"mix\.epoch-2\.order: has changed since"):
        list(proven.epoch(1))


def test_a_lost_order_is_no_verified_composition(made: teapot.Composition) -> None:
    ORDERS[0].unlink()
    with pytest.raises(DataError, match="orders: expected 3 orders"):
        teapot.verified("mix.jsonl")


def test_expected_examples_are_those_of_an_epoch(tmp_path: Path) -> None:
    compose(write_project(tmp_path, epochs=EPOCHS, expect={"examples": 27}))
    with pytest.raises(ExpectationError, match="found 27 examples, expected 24"):
        compose(write_project(tmp_path, epochs=EPOCHS, expect={"examples": 24}))


def test_a_plan_is_the_account_of_the_composition(made: teapot.Composition) -> None:
    planned = teapot.plan("mix.config", MixOptions())
    assert planned.recipe == manifest_of(made).recipe
    assert planned.report.modules == manifest_of(made).report.modules
    assert planned.to_dict()["epochs"] == COUNT


def test_what_is_printed_tells_an_epoch_from_unique_lines(
    made: teapot.Composition, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["compose", "mix.config", "-o", "mix.jsonl", "--no-sign"]) == 0
    told = capsys.readouterr().out
    assert "unique   an epoch" in told
    assert "epochs    3 of 27 examples each, of 24 unique lines" in told
    assert "orders    mix.epoch-1.order to mix.epoch-3.order, 324 bytes" in told
    assert run(["plan", "mix.config", "--json"]) == 0


def test_explain_tells_which_epochs_have_a_record(
    made: teapot.Composition, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = made.paths.data.read_bytes().splitlines()
    for number, line in enumerate(lines):
        uses = tuple(order(path).count(number) for path in ORDERS)
        (answer,) = teapot.explain("mix.jsonl", [str(number + 1)])
        assert [found.uses for found in answer.explanations] == [uses]
        assert run(["explain", "mix.jsonl", json.loads(line)["id"]]) == 0
        times = {epoch: "" if n == 1 else f" ({n} times)" for epoch, n in enumerate(uses, 1) if n}
        told = ", ".join(f"{epoch}{word}" for epoch, word in times.items())
        assert f"  epochs     {told}\n" in capsys.readouterr().out
    ORDERS[0].unlink()
    (answer,) = teapot.explain("mix.jsonl", ["1"])
    assert answer.explanations[0].uses == () and "uses" not in answer.explanations[0].to_dict()


def test_amounts_are_those_of_an_epoch(tmp_path: Path) -> None:
    for name, count in (("a", 40), ("b", 9), ("c", 30)):
        write_module(tmp_path, f"t/{name}", chat_rows(name, count))
    base = teapot.plugins.load_trainer("apertus")[0].base
    (tmp_path / "tokenizer.json").write_text(tokenizer_json(base))
    modules = {"t/a": {"tokens": "1k"}, "t/b": {"share": "50%"}, "t/c": {"rows": 10}}
    config: dict[str, Any] = {
        "license": {"allowed": "all"}, "modules": modules, "epochs": EPOCHS,
        "amounts": {"share_of": "tokens"}, "tokenizer": "tokenizer.json",
    }  # fmt: skip
    path = tmp_path / "mix.config"
    path.write_text(json.dumps(config))
    made = compose(path)
    assert faults(made.paths.manifest, rebuild=True, config=path) == {}
    report = manifest_of(made).report
    a, b, c = report.modules
    assert a.usable_tokens is not None and a.epoch_lines is not None
    assert 900 <= a.usable_tokens * a.epoch_lines / 40 <= 1100
    assert report.realised(a).endswith(" tokens") and report.realised(b).startswith(("50", "49"))
    assert (c.lines, c.epoch_lines, report.realised(c)) == (30, 10, "10 rows")


def test_training_by_a_config_of_other_epochs_is_noted(made: teapot.Composition) -> None:
    config = load_config(write_project(Path())).config
    told = "epochs.orders: the config says none, the composition was made with 3 epochs"
    assert told in config_differences(config, manifest_of(made).recipe)

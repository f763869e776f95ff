"""The plan of a fine-tune: its numbers, its steps, its prompt, and the files that hold it."""

from __future__ import annotations

import json
from dataclasses import asdict, fields, replace
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from teapot.canonical import loads
from teapot.configfile import load_config
from teapot.errors import ConfigError, OutputError, Problem
from teapot.licenseterms import passing
from teapot.model.config import Config
from teapot.model.recipe import Recipe
from teapot.model.trainplan import (
    Estimate,
    Hyperparameters,
    TrainPlan,
    optimizer_steps,
    warmup_steps,
)
from teapot.plugins import load_trainer
from teapot.usecases.trainplan import (
    PLAN,
    SYSTEM_PROMPT,
    TrainOptions,
    config_differences,
    prepare_training,
    system_prompt_of,
    write_plan,
)
from tests.support.compositions import compose, manifest_of
from tests.support.models import write_model
from tests.support.project import chat_rows, write_config, write_module


def config(**declared: Any) -> Config:
    """Return a config as a file gives it, after the schema has accepted it."""
    return Config.from_dict({"license": {"allowed": "all"}, "modules": {"t/one": True}, **declared})


def training(**declared: Any) -> Hyperparameters:
    return Hyperparameters.of(config(training=declared))


# Hyperparameters.


V12 = {
    "method": "qlora", "quantization": "nf4", "double_quantization": True,
    "compute_dtype": "bfloat16", "lora_r": 64, "lora_alpha": 128, "lora_dropout": "0.05",
    "epochs": "3", "effective_batch": 16, "learning_rate": "0.0002", "scheduler": "cosine",
    "warmup_ratio": "0.05", "optimizer": "adamw", "weight_decay": "0", "max_grad_norm": "1",
    "max_length": 4096, "micro_batch_tokens": None, "seed": 42, "use_cache": False,
    "gradient_checkpointing": None,
}  # fmt: skip


@pytest.mark.parametrize("given", [None, config()], ids=["no config", "a silent config"])
def test_the_defaults_are_the_recipe_of_karma_electric_v12(given: Config | None) -> None:
    assert asdict(Hyperparameters.of(given)) == V12


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("epochs", 2, "2"),
        ("learning_rate", "1e-5", "0.00001"),
        ("lora_r", 8, 8),
        ("lora_alpha", 16, 16),
        ("max_length", 512, 512),
        ("warmup_ratio", "0.1", "0.1"),
        ("seed", 0, 0),
        ("gradient_checkpointing", False, False),
        ("gradient_checkpointing", True, True),
        ("micro_batch_tokens", 8192, 8192),
    ],
)
def test_a_setting_of_the_config_takes_the_place_of_its_default_alone(
    key: str, value: Any, expected: Any
) -> None:
    assert asdict(training(**{key: value})) == {**V12, key: expected}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("2e-4", "0.0002"), ("2E-4", "0.0002"), ("0.00020", "0.0002"), (Decimal("2e-4"), "0.0002"),
        (3, "3"), (Decimal("3.0"), "3"), (Decimal("1.50"), "1.5"), (100, "100"),
        (Decimal("1e3"), "1000"), ("0.1", "0.1"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("key", ["epochs", "learning_rate", "warmup_ratio"])
def test_a_decimal_keeps_its_value_as_plain_text(key: str, value: Any, text: str) -> None:
    assert getattr(training(**{key: value}), key) == text


@given(st.integers(1, 10**9), st.integers(0, 12))
def test_any_decimal_is_told_without_an_exponent_and_without_idle_zeros(
    digits: int, places: int
) -> None:
    text = training(learning_rate=f"{digits}e-{places}").learning_rate
    assert set(text) <= set("0123456789.")
    assert Fraction(text) == Fraction(digits, 10**places)
    assert not ("." in text and text.endswith(("0", ".")))


@pytest.mark.parametrize(
    ("base", "expected"),
    [
        ({"method": "qlora"}, ("qlora", "nf4", True)),
        ({"method": "qlora", "quantization": "nf4"}, ("qlora", "nf4", True)),
        ({"method": "lora"}, ("lora", None, False)),
        ({"method": "full"}, ("full", None, False)),
    ],
)
def test_only_qlora_quantizes(base: dict[str, str], expected: tuple[Any, ...]) -> None:
    made = Hyperparameters.of(config(base=base))
    assert (made.method, made.quantization, made.double_quantization) == expected
    others = ("method", "quantization", "double_quantization")
    assert {key: value for key, value in asdict(made).items() if key not in others} == {
        key: value for key, value in V12.items() if key not in others
    }


@pytest.mark.parametrize(
    ("base", "path", "told"),
    [
        ({"method": "dora"}, "base.method", "found 'dora', expected one of qlora, lora, full"),
        ({"quantization": "int8"}, "base.quantization", "found 'int8', expected nf4 with qlora"),
        ({"quantization": 4}, "base.quantization", "found '4', expected nf4 with qlora"),
    ],
)
def test_what_teapot_does_not_train_with_is_refused(
    base: dict[str, Any], path: str, told: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        Hyperparameters.of(config(base=base))
    assert caught.value.problems == (Problem("", told, path),)


@pytest.mark.parametrize(
    ("given", "batch"),
    [
        ({}, 16),
        ({"batch_size": 2, "gradient_accumulation": 8}, 16),
        ({"batch_size": 4, "gradient_accumulation": 2}, 8),
        ({"batch_size": 3, "gradient_accumulation": 5}, 15),
        ({"batch_size": 1}, 16),
        ({"batch_size": 16}, 16),
        ({"gradient_accumulation": 4}, 16),
        ({"gradient_accumulation": 1}, 16),
    ],
)
def test_a_step_has_the_product_of_both_or_the_default_around_one(
    given: dict[str, int], batch: int
) -> None:
    assert asdict(training(**given)) == {**V12, "effective_batch": batch}


@pytest.mark.parametrize("value", [3, 5, 6, 15, 17, 32])
@pytest.mark.parametrize(
    ("key", "other"),
    [("batch_size", "gradient_accumulation"), ("gradient_accumulation", "batch_size")],
)
def test_a_batch_that_cannot_be_told_names_the_setting_that_lacks(
    key: str, other: str, value: int
) -> None:
    with pytest.raises(ConfigError) as caught:
        training(**{key: value})
    told = f"{value} does not divide the 16 examples of a step; give training.{other} too"
    assert caught.value.problems == (Problem("", told, f"training.{key}"),)


def test_a_config_that_cannot_be_planned_is_told_with_its_name(tmp_path: Path) -> None:
    write_module(tmp_path, "t/one", chat_rows("a", 5))
    compose(write_config(tmp_path, {"t/one": 1}, output=str(tmp_path / "mix.jsonl")))
    file = write_config(tmp_path, {"t/one": 1}, output=str(tmp_path / "mix.jsonl"),
                        training={"batch_size": 3})  # fmt: skip
    model = write_model(tmp_path / "model", "apertus")
    trainer = load_trainer("apertus")[0]
    with pytest.raises(ConfigError) as caught:
        prepare_training(file, trainer, TrainOptions(model=str(model)))
    assert str(caught.value).startswith(f"{file}: training.batch_size: 3 does not divide")


# Steps.


@pytest.mark.parametrize(
    ("rows", "changed", "steps"),
    [
        # The recipe of v12: 3,346 / 16 is 209.1, so an epoch has 210 steps, and three 630.
        (3346, {}, 630),
        (3346, {"epochs": "1"}, 210),
        (3346, {"effective_batch": 1}, 10_038),
        (16, {}, 3),
        (17, {}, 6),
        (1, {}, 3),
        (0, {}, 0),
        # A part of an epoch rounds up: 210 / 2, 21 / 2, 0.1 × 10.
        (3346, {"epochs": "0.5"}, 105),
        (336, {"epochs": "0.5"}, 11),
        (160, {"epochs": "0.1"}, 1),
        (160, {"epochs": "0.11"}, 2),
        (160, {"epochs": "1.1"}, 11),
        (160, {"epochs": "0.001"}, 1),
    ],
)
def test_steps_are_counted_by_epochs(rows: int, changed: dict[str, Any], steps: int) -> None:
    assert optimizer_steps(rows, replace(Hyperparameters(), **changed)) == steps


@given(st.integers(0, 500), st.integers(1, 5), st.integers(1, 40))
def test_whole_epochs_have_the_steps_of_a_loop_that_cuts_each_into_batches(
    rows: int, epochs: int, batch: int
) -> None:
    steps = 0
    for _ in range(epochs):
        left = list(range(rows))
        while left:
            del left[:batch]
            steps += 1
    plan = replace(Hyperparameters(), epochs=str(epochs), effective_batch=batch)
    assert optimizer_steps(rows, plan) == steps


@given(st.integers(1, 500), st.integers(1, 40), st.integers(1, 4000))
def test_a_part_of_an_epoch_ends_with_the_first_step_that_reaches_it(
    rows: int, batch: int, thousandths: int
) -> None:
    an_epoch = len(range(0, rows, batch))
    steps = 0
    while steps * 1000 < an_epoch * thousandths:
        steps += 1
    epochs = str(Decimal(thousandths) / 1000)
    plan = replace(Hyperparameters(), epochs=epochs, effective_batch=batch)
    assert optimizer_steps(rows, plan) == steps


@pytest.mark.parametrize(
    ("steps", "ratio", "warmup"),
    # 630 × 0.05 is 31.5; a share that is whole stays what it is.
    [(630, "0.05", 32), (600, "0.05", 30), (1, "0.05", 1), (630, "0", 0), (0, "0.05", 0),
     (10, "1", 10), (100, "0.07", 7)],
)  # fmt: skip
def test_the_share_of_warmup_rounds_up(steps: int, ratio: str, warmup: int) -> None:
    assert warmup_steps(steps, replace(Hyperparameters(), warmup_ratio=ratio)) == warmup


# The plan and its file.

NEEDS = Estimate(
    weights_gb=5.924061184, optimizer_gb=2.5, activations_gb=1.0, logits_gb=0.125,
    runtime_gb=1.0, gradient_checkpointing=True, hours=0.416666,
)  # fmt: skip
PLANNED = TrainPlan(
    base="apertus", model="owner/name", revision="1" * 40, model_config_sha256="2" * 64,
    lora_targets=("q_proj", "up_proj"), hyperparameters=Hyperparameters(),
    manifest_sha256="3" * 64, data_sha256="4" * 64, rows=3346, optimizer_steps=630,
    warmup_steps=32, tokenizer_sha256="5" * 64, own_template_sha256="6" * 64,
    training_template_sha256="7" * 64, system_prompt="You are a teapot. 🫖\nShort and stout.",
    pad_token="<pad>", estimate=NEEDS, versions={"teapot": "1", "tokenizers": "0.1"},
)  # fmt: skip


def in_folder(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_plan_is_written_whole_as_strict_json(tmp_path: Path) -> None:
    write_plan(PLANNED, tmp_path / "new" / "model")
    data = (tmp_path / "new" / "model" / PLAN).read_bytes()
    found = loads(data)
    assert found == {
        "format": "teapot/train-plan/v1", "base": "apertus", "model": "owner/name",
        "revision": "1" * 40, "model_config_sha256": "2" * 64,
        "lora_targets": ["q_proj", "up_proj"], "hyperparameters": V12,
        "manifest_sha256": "3" * 64, "data_sha256": "4" * 64, "rows": 3346,
        "optimizer_steps": 630, "warmup_steps": 32, "tokenizer_sha256": "5" * 64,
        "own_template_sha256": "6" * 64, "training_template_sha256": "7" * 64,
        "system_prompt": "You are a teapot. 🫖\nShort and stout.", "pad_token": "<pad>",
        "versions": {"teapot": "1", "tokenizers": "0.1"},
        # 5.924061184 + 2.5 + 1 + 0.125 + 1 = 10.549061184
        "estimate": {
            "weights_gb": Decimal("5.92"), "optimizer_gb": Decimal("2.5"),
            "activations_gb": 1, "logits_gb": Decimal("0.12"), "runtime_gb": 1,
            "gradient_checkpointing": True, "hours": Decimal("0.42"),
            "memory_gb": Decimal("10.55"),
        },
    }  # fmt: skip
    names = {field.name for field in fields(TrainPlan)} - {"orders"}  # which few compositions have
    assert found.keys() == {"format"} | names
    assert found["estimate"]["gradient_checkpointing"] is True
    assert data.endswith(b"\n}\n")
    assert json.loads(data) == json.loads(json.dumps(PLANNED.to_dict(), allow_nan=False))


def test_the_prompt_lies_beside_the_plan_byte_for_byte(tmp_path: Path) -> None:
    write_plan(PLANNED, tmp_path)
    assert in_folder(tmp_path) == [PLAN, SYSTEM_PROMPT]
    prompt = (tmp_path / SYSTEM_PROMPT).read_bytes()
    assert prompt == b"You are a teapot. \xf0\x9f\xab\x96\nShort and stout."


@pytest.mark.parametrize(("prompt", "names"), [(None, [PLAN]), ("", [PLAN, SYSTEM_PROMPT])])
def test_a_prompt_is_written_only_where_rows_get_one(
    prompt: str | None, names: list[str], tmp_path: Path
) -> None:
    write_plan(replace(PLANNED, system_prompt=prompt), tmp_path)
    assert in_folder(tmp_path) == names
    assert loads((tmp_path / PLAN).read_bytes())["system_prompt"] == prompt


def test_the_same_plan_is_written_again(tmp_path: Path) -> None:
    write_plan(PLANNED, tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    (tmp_path / SYSTEM_PROMPT).unlink()
    write_plan(PLANNED, tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_another_plan_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    write_plan(PLANNED, tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(OutputError) as caught:
        write_plan(replace(PLANNED, rows=3347, system_prompt="You are a kettle."), tmp_path)
    told = "is another plan; choose another folder"
    assert str(caught.value) == f"{tmp_path / PLAN}: {told}"
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("name", [PLAN, SYSTEM_PROMPT])
def test_no_plan_stands_where_a_file_cannot_be_written(name: str, tmp_path: Path) -> None:
    (tmp_path / name).mkdir()
    with pytest.raises(OutputError, match="cannot be written: Is a directory"):
        write_plan(PLANNED, tmp_path)
    assert in_folder(tmp_path) == [name]


@pytest.mark.parametrize("syncs", [0, 1], ids=["the prompt", "the plan"])
def test_a_full_disk_leaves_nothing_half_written(
    syncs: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = [None] * syncs

    def sync(handle: int) -> None:
        if not left:
            raise OSError(28, "No space left on device")
        left.pop()

    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", sync)
        with pytest.raises(OutputError) as caught:
            write_plan(PLANNED, tmp_path)
    assert str(caught.value) == f"{tmp_path}: cannot be written: No space left on device"
    assert in_folder(tmp_path) == [SYSTEM_PROMPT][:syncs]
    write_plan(PLANNED, tmp_path)
    assert in_folder(tmp_path) == [PLAN, SYSTEM_PROMPT]


def test_a_file_in_the_place_of_the_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "model").write_text("a file")
    with pytest.raises(OutputError, match="model: cannot be written: File exists"):
        write_plan(PLANNED, tmp_path / "model")


# The system prompt.


def prompt_of(folder: Path, given: str | None) -> str | None:
    """Return the prompt of a config, read from a file, whose `system_prompt` is this."""
    declared = {} if given is None else {"system_prompt": given}
    return system_prompt_of(load_config(write_config(folder, {"t/one": 1}, training=declared)))


@pytest.mark.parametrize(
    "given",
    [
        None, "", " ", "You are a teapot.", "absent.txt", "prompts", "x" * 5000, "nul \0 byte",
        "prompt.txt\nprompt.txt", "prompt.txt\n",
    ],
)  # fmt: skip
def test_a_text_is_its_own_prompt(given: str | None, tmp_path: Path) -> None:
    (tmp_path / "prompts").mkdir()
    for name in ("prompt.txt", "prompt.txt\n", "prompt.txt\nprompt.txt"):
        (tmp_path / name).write_text("Not this.")
    assert prompt_of(tmp_path, given) == given


@pytest.mark.parametrize(
    ("data", "prompt"),
    [
        (b"You are a teapot.", "You are a teapot."),
        (b"You are a teapot.\n", "You are a teapot."),
        (b"You are a teapot.\n\n", "You are a teapot.\n"),
        (b"One.\n\nTwo.\r\nThree. \n", "One.\n\nTwo.\r\nThree. "),
        ("茶壺 🫖\n".encode(), "茶壺 🫖"),
        (b"", ""),
    ],
)
@pytest.mark.parametrize("place", ["prompt.txt", "prompts/a prompt.txt"])
def test_the_name_of_a_file_beside_the_config_stands_for_its_text(
    place: str, data: bytes, prompt: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir("/")  # beside the config, not in the working folder
    (tmp_path / "prompts").mkdir()
    (tmp_path / place).write_bytes(data)
    assert prompt_of(tmp_path, place) == prompt


def test_a_prompt_that_is_not_utf_8_is_told_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "prompt.txt").write_bytes(b"You are \xff.")
    with pytest.raises(ConfigError) as caught:
        prompt_of(tmp_path, "prompt.txt")
    (problem,) = caught.value.problems
    assert problem.where == f"{tmp_path / 'mix.config'}:1"
    assert problem.path == "training.system_prompt"
    assert problem.message == f"{tmp_path / 'prompt.txt'} is not UTF-8 at byte 8"


# The config and the composition.

TWO: dict[str, Any] = {
    "modules": {"t/a": True, "t/b": {"repeat": 2}}, "license": {"allowed": ["MIT"]},
    "duplicates": {"policy": "drop", "prefer": ["t/a"]},
    "training": {"seed": 42, "weights": {"t/a": "0.5"}},
}  # fmt: skip


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    """The recipe in the manifest of a composition of two modules."""
    folder = tmp_path_factory.mktemp("two")
    for name in ("a", "b"):
        write_module(folder, f"t/{name}", chat_rows(name, 6))
    (folder / "mix.config").write_text(json.dumps(TWO))
    return manifest_of(compose(folder / "mix.config", signed=False)).recipe


def differences(recipe: Recipe, **changed: Any) -> list[str]:
    return config_differences(Config.from_dict({**TWO, **changed}), recipe)


def test_a_composition_has_no_differences_from_its_own_config(recipe: Recipe) -> None:
    assert differences(recipe) == []


@pytest.mark.parametrize(
    "changed",
    [
        {"base": {"model": "owner/name", "method": "lora"}},
        {"output": "other.jsonl"},
        {"hardware": {"vram_gb": 24}},
        {"training": {"seed": 42, "weights": {"t/a": Decimal("0.50")}, "epochs": 7, "lora_r": 8,
                      "system_prompt": "You are a teapot.", "max_length": 9}},
        {"modules": {"t/a": True, "t/b": {"weight": "2.0"}}},
        {"modules": {"t/b": {"repeat": 2}, "t/a": True}},
        {"modules": {"t/a": True, "t/b": {"repeat": 2}, "t/c": False}},
    ],
)  # fmt: skip
def test_what_does_not_decide_the_rows_is_no_difference(
    changed: dict[str, Any], recipe: Recipe
) -> None:
    assert differences(recipe, **changed) == []


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"training": {**TWO["training"], "seed": 7}}, [("training.seed", "7", "42")]),
        ({"license": {"allowed": "all"}}, [("license.allowed", "all", "MIT")]),
        ({"license": {"profile": "permissive"}}, [
            ("license.allowed", ", ".join(sorted(passing(["permissive"]))), "MIT"),
        ]),
        ({"license": {"allowed": ["MIT", "Apache-2.0"]}},
         [("license.allowed", "Apache-2.0, MIT", "MIT")]),
        ({"duplicates": {"policy": "keep", "prefer": ["t/a"]}},
         [("duplicates", "keep", "drop")]),
        ({"duplicates": {"policy": "drop", "prefer": ["t/b", "t/a"]}},
         [("duplicates.prefer", "t/b, t/a", "t/a")]),
        ({"duplicates": "drop"}, [("duplicates.prefer", "none", "t/a")]),
        ({"checks": ["other", "owns"]}, [("checks", "other, owns", "none")]),
        ({"training": {**TWO["training"], "strip_think": True}},
         [("training.strip_think", "True", "False")]),
        ({"training": {**TWO["training"], "include_reasoning": True}},
         [("training.include_reasoning", "True", "False")]),
        ({"training": {"seed": 42, "weights": {"t/a": "0.7"}}},
         [("weight of t/a", "0.7", "0.5")]),
        ({"modules": {"t/a": True, "t/b": False}}, [("weight of t/b", "0", "2")]),
        ({"modules": {"t/a": True}}, [("weight of t/b", "0", "2")]),
        ({"modules": {**TWO["modules"], "t/c": True}}, [("weight of t/c", "1", "0")]),
        ({"modules": {"t/a": False, "t/b": True}, "training": {"seed": 0}},
         [("training.seed", "0", "42"), ("weight of t/a", "0", "0.5"),
          ("weight of t/b", "1", "2")]),
    ],
)  # fmt: skip
def test_what_the_composition_was_made_with_otherwise_is_named(
    changed: dict[str, Any], told: list[tuple[str, str, str]], recipe: Recipe
) -> None:
    assert differences(recipe, **changed) == [
        f"{key}: the config says {ours}, the composition was made with {theirs}"
        for key, ours, theirs in told
    ]


def test_a_check_is_missing_where_any_module_was_made_without_it(recipe: Recipe) -> None:
    first, second = recipe.modules
    half = replace(recipe, modules=(replace(first, checks=("owns", "tea")), second))
    told = "checks: the config says tea, the composition was made with none"
    assert differences(half, checks=["tea"]) == [told]
    whole = replace(half, modules=(half.modules[0], replace(second, checks=("tea",))))
    assert differences(whole, checks=["tea"]) == differences(whole) == []

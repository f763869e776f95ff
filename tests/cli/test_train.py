"""`teapot train --check` and `--plan`: one table of every rule, and a plan only where all hold."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.progress import Progress

import teapot
from teapot.cli.app import run
from teapot.cli.options import _reporter
from teapot.plugins import load_trainer
from teapot.usecases.trainplan import PLAN, SYSTEM_PROMPT
from tests.support.basepackage import install, write_package
from tests.support.compositions import compose, make, signer
from tests.support.environment import own_key
from tests.support.models import config_of, files_for, model_files, weights_of, write_model
from tests.support.project import chat_row, chat_rows, write_config, write_module
from tests.support.tokenizers import tokenizer_json

ROOT = Path(__file__).parents[2]
Say = Callable[..., tuple[int, str, str]]
RULES = [
    "config", "model", "lora", "control-tokens", "padding", "rows", "template", "bos",
    "masked-text", "turns-end", "supervision", "length", "vocabulary", "context", "use-cache",
    "steps", "memory",
]  # fmt: skip


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working folder in which one key is trusted, and no network: the Hub is nowhere."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    Path("teapot.allowed_signers").write_text(f"alice {own_key().public.ssh}\n")


@pytest.fixture
def say(capfdbinary: pytest.CaptureFixture[bytes]) -> Say:
    """What a command ends with: its exit code, stdout and stderr."""

    def said(*arguments: str) -> tuple[int, str, str]:
        code = run(["train", *arguments])
        out, err = capfdbinary.readouterr()
        return code, out.decode(), err.decode()

    return said


@pytest.fixture
def check(say: Say) -> Callable[..., Any]:
    """The JSON that a check of the mix with the model in `model` prints, its exit code in it."""

    def checked(*arguments: str, base: str = "apertus") -> Any:
        code, out, err = say(
            "--check", "mix.config", "--base", base, "--model", "model", "--json", *arguments
        )
        assert err == "", err
        return {**json.loads(out), "exit_code": code}

    return checked


def faults(found: Any) -> dict[str, Any]:
    """Return the checks that do not hold, by name."""
    assert found["ok"] == (found["exit_code"] == 0)
    return {told["name"]: told for told in found["checks"] if told["status"] == "fault"}


def mix(*rows: Any, **declared: Any) -> teapot.Composition:
    """Compose rows of one module by mix.config, and write a model folder for Apertus."""
    write_model(Path("model"), "apertus")
    write_module(Path(), "t/one", list(rows) or chat_rows("a", 5))
    return compose(write_config(Path(), {"t/one": 1}, output="mix.jsonl", **declared))


# All of it.


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo, composed and signed."""
    folder = tmp_path_factory.mktemp("demo")
    shutil.copytree(ROOT / "configs", folder / "configs")
    output = folder / "demo.jsonl"
    teapot.compose(folder / "configs" / "demo.config", output=output, signer=signer())
    return folder


@pytest.mark.parametrize("base", ["apertus", "llama", "chatml"])
def test_the_demo_is_ready_for_every_shipped_base(
    base: str, demo: Path, say: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(demo)
    Path("teapot.allowed_signers").write_text(f"alice {own_key().public.ssh}\n")
    write_model(Path(base), base)
    asked = ("--check", "configs/demo.config", "--base", base, "--model", base)
    code, out, err = say(*asked)
    assert (code, err) == (0, "")
    assert out.endswith("ready: 16 checks hold\n")
    other = "note: the config names meta-llama/Llama-3.1-8B-Instruct; --base "
    assert out.startswith(other) == (base != "llama")
    found = json.loads(say(*asked, "--json")[1])
    assert [told["name"] for told in found["checks"]] == RULES
    lines = Path("demo.jsonl").read_bytes().count(b"\n")
    assert (found["plan"]["rows"], found["rows"]["rows"]) == (lines, lines) == (149, 149)
    assert found["plan"]["optimizer_steps"] == 30  # 149 rows are 10 steps of 16, three times
    shares = {name: part["thought_share"] for name, part in found["rows"]["modules"].items()}
    assert shares["demo/consequence"] == 1 and shares["demo/czech"] == 0
    assert 0 < shares["demo/tool-use"] < 1


def test_nothing_is_written_by_a_check(check: Callable[..., Any]) -> None:
    mix()
    before = sorted(str(path) for path in Path().rglob("*"))
    assert faults(check()) == {}
    assert sorted(str(path) for path in Path().rglob("*")) == before


def test_no_torch_is_loaded() -> None:
    mix()
    program = (
        "import sys\nfrom teapot.cli.app import run\n"
        "sys.modules['torch'] = None\n"
        "code = run(['train', '--check', 'mix.config', '--base', 'apertus', '--model', 'model'])\n"
        "sys.exit(code)\n"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, b"")


# Each rule on what breaks it.


def test_a_composition_of_other_settings_is_a_fault(check: Callable[..., Any]) -> None:
    mix()
    write_config(Path(), {"t/one": 2}, output="mix.jsonl", training={"seed": 7})
    (name,) = found = faults(check())
    assert name == "config"
    assert found[name]["details"] == [
        "training.seed: the config says 7, the composition was made with 42",
        "weight of t/one: the config says 2, the composition was made with 1",
        "compose again",
    ]


def test_a_model_of_another_base_is_a_fault(check: Callable[..., Any]) -> None:
    mix()
    config = config_of(load_trainer("apertus")[0].base, architectures=["LlamaForCausalLM"])
    write_model(Path("model"), "apertus", config_json=json.dumps(config).encode())
    assert list(faults(check())) == ["model"]


def test_a_lora_target_that_the_model_lacks_is_a_fault(check: Callable[..., Any]) -> None:
    mix()
    write_model(Path("model"), "apertus", model_safetensors=weights_of(("q_proj", "k_proj")))
    found = faults(check())
    assert list(found) == ["lora"]
    assert "up_proj hits 0 modules, expected 2" in found["lora"]["details"]


def test_a_model_whose_modules_are_not_known_is_a_fault(check: Callable[..., Any]) -> None:
    mix()
    Path("model/model.safetensors").unlink()
    found = faults(check())
    assert list(found) == ["lora"]
    assert "has neither model.safetensors.index.json nor" in found["lora"]["found"]


def test_a_tokenizer_of_another_base_is_a_fault_and_no_row_passes(
    check: Callable[..., Any],
) -> None:
    mix()
    other = tokenizer_json(load_trainer("chatml")[0].base).encode()
    write_model(Path("model"), "apertus", tokenizer_json=other)
    found = check()
    assert list(faults(found)) == ["control-tokens", "rows", "steps"]
    assert "<|assistant_end|> is not one token" in faults(found)["control-tokens"]["found"]
    assert found["plan"] is None


def test_a_row_that_the_base_cannot_write_is_a_fault_with_its_line(
    check: Callable[..., Any],
) -> None:
    mix(*chat_rows("a", 3), chat_row("odd", "Hi", "<tool_call>"))
    write_model(Path("model"), "chatml")
    (name,) = found = faults(check(base="chatml"))
    line = 1 + [b'"odd"' in row for row in Path("mix.jsonl").read_bytes().split(b"\n")].index(True)
    assert name == "rows" and found[name]["found"] == "3 of 4 rows"
    assert found[name]["details"] == [
        f"line {line} (t/one): messages[1]: holds '<tool_call>', which chatml would take for its "
        "control token"
    ]


def test_a_chat_template_that_has_drifted_is_a_fault(check: Callable[..., Any]) -> None:
    mix()
    template = model_files("apertus")["chat_template.jinja"]
    drifted = template.replace(b"<|user_start|>{{", b"<|user_start|> {{")
    assert drifted != template
    write_model(Path("model"), "apertus", chat_template_jinja=drifted)
    (name,) = found = faults(check())
    assert name == "template" and found[name]["found"] == "0 of 5 rows"
    assert "in the tokenizer's own chat template ' Question" in found[name]["details"][0]


def test_a_tokenizer_without_a_chat_template_is_a_fault(check: Callable[..., Any]) -> None:
    mix()
    Path("model/chat_template.jinja").unlink()
    assert "has no chat template" in faults(check())["control-tokens"]["found"]


def test_an_overlong_row_is_a_fault_or_left_out(check: Callable[..., Any]) -> None:
    mix(*chat_rows("a", 3), chat_row("long", "why? " * 300), training={"max_length": 300})
    (name,) = found = faults(check())
    assert name == "length" and found[name]["found"] == "3 of 4 rows"
    assert "(t/one): has " in found[name]["details"][0]
    dropped = check("--on-bad-row", "drop")
    assert faults(dropped) == {}
    assert dropped["plan"]["rows"] == 3 and dropped["rows"]["lengths"]["max"] <= 300
    assert [line["module"] for line in dropped["rows"]["dropped"]] == ["t/one"]


def test_rows_that_are_all_left_out_are_a_fault(check: Callable[..., Any]) -> None:
    mix(training={"max_length": 3})
    assert list(faults(check("--on-bad-row", "drop"))) == ["rows-left"]


def test_ids_that_the_model_does_not_know_are_a_fault(check: Callable[..., Any]) -> None:
    mix()
    config = config_of(load_trainer("apertus")[0].base, vocab_size=68)
    write_model(Path("model"), "apertus", config_json=json.dumps(config).encode())
    (name,) = found = faults(check())
    assert name == "vocabulary" and "the model knows 68" in found[name]["details"][0]


def test_a_context_beyond_the_models_is_a_fault(check: Callable[..., Any]) -> None:
    mix(training={"max_length": 70000})
    assert list(faults(check())) == ["context"]


def test_more_memory_than_the_machine_has_is_a_fault(check: Callable[..., Any]) -> None:
    mix(hardware={"vram_gb": 1})
    assert list(faults(check())) == ["memory"]
    mix(hardware={"vram_gb": 24})
    assert faults(check()) == {}


def test_a_base_whose_template_writes_two_bos_or_no_end_is_caught(
    say: Say, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    facts = (
        "name: tea\ntitle: Tea\nmodel: tea/tea\narchitecture: TeaForCausalLM\nmodel_type: tea\n"
        "lora_targets: [q_proj]\nroles: [user, assistant]\nbos: <s>\nend_of_turn: <end>\n"
        "eos: <end>\npad_token: <pad>\ncontrol_tokens: {<s>: 1, <end>: 2, <pad>: 3}\n"
    )
    template = (
        "{{ base.bos }}{{ base.bos }}{% for message in messages %}"
        "{% if message.role == 'assistant' %}{% generation %}Well: {{ message.content }}"
        "{{ base.end_of_turn }}{% endgeneration %}{% else %}{{ message.content }}|{% endif %}"
        "{% endfor %}"
    )
    packages = tmp_path / "packages"
    write_package(packages, "bad_tea", facts=facts, template=template)
    install(packages, "bad_tea")
    monkeypatch.syspath_prepend(str(packages))
    mix()
    own = template.replace("{% generation %}", "").replace("{% endgeneration %}", "")
    own = own.replace("base.bos", "bos_token").replace("base.end_of_turn", "eos_token")
    for file, data in files_for(load_trainer("tea")[0].base, own).items():
        Path("model", file).write_bytes(data)
    asked = ("--check", "mix.config", "--base", "tea", "--model", "model", "--json")
    code, out, _ = say(*asked)
    assert code == 1
    assert list(faults({**json.loads(out), "exit_code": 1})) == ["bos", "masked-text"]


def test_a_task_whose_words_change_stays_one_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("teapot.cli.options._PROGRESS_AFTER_SECONDS", -1)
    bars = Progress(disable=True)
    report = _reporter(bars)
    report("train (loss 2.0)", 1, 3)
    report("train (loss 1.5)", 2, 3)
    report("encode", 1, 1)
    assert [(task.description, task.completed) for task in bars.tasks] == [
        ("train (loss 1.5)", 2), ("encode", 1)
    ]  # fmt: skip


# What is trained, and with what.


def test_data_that_was_changed_unsigned_or_not_trusted_is_refused(say: Say) -> None:
    made = mix()
    asked = ("--check", "mix.config", "--base", "apertus", "--model", "model")
    data = made.paths.data.read_bytes()
    made.paths.data.write_bytes(data.replace(b"Question 1", b"Question 9", 1))
    assert say(*asked)[0] == 1
    made.paths.data.write_bytes(data)
    made.paths.bundle.rename("away")
    assert say(*asked)[0] == 4
    assert say(*asked, "--allow-unsigned")[0] == 0
    Path("away").rename(made.paths.bundle)
    Path("nobody").write_text("")
    assert say(*asked, "--trust", "nobody")[0] == 5


def test_a_config_that_was_not_composed_says_how(say: Say) -> None:
    write_config(Path(), {"t/one": 1}, output="none.jsonl")
    code, _, err = say("--check", "mix.config", "--base", "apertus")
    told = "its composition is not here: no none.manifest.json; run `teapot compose mix.config`"
    assert (code, err) == (2, f"error: mix.config: {told}\n")


def test_without_a_target_the_one_composition_of_the_project_is_taken(say: Say) -> None:
    made = mix()
    asked = ("--plan", "--base", "apertus", "--model", "model")
    code, out, _ = say(*asked)
    assert code == 0 and json.loads(out)["manifest_sha256"] == made.manifest_sha256
    Path("more").mkdir()
    make(Path("more"))
    code, _, err = say(*asked)
    assert code == 2 and "there are 2 compositions, name one: " in err
    assert "mix.manifest.json" in err and str(Path("more", "mix.manifest.json")) in err


def test_a_manifest_is_planned_with_the_defaults_and_a_config_with_its_numbers(say: Say) -> None:
    mix(training={"epochs": 2, "learning_rate": "1e-4", "lora_r": 16, "max_length": 512})
    model = ("--base", "apertus", "--model", "model")
    numbers = json.loads(say("--plan", "mix.manifest.json", *model)[1])["hyperparameters"]
    assert (numbers["epochs"], numbers["lora_r"], numbers["max_length"]) == ("3", 64, 4096)
    numbers = json.loads(say("--plan", "mix.config", *model)[1])["hyperparameters"]
    assert (numbers["epochs"], numbers["learning_rate"]) == ("2", "0.0001")
    assert (numbers["lora_r"], numbers["max_length"]) == (16, 512)


def test_the_prompt_of_the_config_is_trained_and_saved_in_the_model_folder(say: Say) -> None:
    mix(training={"system_prompt": "prompt.txt"})
    Path("prompt.txt").write_text("You are a teapot.\nShort and stout.\n")
    asked = ("--plan", "mix.config", "--base", "apertus", "--model", "model", "-o", "trained")
    code, out, _ = say(*asked)
    assert code == 0
    assert Path("trained", SYSTEM_PROMPT).read_text() == "You are a teapot.\nShort and stout."
    plan = json.loads(Path("trained", PLAN).read_bytes())
    assert plan == json.loads(out)
    assert plan["system_prompt"] == "You are a teapot.\nShort and stout."
    assert sorted(path.name for path in Path("trained").iterdir()) == [PLAN, SYSTEM_PROMPT]
    assert say(*asked)[0] == 0
    Path("prompt.txt").write_text("You are a kettle.")
    code, _, err = say(*asked)
    assert code == 6 and "is another plan; choose another folder" in err
    assert json.loads(Path("trained", PLAN).read_bytes()) == plan


def test_a_plan_names_no_path_and_is_the_same_by_any_path_to_the_model(say: Say) -> None:
    mix()
    asked = ("--plan", "mix.config", "--base", "apertus", "--model")
    paths = ("model", "./model/", str(Path("model").resolve()))
    first, *others = [say(*asked, path) for path in paths]
    assert json.loads(first[1])["model"] == "model"
    assert others == [first, first]


def test_no_plan_is_given_where_a_check_fails(say: Say) -> None:
    mix(training={"max_length": 70000})
    asked = ("mix.config", "--base", "apertus", "--model", "model", "-o", "trained")
    code, out, _ = say("--plan", *asked)
    assert code == 1 and "NOT READY: context" in out
    assert not Path("trained").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--check", "--plan"), 2, "--check writes nothing; leave out --plan and --output"),
        (("--check", "-o", "x"), 2, "--check writes nothing; leave out --plan and --output"),
        (("--check", "--model", "no where"), 2, "is no folder here, and no OWNER/NAME"),
        (("--check", "--offline"), 3, "is not in the Hub cache, and --offline is set"),
    ],
)
def test_what_cannot_be_done_is_told(
    arguments: tuple[str, ...], code: int, message: str, say: Say, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    mix()
    found, out, err = say("mix.config", "--base", "apertus", *arguments)
    assert (found, out) == (code, "") and message in err

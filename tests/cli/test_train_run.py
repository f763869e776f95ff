"""`teapot train` for real: tiny models with random weights, on the CPU, by the command line.

A process that trains takes ten seconds to import all that it needs, so there is one for each base;
every other command runs in the tests' own process.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from safetensors import safe_open

from teapot.interfaces import Progress
from teapot.model.fitjob import FitJob
from teapot.model.trainoutcome import TrainOutcome
from teapot.usecases.train import WORK
from teapot.workfolder import only_run
from teapot_trainers.package import PackageTrainer
from tests.support.basepackage import documented_files, install, write_package
from tests.support.compositions import compose
from tests.support.environment import own_key
from tests.support.machine import said
from tests.support.models import write_model
from tests.support.project import chat_rows, write_config, write_module
from tests.support.tinymodels import write_tiny_model

# PEFT calls what the newest transformers has given another name.
pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")
ADAPTER = "adapter_model.safetensors"
INTERRUPTED = "stopped; the same command with --resume goes on after the last checkpoint\n"
ASKED = ("mix.config", "--base", "apertus", "--model", "tiny", "--device", "cpu")
TRAINING = {
    "epochs": 1, "lora_r": 4, "batch_size": 2, "gradient_accumulation": 2, "max_length": 512,
    "gradient_checkpointing": False,
}  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Ran:
    """What a command ended with."""

    code: int
    stdout: str
    stderr: str


Teapot = Callable[..., Ran]
Trained = Callable[[str], Ran]


def write_mix(folder: Path) -> None:
    """Write a small signed composition into a folder, and who is trusted there."""
    (folder / "teapot.allowed_signers").write_text(f"alice {own_key().public.ssh}\n")
    write_module(folder, "t/one", chat_rows("a", 6))
    compose(write_config(folder, {"t/one": 1}, output="mix.jsonl", training=TRAINING))


@pytest.fixture
def mix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small signed composition in the working folder, and who is trusted."""
    monkeypatch.chdir(tmp_path)
    write_mix(Path())
    return tmp_path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Path, Ran]]:
    """What trains a base once, and gives the folder with the mix, and what the command said."""
    done: dict[str, tuple[Path, Ran]] = {}

    def make(base: str) -> tuple[Path, Ran]:
        if base not in done:
            folder = tmp_path_factory.mktemp(base)
            write_mix(folder)
            write_tiny_model(folder / "tiny", base)
            asked = ("mix.config", "--base", base, "--model", "tiny", "--device", "cpu")
            done[base] = folder, in_process("train", *asked, folder=folder)
        return done[base]

    return make


@pytest.fixture
def trained(
    made: Callable[[str], tuple[Path, Ran]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Trained:
    """What gives a copy of a trained model with its mix, as the working folder."""

    def copied(base: str) -> Ran:
        folder, ran = made(base)
        monkeypatch.chdir(shutil.copytree(folder, tmp_path / "work"))
        return ran

    return copied


@pytest.fixture
def teapot(capsys: pytest.CaptureFixture[str]) -> Teapot:
    """What runs a command in the tests' own process."""

    def done(*arguments: str) -> Ran:
        code, out, err = said(capsys, *arguments)
        return Ran(code=code, stdout=out, stderr=err)

    return done


def in_process(*arguments: str, folder: Path, packages: Path | None = None) -> Ran:
    """Run a command in a process of its own, with packages of a third party where given."""
    path = [str(packages)] if packages else []
    ran = subprocess.run(
        [sys.executable, "-m", "teapot", *arguments], encoding="utf-8", check=False,
        capture_output=True, cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path), "HF_HUB_OFFLINE": "1"},
    )  # fmt: skip
    return Ran(code=ran.returncode, stdout=ran.stdout, stderr=ran.stderr)


def origin(folder: Path) -> dict[str, Any]:
    with safe_open(str(folder / ADAPTER), framework="numpy") as opened:
        return dict(opened.metadata())


@pytest.mark.parametrize("base", ["apertus", "llama"])
def test_a_base_is_trained_on_the_composition_of_a_config(
    base: str, trained: Trained, teapot: Teapot
) -> None:
    ran = trained(base)
    assert (ran.code, ran.stderr) == (0, ""), ran.stderr
    folder = Path(f"mix-{base}")
    plan = json.loads((folder / "plan.json").read_bytes())
    assert (plan["rows"], plan["optimizer_steps"]) == (6, 2)
    assert origin(folder)["teapot.manifest_sha256"] == plan["manifest_sha256"]
    assert (folder / "system-prompt.txt").read_text() == (plan["system_prompt"] or "")
    assert not (folder / WORK).exists() and not list(Path().glob(".mix*"))
    assert ran.stdout.startswith(f"model     {folder}\ntrained   2 steps, ")
    for command in ("verify", "audit"):
        told = teapot(command, str(folder))
        assert told.code == 0, told.stdout + told.stderr
    card = (folder / "README.md").read_text()
    assert plan["manifest_sha256"] in card and "t/one" in card
    walked = json.loads(teapot("audit", str(folder), "--example", "2", "--json").stdout)
    assert "t/one" in json.dumps(walked)
    assert len((folder / "metrics.jsonl").read_text().splitlines()) == 2


def test_a_composition_with_orders_of_epochs_is_trained_and_audited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, teapot: Teapot
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("teapot.allowed_signers").write_text(f"alice {own_key().public.ssh}\n")
    for name, count in (("one", 9), ("two", 4)):
        write_module(Path(), f"t/{name}", chat_rows(name, count))
    weights = {"t/one": "0.5", "t/two": "1.5"}
    epochs, training = {"orders": True, "count": 3}, {**TRAINING, "epochs": 2}
    compose(write_config(Path(), weights, output="mix.jsonl", epochs=epochs, training=training))
    write_tiny_model(Path("tiny"), "apertus")
    ran = in_process("train", *ASKED, folder=tmp_path)
    assert (ran.code, ran.stderr) == (0, ""), ran.stderr
    assert "trained   6 steps, " in ran.stdout
    folder = Path("mix-apertus")
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [0.3333, 0.6667, 1.0, 1.3333, 1.6667, 2.0]
    assert not (folder / WORK).exists()
    for command in ("verify", "audit"):
        told = teapot(command, str(folder))
        assert told.code == 0, told.stdout + told.stderr
    card = (folder / "README.md").read_text()
    assert "mix.epoch-2.order" in card and "mix.epoch-3.order" not in card


def test_the_loss_on_held_out_rows_is_told_and_moves_no_bit_of_the_adapter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, teapot: Teapot
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("teapot.allowed_signers").write_text(f"alice {own_key().public.ssh}\n")
    write_module(Path(), "t/one", chat_rows("a", 20))
    split, training = {"validation": "40%", "relatives": "exact"}, {**TRAINING, "epochs": 2}
    compose(write_config(Path(), {"t/one": 1}, output="mix.jsonl", split=split, training=training))
    write_tiny_model(Path("tiny"), "apertus")
    for folder, more in (("measured", ()), ("plain", ("--no-eval",))):
        ran = in_process("train", *ASKED, "-o", folder, *more, folder=tmp_path)
        assert (ran.code, ran.stderr) == (0, ""), ran.stderr
        assert ("validated " in ran.stdout) == (folder == "measured")
        for command in ("verify", "audit"):
            told = teapot(command, folder)
            assert told.code == 0, told.stdout + told.stderr
    for name in (ADAPTER, "plan.json"):
        assert Path("measured", name).read_bytes() == Path("plain", name).read_bytes()
    said = json.loads(Path("measured/train.statement.json").read_bytes())
    held = said["predicate"]["teapot_training"]["validation"]
    lines = [json.loads(line) for line in Path("measured/metrics.jsonl").read_text().splitlines()]
    told_of = [line for line in lines if "validation_loss" in line]
    assert [line["epoch"] for line in told_of] == [1.0, 2.0]
    assert [part["loss"] for part in held["losses"]] == [
        f"{line['validation_loss']:.4f}" for line in told_of
    ]
    assert held["rows"] == len(Path("mix.validation.jsonl").read_text().splitlines())
    assert f"| `2` | {told_of[1]['step']} | `{held['losses'][1]['loss']}` |" in (
        Path("measured/README.md").read_text()
    )


def test_the_documented_package_of_a_third_party_trains(
    mix: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packages = mix / "packages"
    write_package(packages, "tea_base")
    install(packages, "tea_base")
    template = documented_files()["tea_base/training.jinja"].replace("{%- generation -%}", "")
    template = template.replace("{%- endgeneration -%}", "")
    template = template.replace("base.end_of_turn", "eos_token")
    with monkeypatch.context() as patch:
        patch.syspath_prepend(str(packages))
        write_tiny_model(Path("tiny"), "tea", template=template)
    asked = ("mix.config", "--base", "tea", "--model", "tiny", "--device", "cpu")
    ran = in_process("train", *asked, folder=mix, packages=packages)
    assert (ran.code, ran.stderr) == (0, ""), ran.stderr
    assert (Path("mix-tea") / ADAPTER).exists()


def test_each_link_of_a_trained_model_that_is_tampered_with_is_named(
    trained: Trained, teapot: Teapot
) -> None:
    assert trained("apertus").code == 0
    folder = Path("mix-apertus")
    for path, command in [
        *((folder / name, "verify") for name in (ADAPTER, "plan.json", "README.md",
          "train.statement.json", "mix.manifest.json", "metrics.jsonl", "tokenizer.json")),
        (Path("mix.ledger.parquet"), "audit"), (Path("mix.jsonl"), "audit"),
    ]:  # fmt: skip
        kept = path.read_bytes()
        changed = bytearray(kept)
        # A Parquet file begins with its rows; what its footer says of them decides nothing.
        changed[len(kept) // (8 if path.suffix == ".parquet" else 2)] ^= 1
        path.write_bytes(changed)
        told = teapot(command, str(folder))
        assert told.code == 1, f"{path}: {told.stdout}{told.stderr}"
        assert "FAULT" in told.stdout or path.name in told.stderr, path
        path.write_bytes(kept)
    assert teapot("verify", str(folder)).code == 0
    again = teapot("train", *ASKED, "--resume")
    assert again.code == 2 and "holds no run that was prepared" in again.stderr
    assert teapot("verify", str(folder)).code == 0


def test_a_model_that_nobody_signs_says_so(mix: Path, teapot: Teapot) -> None:
    write_tiny_model(Path("tiny"), "apertus")
    ran = teapot("train", *ASKED, "--no-sign")
    assert ran.code == 0 and "unsigned: nobody vouches for this" in ran.stdout
    assert not Path("mix-apertus/model.sig").exists()
    assert teapot("verify", "mix-apertus").code == 4


def test_nothing_is_trained_where_a_check_fails(mix: Path, teapot: Teapot) -> None:
    write_tiny_model(Path("tiny"), "llama")
    ran = teapot("train", *ASKED)
    assert ran.code == 1 and "NOT READY: model" in ran.stdout
    assert not Path("mix-apertus").exists()


def test_without_a_gpu_nothing_half_written_stays(mix: Path, teapot: Teapot) -> None:
    write_tiny_model(Path("tiny"), "apertus")
    ran = teapot("train", "mix.config", "--base", "apertus", "--model", "tiny")
    assert ran.code == 2 and "or say --device cpu for a tiny model" in ran.stderr
    assert sorted(path.name for path in Path("mix-apertus").iterdir()) == [
        "plan.json", "system-prompt.txt"
    ]  # fmt: skip


def test_a_folder_with_something_else_is_refused(mix: Path, teapot: Teapot) -> None:
    write_tiny_model(Path("tiny"), "apertus")
    Path("taken").mkdir()
    Path("taken/thesis.txt").write_text("mine")
    ran = teapot("train", *ASKED, "-o", "taken")
    told = "error: taken: is not empty (thesis.txt); choose another folder with --output\n"
    assert (ran.code, ran.stderr) == (6, told)
    ran = teapot("train", *ASKED, "-o", "taken", "--resume")
    assert ran.code == 2 and "holds no run that was prepared" in ran.stderr
    Path("cut", WORK).mkdir(parents=True)
    ran = teapot("train", *ASKED, "-o", "cut")
    assert ran.code == 6 and "say --resume or --finish, or remove it" in ran.stderr


@pytest.mark.parametrize(
    ("left", "told"),
    [
        ("metrics.jsonl", "stopped before the first checkpoint; the same command begins anew\n"),
        (f"{WORK}/checkpoint-1", INTERRUPTED),
        ("outcome.json", "stopped after the last step; the same command with --finish ends the "
         "run\n"),
    ],
)  # fmt: skip
def test_an_interrupt_says_what_to_do_by_what_is_left(
    left: str, told: str, mix: Path, teapot: Teapot, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(self: PackageTrainer, job: FitJob, progress: Progress) -> TrainOutcome:
        (job.folder / left).touch()
        raise KeyboardInterrupt

    monkeypatch.setattr(PackageTrainer, "fit", interrupt)
    write_model(Path("tiny"), "apertus")
    ran = teapot("train", *ASKED, "-o", "cut")
    assert (ran.code, ran.stderr) == (130, told)
    begins_anew = left == "metrics.jsonl"
    assert Path("cut", WORK).is_dir() != begins_anew
    again = teapot("train", *ASKED, "-o", "cut")
    assert (again == ran) == begins_anew


def lines_of(path: Path) -> int:
    return len(path.read_text().splitlines()) if path.exists() else 0


def interrupted(number: signal.Signals, *arguments: str) -> tuple[int, str]:
    """Begin a run in `cut`, send it a signal after two more steps, and return how it ends."""
    metrics = Path("cut/metrics.jsonl")
    before = lines_of(metrics)
    with subprocess.Popen(
        [sys.executable, "-m", "teapot", "train", *arguments], stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL, encoding="utf-8", env={**os.environ, "HF_HUB_OFFLINE": "1"},
    ) as running:  # fmt: skip
        while running.poll() is None and lines_of(metrics) < before + 2:
            time.sleep(0.02)
        running.send_signal(number)
        _, told = running.communicate()
    return running.returncode, told


def test_a_run_that_is_interrupted_says_how_to_go_on(mix: Path, teapot: Teapot) -> None:
    write_tiny_model(Path("tiny"), "apertus")
    long = {**TRAINING, "epochs": 60}
    compose(write_config(Path(), {"t/one": 1}, output="mix.jsonl", training=long))
    cut = (*ASKED, "--no-sign", "-o", "cut")
    assert interrupted(signal.SIGINT, *cut) == (130, INTERRUPTED)
    made = lines_of(Path("cut/metrics.jsonl"))
    assert 0 < made < 120 and Path("cut", WORK, f"checkpoint-{made}").is_dir()
    with only_run(Path("cut", WORK)):
        ran = teapot("train", *cut, "--resume")
    assert ran.code == 6 and "another run is at work in this folder" in ran.stderr
    assert interrupted(signal.SIGTERM, *cut, "--resume") == (130, INTERRUPTED)
    assert made < lines_of(Path("cut/metrics.jsonl")) < 120
    ended, whole = (
        in_process("train", *asked, folder=mix)
        for asked in ((*cut, "--resume"), (*ASKED, "--no-sign", "-o", "whole"))
    )
    assert (ended.code, whole.code) == (0, 0), ended.stderr + whole.stderr
    for name in (ADAPTER, "metrics.jsonl", "loss.svg"):
        assert Path("cut", name).read_bytes() == Path("whole", name).read_bytes(), name

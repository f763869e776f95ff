"""`teapot train` for real: tiny models with random weights, on the CPU, by the command line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from safetensors import safe_open

from teapot.usecases.train import WORK
from teapot.workfolder import only_run
from tests.support.basepackage import documented_files, install, write_package
from tests.support.compositions import compose
from tests.support.environment import own_key
from tests.support.project import chat_rows, write_config, write_module
from tests.support.tinymodels import write_tiny_model

ADAPTER = "adapter_model.safetensors"
INTERRUPTED = "stopped; the same command with --resume goes on after the last checkpoint\n"
TRAINING = {
    "epochs": 1, "lora_r": 4, "batch_size": 2, "gradient_accumulation": 2, "max_length": 512,
    "gradient_checkpointing": False,
}  # fmt: skip


@pytest.fixture
def mix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small signed composition in the working folder, and who is trusted."""
    monkeypatch.chdir(tmp_path)
    Path("teapot.allowed_signers").write_text(f"alice {own_key().public.ssh}\n")
    write_module(Path(), "t/one", chat_rows("a", 6))
    compose(write_config(Path(), {"t/one": 1}, output="mix.jsonl", training=TRAINING))
    return tmp_path


def train(*arguments: str, packages: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run `teapot train` in the working folder, with packages of a third party where given."""
    path = [str(packages)] if packages else []
    return subprocess.run(
        [sys.executable, "-m", "teapot", "train", *arguments], encoding="utf-8", check=False,
        capture_output=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path), "HF_HUB_OFFLINE": "1"},
    )  # fmt: skip


def teapot(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "teapot", *arguments], encoding="utf-8", check=False,
        capture_output=True,
    )  # fmt: skip


def origin(folder: Path) -> dict[str, Any]:
    with safe_open(str(folder / ADAPTER), framework="numpy") as opened:
        return dict(opened.metadata())


@pytest.mark.parametrize("base", ["apertus", "llama"])
def test_a_base_is_trained_on_the_composition_of_a_config(base: str, mix: Path) -> None:
    write_tiny_model(Path("tiny"), base)
    ran = train("mix.config", "--base", base, "--model", "tiny", "--device", "cpu")
    assert (ran.returncode, ran.stderr) == (0, ""), ran.stderr
    folder = Path(f"mix-{base}")
    plan = json.loads((folder / "plan.json").read_bytes())
    assert (plan["rows"], plan["optimizer_steps"]) == (6, 2)
    assert origin(folder)["teapot.manifest_sha256"] == plan["manifest_sha256"]
    assert (folder / "system-prompt.txt").read_text() == (plan["system_prompt"] or "")
    assert not (folder / WORK).exists() and not list(Path().glob(".mix*"))
    assert ran.stdout.startswith(f"model     {folder}\ntrained   2 steps, ")
    for command in ("verify", "audit"):
        told = teapot(command, str(folder))
        assert told.returncode == 0, told.stdout + told.stderr
    card = (folder / "README.md").read_text()
    assert plan["manifest_sha256"] in card and "t/one" in card
    walked = json.loads(teapot("audit", str(folder), "--example", "2", "--json").stdout)
    assert "t/one" in json.dumps(walked)
    assert len((folder / "metrics.jsonl").read_text().splitlines()) == 2


def test_the_documented_package_of_a_third_party_trains(mix: Path) -> None:
    packages = mix / "packages"
    write_package(packages, "tea_base")
    install(packages, "tea_base")
    program = (
        "import sys; from pathlib import Path\n"
        "from tests.support.tinymodels import write_tiny_model\n"
        "template = sys.argv[1].replace('{%- generation -%}', '')\n"
        "template = template.replace('{%- endgeneration -%}', '')\n"
        "template = template.replace('base.end_of_turn', 'eos_token')\n"
        "write_tiny_model(Path('tiny'), 'tea', template=template)\n"
    )
    root = Path(__file__).parents[2]
    subprocess.run(
        [sys.executable, "-c", program, documented_files()["tea_base/training.jinja"]], check=True,
        capture_output=True, env={**os.environ, "PYTHONPATH": f"{packages}{os.pathsep}{root}"},
    )  # fmt: skip
    ran = train("mix.config", "--base", "tea", "--model", "tiny", "--device", "cpu",
                packages=packages)  # fmt: skip
    assert (ran.returncode, ran.stderr) == (0, ""), ran.stderr
    assert (Path("mix-tea") / ADAPTER).exists()


def test_each_link_of_a_trained_model_that_is_tampered_with_is_named(mix: Path) -> None:
    write_tiny_model(Path("tiny"), "apertus")
    ran = train("mix.config", "--base", "apertus", "--model", "tiny", "--device", "cpu")
    assert ran.returncode == 0, ran.stderr
    folder = Path("mix-apertus")
    for path, command in [
        *((folder / name, "verify") for name in (ADAPTER, "plan.json", "README.md",
          "train.statement.json", "mix.manifest.json", "metrics.jsonl", "tokenizer.json")),
        (Path("mix.ledger.parquet"), "audit"), (Path("mix.jsonl"), "audit"),
    ]:  # fmt: skip
        kept = path.read_bytes()
        changed = bytearray(kept)
        changed[len(kept) // 2] ^= 1
        path.write_bytes(changed)
        told = teapot(command, str(folder))
        assert told.returncode == 1, f"{path}: {told.stdout}{told.stderr}"
        assert "FAULT" in told.stdout or path.name in told.stderr, path
        path.write_bytes(kept)
    assert teapot("verify", str(folder)).returncode == 0
    again = train("mix.config", "--base", "apertus", "--model", "tiny", "--device", "cpu",
                  "--resume")  # fmt: skip
    assert again.returncode == 2 and "holds no run that was prepared" in again.stderr
    assert teapot("verify", str(folder)).returncode == 0


def test_a_model_that_nobody_signs_says_so(mix: Path) -> None:
    write_tiny_model(Path("tiny"), "apertus")
    asked = ("mix.config", "--base", "apertus", "--model", "tiny", "--device", "cpu")
    ran = train(*asked, "--no-sign")
    assert ran.returncode == 0 and "unsigned: nobody vouches for this" in ran.stdout
    assert not Path("mix-apertus/model.sig").exists()
    assert teapot("verify", "mix-apertus").returncode == 4


def test_nothing_is_trained_where_a_check_fails(mix: Path) -> None:
    write_tiny_model(Path("tiny"), "llama")
    ran = train("mix.config", "--base", "apertus", "--model", "tiny", "--device", "cpu")
    assert ran.returncode == 1 and "NOT READY: model" in ran.stdout
    assert not Path("mix-apertus").exists()


def test_without_a_gpu_nothing_half_written_stays(mix: Path) -> None:
    write_tiny_model(Path("tiny"), "apertus")
    ran = train("mix.config", "--base", "apertus", "--model", "tiny")
    assert ran.returncode == 2 and "or say --device cpu for a tiny model" in ran.stderr
    assert sorted(path.name for path in Path("mix-apertus").iterdir()) == [
        "plan.json", "system-prompt.txt"
    ]  # fmt: skip


def test_a_folder_with_something_else_is_refused(mix: Path) -> None:
    write_tiny_model(Path("tiny"), "apertus")
    Path("taken").mkdir()
    Path("taken/thesis.txt").write_text("mine")
    asked = ("mix.config", "--base", "apertus", "--model", "tiny", "--device", "cpu")
    ran = train(*asked, "-o", "taken")
    told = "error: taken: is not empty (thesis.txt); choose another folder with --output\n"
    assert (ran.returncode, ran.stderr) == (6, told)
    ran = train(*asked, "-o", "taken", "--resume")
    assert ran.returncode == 2 and "holds no run that was prepared" in ran.stderr
    Path("cut", WORK).mkdir(parents=True)
    ran = train(*asked, "-o", "cut")
    assert ran.returncode == 6 and "say --resume or --finish, or remove it" in ran.stderr


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


def test_a_run_that_is_interrupted_says_how_to_go_on(mix: Path) -> None:
    write_tiny_model(Path("tiny"), "apertus")
    long = {**TRAINING, "epochs": 60}
    compose(write_config(Path(), {"t/one": 1}, output="mix.jsonl", training=long))
    asked = ("mix.config", "--base", "apertus", "--model", "tiny", "--device", "cpu", "--no-sign")
    assert train(*asked, "-o", "whole").returncode == 0
    cut = (*asked, "-o", "cut")
    assert interrupted(signal.SIGINT, *cut) == (130, INTERRUPTED)
    made = lines_of(Path("cut/metrics.jsonl"))
    assert 0 < made < 120 and Path("cut", WORK, f"checkpoint-{made}").is_dir()
    with only_run(Path("cut", WORK)):
        ran = train(*cut, "--resume")
    assert ran.returncode == 6 and "another run is at work in this folder" in ran.stderr
    assert interrupted(signal.SIGTERM, *cut, "--resume") == (130, INTERRUPTED)
    assert made < lines_of(Path("cut/metrics.jsonl")) < 120
    ran = train(*cut, "--resume")
    assert ran.returncode == 0, ran.stderr
    for name in (ADAPTER, "metrics.jsonl", "loss.svg"):
        assert Path("cut", name).read_bytes() == Path("whole", name).read_bytes(), name

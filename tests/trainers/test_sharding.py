"""FSDP on two processes on the CPU: the steps of one process, and checkpoints to go on from."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from safetensors.torch import load_file

from teapot.errors import ConfigError
from teapot.model.fitjob import TOKENIZER, WORK
from teapot_trainers.run import run
from teapot_trainers.sharding import is_sharding_asked
from tests.support.fitjobs import NUMBERS, ready_folder
from tests.support.launching import run_in_two
from tests.support.tinymodels import write_tiny_model

pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")
FSDP = {"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2"}
# Micro-batches of some rows, so that processes have different numbers of them.
QLORA = replace(NUMBERS, lora_dropout="0", micro_batch_tokens=40)
LORA = replace(QLORA, method="lora", quantization=None, double_quantization=False)
FULL = replace(LORA, method="full", learning_rate="0.001")
METHODS = {"qlora": QLORA, "lora": LORA, "full": FULL}


def losses(folder: Path) -> list[float]:
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line)["loss"] for line in lines]


def suffixes(folder: Path) -> set[str]:
    return {path.suffix for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders that two processes have trained under FSDP, one of them in two parts."""
    folder = tmp_path_factory.mktemp("fsdp")
    model = write_tiny_model(folder / "tiny", "apertus")
    plans = [ready_folder(folder / name, model, numbers) for name, numbers in METHODS.items()]
    dropping = replace(LORA, lora_dropout="0.05")
    cut = ready_folder(folder / "cut", model, dropping)
    told = run_in_two(*map(str, plans), str(cut), f"again:{cut}", **FSDP)
    assert not any(line["error"] for line in told), told
    return folder


@pytest.mark.parametrize("method", METHODS)
def test_sharded_processes_make_the_steps_of_one(method: str, made: Path, tmp_path: Path) -> None:
    plan = ready_folder(tmp_path / "one", made / "tiny", METHODS[method])
    outcome = run(plan)
    assert losses(made / method) == pytest.approx(losses(tmp_path / "one"), rel=0.001)
    (weights,) = outcome.weights
    one, two = load_file(tmp_path / "one" / weights), load_file(made / method / weights)
    assert {name: (t.shape, t.dtype) for name, t in one.items()} == {
        name: (t.shape, t.dtype) for name, t in two.items()
    }
    # Adam makes whole steps of the smallest gradients, so that single weights may differ more.
    apart = sum(float((one[name] - two[name]).square().sum()) for name in one)
    assert apart < 0.001 * sum(float(tensor.square().sum()) for tensor in one.values())


def test_a_sharded_run_goes_on_to_the_same_bytes(made: Path) -> None:
    for name in ("adapter_model.safetensors", "metrics.jsonl"):
        again, whole = made / "cut" / name, made / "cut" / f"whole-{name}"
        assert again.read_bytes() == whole.read_bytes(), name
    work = made / "cut" / WORK
    assert suffixes(work) == {".json", ".safetensors", ".arrow", ".lock", ".jinja"}  # and no pickle
    assert suffixes(work / TOKENIZER) == {".json", ".jinja"}
    checkpoints = list(work.glob("checkpoint-*"))
    assert checkpoints and all(suffixes(c) == {".json", ".safetensors"} for c in checkpoints)


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("FSDP_VERSION", "1", "only FSDP 2 is supported; say --fsdp_version 2"),
        ("FSDP_OFFLOAD_PARAMS", "true", "--fsdp_offload_params is not supported"),
        ("FSDP_ACTIVATION_CHECKPOINTING", "true", "--fsdp_activation_checkpointing is not supp"),
    ],
)
def test_what_fsdp_cannot_do_here_is_refused(
    name: str, value: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not is_sharding_asked()
    for key, given in {**FSDP, name: value}.items():
        monkeypatch.setenv(key, given)
    with pytest.raises(ConfigError, match=told):
        is_sharding_asked()

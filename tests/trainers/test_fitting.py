"""Tiny Apertus and Llama models trained on the CPU, through bitsandbytes and LoRA as on a GPU."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from teapot.digest import sha256_hex
from teapot.encodedfile import read_encoded
from teapot.errors import ConfigError, DataError, DigestError, PluginError, UsageError
from teapot.interfaces import Progress, silent
from teapot.model.fitjob import FitJob
from teapot.model.trainoutcome import TrainOutcome
from teapot.model.trainplan import Hyperparameters, PlannedOrder
from teapot.plugins import load_trainer
from teapot_trainers import watching
from teapot_trainers.checkpoints import last_checkpoint
from teapot_trainers.interrupting import Stopped
from teapot_trainers.loading import load_model
from teapot_trainers.loop import StepTrainer
from teapot_trainers.watching import METRICS, Watch
from tests.support.fitjobs import NUMBERS, STEPS, plan_for, write_rows
from tests.support.tinymodels import write_tiny_model

# PEFT calls what the newest transformers has given another name.
pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")
Make = Callable[..., FitJob]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny model for each base, which knows the ids of the rows and few more."""
    folder = tmp_path_factory.mktemp("models")
    for name in ("apertus", "llama"):
        write_tiny_model(folder / name, name, vocab_size=1024)
    return folder


@pytest.fixture
def job(models: Path, tmp_path: Path) -> Make:
    """What makes a job in a new model folder; the same job each time, but for what is given."""
    made = 0

    def make(name: str = "apertus", numbers: Hyperparameters = NUMBERS, **given: Any) -> FitJob:
        nonlocal made
        made += 1
        folder = tmp_path / f"model-{made}"
        work = folder / ".work"
        work.mkdir(parents=True)
        plan = plan_for(name, models / name, numbers)
        (folder / "plan.json").write_text(json.dumps(plan.to_dict()))
        digest = write_rows(work / "rows.arrow")
        return FitJob(
            **{
                "plan": plan, "rows": work / "rows.arrow", "rows_sha256": digest,
                "folder": folder, "work": work, "tokenizer": models / name, "device": "cpu",
                "weights": str(models / name),
                "save_steps": 2, **given,
            }
        )  # fmt: skip

    return make


def fit(made: FitJob, progress: Progress = silent) -> TrainOutcome:
    return load_trainer(made.plan.base)[0].fit(made, progress)


def metrics(made: FitJob) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (made.folder / METRICS).read_text().splitlines()]


def interrupted_at(step: int, *signals: signal.Signals) -> Progress:
    """Return progress that sends signals to the run while it makes a step; SIGINT by default."""

    def told(what: str, done: int, total: int | None) -> None:
        if what.startswith("train") and done == step:
            for number in signals or (signal.SIGINT,):
                os.kill(os.getpid(), number)

    return told


@pytest.mark.parametrize("name", ["apertus", "llama"])
def test_qlora_learns_and_the_same_run_gives_the_same_bytes(name: str, job: Make) -> None:
    first, second = job(name), job(name)
    outcome = fit(first)
    assert (outcome.steps, outcome.device) == (STEPS, "cpu")
    losses = [line["loss"] for line in metrics(first)]
    assert len(losses) == STEPS and losses[-1] < losses[0] - 0.3
    assert [line["step"] for line in metrics(first)] == list(range(1, STEPS + 1))
    assert metrics(first)[-1]["tokens"] == outcome.tokens > outcome.supervised > 0
    assert outcome.weights == ("adapter_model.safetensors",)
    fit(second)
    one, two = (made.folder / "adapter_model.safetensors" for made in (first, second))
    assert load_file(one).keys() == load_file(two).keys()
    assert one.read_bytes() == two.read_bytes()


def test_what_is_left_is_an_adapter_that_names_its_origin_and_no_pickle(job: Make) -> None:
    made = job()
    fit(made)
    with safe_open(str(made.folder / "adapter_model.safetensors"), framework="pt") as opened:
        told = opened.metadata()
        dtypes = {opened.get_tensor(name).dtype for name in list(opened.keys())}
    assert dtypes == {torch.float32}
    assert told["teapot.manifest_sha256"] == "a" * 64
    assert told["teapot.data_sha256"] == "b" * 64
    assert len(told["teapot.plan_sha256"]) == 64
    config = json.loads((made.folder / "adapter_config.json").read_text())
    assert config["target_modules"] == list(made.plan.lora_targets)
    assert config["base_model_name_or_path"] == made.plan.model
    left = sorted(path.name for path in made.folder.iterdir() if path.is_file())
    assert left == [
        "adapter_config.json", "adapter_model.safetensors", "chat_template.jinja", "loss.png",
        "loss.svg", "metrics.jsonl", "plan.json", "tokenizer.json", "tokenizer_config.json",
    ]  # fmt: skip
    assert "{% generation" not in (made.folder / "chat_template.jinja").read_text()
    suffixes = {path.suffix for path in made.folder.rglob("*") if path.is_file()}
    assert suffixes <= {".json", ".jsonl", ".safetensors", ".arrow", ".svg", ".png", ".jinja"}


def test_the_adapter_loads_on_the_base_and_changes_what_it_says(job: Make) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    made = job()
    fit(made)
    base = AutoModelForCausalLM.from_pretrained(made.plan.model, dtype=torch.float32)
    ids = torch.tensor([[1, 104, 105, 106]])
    with torch.no_grad():
        before = base(input_ids=ids).logits.clone()
        after = PeftModel.from_pretrained(base, str(made.folder))(input_ids=ids).logits
    assert after.shape == before.shape
    assert float((after - before).abs().max()) > 0.1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_goes_on_to_the_same_bytes(number: signal.Signals, job: Make) -> None:
    whole, cut = job(), job()
    outcome = fit(whole)
    before = signal.getsignal(number)
    with pytest.raises(Stopped):
        fit(cut, interrupted_at(3, number))
    assert signal.getsignal(number) is before
    checkpoint = last_checkpoint(cut.work)
    assert checkpoint is not None and checkpoint.name in ("checkpoint-3", "checkpoint-4")
    assert not (cut.folder / "adapter_model.safetensors").exists()
    resumed = fit(replace(cut, resume=True))
    adapter = "adapter_model.safetensors"
    assert (cut.folder / adapter).read_bytes() == (whole.folder / adapter).read_bytes()
    assert metrics(cut) == metrics(whole)
    assert (resumed.tokens, resumed.final_loss) == (outcome.tokens, outcome.final_loss)


def test_the_speed_of_a_run_that_goes_on_is_that_of_its_own_tokens(
    job: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, told, clock = job(), [], iter((0, 100, 102))
    line = {"step": 1, "loss": 1.5, "tokens": 1_000_000, "supervised": 1_000}
    (made.folder / METRICS).write_text(json.dumps(line) + "\n")
    monkeypatch.setattr(watching, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    watch = Watch(made, lambda what, done, total: told.append(what))
    watch.resume(Path("checkpoint-1"))
    watch.on_train_begin(None, None, None)
    watch.add(500, 100)
    state = SimpleNamespace(is_world_process_zero=True, global_step=2, max_steps=6, epoch=1.0)
    watch.on_log(None, state, None, {"loss": 1.25, "learning_rate": 0.01})
    (line_of_progress,) = told
    assert line_of_progress.startswith("train (loss 1.250, rate 1.0e-02, 250 tokens/s")


def test_a_second_interrupt_ends_the_run_at_once(job: Make) -> None:
    made = job()
    with pytest.raises(KeyboardInterrupt) as raised:
        fit(made, interrupted_at(3, signal.SIGTERM, signal.SIGINT))
    assert not isinstance(raised.value, Stopped)
    checkpoint = last_checkpoint(made.work)
    assert checkpoint is not None and checkpoint.name == "checkpoint-2"


def test_under_a_launcher_a_second_interrupt_changes_nothing(
    job: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "1")
    made = job()
    with pytest.raises(Stopped):
        fit(made, interrupted_at(3, signal.SIGINT, signal.SIGINT, signal.SIGTERM))
    checkpoint = last_checkpoint(made.work)
    assert checkpoint is not None and checkpoint.name == "checkpoint-4"


def test_a_run_in_another_thread_makes_the_same_bytes(job: Make) -> None:
    one, other = job(), job()
    fit(one)
    thread = threading.Thread(target=fit, args=(other,))
    thread.start()
    thread.join()
    adapter = "adapter_model.safetensors"
    assert (other.folder / adapter).read_bytes() == (one.folder / adapter).read_bytes()


def test_memory_that_is_used_up_is_told_with_what_needs_less(job: Make) -> None:
    def told(what: str, done: int, total: int | None) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")

    with pytest.raises(ConfigError) as raised:
        fit(job(), told)
    assert str(raised.value) == (
        "the memory of cpu is used up in micro-batches of at most 64 tokens; the longest row has "
        "28; try training.gradient_checkpointing true, then a smaller training.max_length, or "
        "--use_fsdp on several GPUs"
    )


def test_a_checkpoint_that_a_process_has_not_written_is_left_out(job: Make) -> None:
    made = job()
    with pytest.raises(Stopped):
        fit(made, interrupted_at(3))
    checkpoint = last_checkpoint(made.work)
    assert checkpoint is not None and checkpoint.name == "checkpoint-4"
    (checkpoint / "process-0" / "random.safetensors").unlink()
    other = last_checkpoint(made.work)
    assert other is not None and other.name == "checkpoint-2"


def test_deepspeed_is_refused(job: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCELERATE_USE_DEEPSPEED", "true")
    with pytest.raises(ConfigError, match="its checkpoints are pickles"):
        fit(job())


def test_resuming_where_there_is_no_checkpoint_begins_anew(job: Make) -> None:
    whole, fresh = job(), job(resume=True)
    fit(whole)
    fit(fresh)
    adapter = "adapter_model.safetensors"
    assert (fresh.folder / adapter).read_bytes() == (whole.folder / adapter).read_bytes()


def test_micro_batches_and_checkpointing_change_no_more_than_rounding(job: Make) -> None:
    still = replace(NUMBERS, lora_dropout="0")
    losses = []
    for numbers in (
        replace(still, micro_batch_tokens=10_000), replace(still, micro_batch_tokens=1),
        replace(still, gradient_checkpointing=True),
    ):  # fmt: skip
        made = job(numbers=numbers)
        fit(made)
        losses.append([line["loss"] for line in metrics(made)])
    for other in losses[1:]:
        assert other == pytest.approx(losses[0], rel=0.02)


@pytest.mark.parametrize("method", ["lora", "full"])
def test_other_methods_train_too(method: Any, job: Make) -> None:
    numbers = replace(NUMBERS, method=method, quantization=None, double_quantization=False)
    made = job(numbers=numbers)
    outcome = fit(made)
    losses = [line["loss"] for line in metrics(made)]
    assert losses[-1] < losses[0]
    (weights,) = outcome.weights
    assert weights == {"lora": "adapter_model.safetensors", "full": "model.safetensors"}[method]
    assert (made.folder / weights).exists()


def test_the_model_is_loaded_in_four_bits_and_only_lora_is_trained_in_fp32(job: Make) -> None:
    import bitsandbytes

    model = load_model(job(), torch.device("cpu"))
    linears = [m for m in model.modules() if isinstance(m, bitsandbytes.nn.Linear4bit)]
    assert len(linears) == 12  # six in each of two layers
    assert {linear.weight.quant_type for linear in linears} == {"nf4"}
    assert all(linear.weight.quant_state.nested for linear in linears)
    assert not any(linear.support_avx512bf16_for_cpu for linear in linears)
    trained = {name: p.dtype for name, p in model.named_parameters() if p.requires_grad}
    assert len(trained) == 24 and all(".lora_" in name for name in trained)
    assert set(trained.values()) == {torch.float32}
    assert model.config.use_cache is False


# What is refused.


def test_rows_that_were_changed_are_refused(job: Make) -> None:
    made = job()
    data = bytearray(made.rows.read_bytes())
    data[len(data) // 2] ^= 1
    made.rows.write_bytes(data)
    with pytest.raises((DigestError, DataError)):
        fit(made)


def test_another_number_of_rows_than_planned_is_refused(job: Make) -> None:
    made = job()
    with pytest.raises(DataError, match="has 10 rows, the plan is for 11"):
        fit(replace(made, plan=replace(made.plan, rows=11)))


def test_a_target_that_the_model_lacks_is_refused(job: Make) -> None:
    made = job()
    with pytest.raises(PluginError, match="LoRA hits gate_proj 0 modules, expected 2"):
        fit(replace(made, plan=replace(made.plan, lora_targets=("q_proj", "gate_proj"))))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_the_error_says_what_to_do(job: Make) -> None:
    with pytest.raises(UsageError, match="or say --device cpu for a tiny model"):
        fit(job(device="auto"))


def test_a_model_that_is_not_there_is_told(job: Make, tmp_path: Path) -> None:
    made = job()
    with pytest.raises(ConfigError, match=r"is not the config\.json that was planned with"):
        fit(replace(made, weights=str(tmp_path)))


def test_a_tokenizer_that_the_rows_were_not_encoded_with_is_refused(job: Make) -> None:
    made = job()
    with pytest.raises(DataError, match=r"is not the tokenizer\.json that the rows"):
        fit(replace(made, plan=replace(made.plan, tokenizer_sha256="0" * 64)))


def test_a_template_that_the_rows_were_not_compared_with_is_refused(job: Make) -> None:
    made = job()
    with pytest.raises(DataError, match="has not the chat template that the rows"):
        fit(replace(made, plan=replace(made.plan, own_template_sha256="0" * 64)))


def test_a_template_among_the_settings_becomes_a_file(job: Make, tmp_path: Path) -> None:
    made = job()
    old = tmp_path / "old"
    shutil.copytree(made.tokenizer, old)
    template = (old / "chat_template.jinja").read_text()
    (old / "chat_template.jinja").unlink()
    settings = json.loads((old / "tokenizer_config.json").read_text())
    settings["chat_template"] = template
    (old / "tokenizer_config.json").write_text(json.dumps(settings))
    fit(replace(made, tokenizer=old))
    assert (made.folder / "chat_template.jinja").read_text() == template


def test_a_run_that_diverges_ends_with_its_step_and_leaves_no_adapter(job: Make) -> None:
    made = job(numbers=replace(NUMBERS, method="full", quantization=None,
                               double_quantization=False, learning_rate="1e30"))  # fmt: skip
    with pytest.raises(DataError, match="training diverged; lower"):
        fit(made)
    assert not (made.folder / "model.safetensors").exists()
    assert "NaN" not in (made.folder / METRICS).read_text()


def test_a_run_that_has_not_ended_is_not_begun_over(job: Make) -> None:
    made = job()
    with pytest.raises(Stopped):
        fit(made, interrupted_at(3))
    with pytest.raises(ConfigError, match="of a run that has not ended; go on with --resume"):
        fit(made)


def test_a_checkpoint_of_more_processes_is_refused(job: Make) -> None:
    made = job()
    with pytest.raises(Stopped):
        fit(made, interrupted_at(3))
    checkpoint = last_checkpoint(made.work)
    assert checkpoint is not None
    with pytest.raises(ConfigError, match="was saved by 1 processes, found 2"):
        last_checkpoint(made.work, 2)
    (checkpoint / "trainer_state.json").write_text("{")
    other = last_checkpoint(made.work)
    assert other is None or other.name < checkpoint.name


def test_a_step_that_processes_cannot_share_is_refused(
    job: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    from teapot_trainers.fitting import _arguments

    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(ConfigError, match="4 examples a step cannot be shared by 3 processes"):
        _arguments(job())


def ordered(made: FitJob) -> FitJob:
    """Give a job's epochs orders: rows twice or not at all, and another number in each."""
    orders = []
    for epoch, lines in enumerate(([0, 3, 3, 9, 1, 2], [4, 5, 6, 7, 8, 9, 0, 0, 1]), start=1):
        written = numpy.array(lines, dtype="<u4").tobytes()
        (made.work / f"epoch-{epoch}.order").write_bytes(written)
        orders.append(PlannedOrder(sha256=sha256_hex(written), examples=len(lines)))
    return replace(made, plan=replace(made.plan, orders=tuple(orders), optimizer_steps=5))


def _seen(monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """Note the number of tokens of each row of each step that is made."""
    seen: list[list[int]] = []
    make = StepTrainer.training_step

    def noted(self: StepTrainer, model: Any, inputs: Any, *more: Any) -> Any:
        seen.append([len(row.ids) for row in inputs["rows"]])
        return make(self, model, inputs, *more)

    monkeypatch.setattr(StepTrainer, "training_step", noted)
    return seen


def test_epochs_with_orders_are_trained_in_exactly_those(
    job: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, seen = ordered(job()), _seen(monkeypatch)
    outcome = fit(made)
    sizes = [len(row.encoded.ids) for row in read_encoded(made.rows, made.rows_sha256)]
    steps = [[0, 3, 3, 9], [1, 2], [4, 5, 6, 7], [8, 9, 0, 0], [1]]
    assert seen == [[sizes[row] for row in step] for step in steps]
    assert outcome.steps == 5
    assert [line["epoch"] for line in metrics(made)] == [0.5, 1.0, 1.3333, 1.6667, 2.0]


@pytest.mark.parametrize("step", [1, 3, 4])
def test_a_run_in_orders_that_was_stopped_ends_in_the_same_bytes(
    step: int, job: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, cut = ordered(job()), ordered(job())
    seen = _seen(monkeypatch)
    fit(whole)
    expected = list(seen)
    seen.clear()
    with pytest.raises(Stopped):
        fit(cut, interrupted_at(step))
    fit(replace(cut, resume=True))
    assert seen == expected
    adapter = "adapter_model.safetensors"
    assert (cut.folder / adapter).read_bytes() == (whole.folder / adapter).read_bytes()
    assert metrics(cut) == metrics(whole)


def test_an_order_that_was_altered_is_not_trained_from(job: Make) -> None:
    made = ordered(job())
    made.orders[1].write_bytes(made.orders[0].read_bytes())
    with pytest.raises(DigestError, match=r"epoch-2\.order: has sha256"):
        fit(made)
    assert not (made.folder / "adapter_model.safetensors").exists()


# The loss on rows that were held out.


def with_held_out(made: FitJob) -> FitJob:
    """Give a job seven rows to measure the loss on; the rows and the plan stay as they are."""
    return replace(made, validation_sha256=write_rows(made.validation, seed=4, rows=7))


def _without_loss(made: FitJob) -> list[dict[str, Any]]:
    return [
        {key: value for key, value in line.items() if key != "validation_loss"}
        for line in metrics(made)
    ]


@pytest.mark.parametrize("name", ["apertus", "llama"])
def test_measuring_on_held_out_rows_changes_no_bit_of_what_is_trained(name: str, job: Make) -> None:
    plain, measured = job(name), with_held_out(job(name))
    states = []
    for made in (plain, measured):
        outcome = fit(made)
        drawn = random.getstate(), numpy.random.get_state()[1].tolist()
        states.append((*drawn, torch.get_rng_state().tolist()))
    assert states[0] == states[1]
    for file in ("adapter_model.safetensors", ".work/checkpoint-6/trained.safetensors",
                 ".work/checkpoint-6/optimizer.safetensors",
                 ".work/checkpoint-4/process-0/random.safetensors"):  # fmt: skip
        assert (plain.folder / file).read_bytes() == (measured.folder / file).read_bytes(), file
    assert _without_loss(measured) == metrics(plain)
    assert outcome.validation is not None
    assert [(part.epoch, part.step) for part in outcome.validation.losses] == [("1", 3), ("2", 6)]
    assert (outcome.validation.rows, outcome.validation.losses[1].loss) == (
        7, f"{metrics(measured)[5]['validation_loss']:.4f}"
    )  # fmt: skip
    assert TrainOutcome.from_dict(json.loads(json.dumps(outcome.to_dict()))) == outcome


def test_without_held_out_rows_nothing_is_told_of_them(job: Make) -> None:
    made = job()
    outcome = fit(made)
    assert outcome.validation is None and "validation" not in outcome.to_dict()
    assert all("validation_loss" not in line for line in metrics(made))


def test_the_loss_is_the_mean_over_all_supervised_tokens(job: Make) -> None:
    from transformers import AutoModelForCausalLM

    numbers = replace(
        NUMBERS, method="full", quantization=None, double_quantization=False,
        compute_dtype="float32", micro_batch_tokens=40,
    )  # fmt: skip
    made = with_held_out(job(numbers=numbers))
    outcome = fit(made)
    model = AutoModelForCausalLM.from_pretrained(made.folder, dtype=torch.float32).eval()
    summed, tokens = 0.0, 0
    for row in read_encoded(made.validation, str(made.validation_sha256)):
        ids, labels = (
            torch.tensor([list(part)], dtype=torch.long)
            for part in (row.encoded.ids, row.encoded.labels)
        )
        with torch.no_grad():
            summed += float(model(input_ids=ids, labels=labels).loss) * row.encoded.supervised
        tokens += row.encoded.supervised
    assert outcome.validation is not None and outcome.validation.supervised == tokens
    assert metrics(made)[-1]["validation_loss"] == pytest.approx(summed / tokens, rel=1e-4)


@pytest.mark.parametrize("is_ordered", [False, True], ids=["drawn", "orders"])
@pytest.mark.parametrize("step", [1, 2, 3, 4])
def test_a_run_that_was_stopped_has_the_same_losses(step: int, is_ordered: bool, job: Make) -> None:
    whole, cut = with_held_out(job()), with_held_out(job())
    if is_ordered:
        whole, cut = ordered(whole), ordered(cut)
    expected = fit(whole).validation
    with pytest.raises(Stopped):
        fit(cut, interrupted_at(step))
    assert fit(replace(cut, resume=True)).validation == expected
    assert expected is not None
    ends = [2, 5] if is_ordered else [3, 6]
    assert [part.step for part in expected.losses] == ends
    assert metrics(cut) == metrics(whole)


def test_held_out_rows_go_through_the_model_without_dropout_and_gradients_in_their_order(
    job: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = with_held_out(job(numbers=replace(NUMBERS, micro_batch_tokens=40)))
    sizes = [
        len(row.encoded.ids) for row in read_encoded(made.validation, str(made.validation_sha256))
    ]
    seen, told = [], []
    make = StepTrainer._summed_loss

    def noted(self: StepTrainer, model: Any, rows: Any) -> Any:
        is_training = any(module.training for module in model.modules())
        seen.append((is_training, torch.is_grad_enabled(), [len(row.ids) for row in rows]))
        return make(self, model, rows)

    def progress(what: str, done: int, total: int | None) -> None:
        told.append((what.partition(" (")[0], done, total))

    monkeypatch.setattr(StepTrainer, "_summed_loss", noted)
    fit(made, progress)
    measured = [rows for is_training, has_gradients, rows in seen if not has_gradients]
    assert [size for rows in measured for size in rows] == sizes * 2
    assert all(is_training == has_gradients for is_training, has_gradients, _ in seen)
    assert len(measured) > 4 and all(sum(rows) <= 40 or len(rows) == 1 for rows in measured)
    count = len(measured) // 2
    assert told.count(("measure", count, count)) == 2


def test_held_out_rows_that_were_altered_are_refused(job: Make) -> None:
    made = with_held_out(job())
    write_rows(made.validation, seed=5, rows=7)
    with pytest.raises(DigestError, match=r"validation\.arrow: its rows have sha256"):
        fit(made)


def test_a_validation_loss_that_is_not_finite_ends_the_run(
    job: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(StepTrainer, "mean_loss", lambda *_: float("nan"))
    with pytest.raises(DataError, match="the validation loss after step 3 is nan"):
        fit(with_held_out(job()))

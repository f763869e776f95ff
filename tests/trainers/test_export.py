"""`teapot export merged` for real: tiny models that were trained here, merged on the CPU."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from teapot.cli.app import run
from teapot.model.exportstatement import EXPORT, EXPORT_BUNDLE
from teapot_trainers.quiet import quiet_libraries
from tests.support.compositions import compose
from tests.support.environment import environment, own_key
from tests.support.project import chat_rows, write_config, write_module
from tests.support.tinymodels import write_tiny_model

Say = Callable[..., tuple[int, str, str]]
ADAPTER = "adapter_model.safetensors"
TRAINING = {
    "epochs": 2, "lora_r": 4, "batch_size": 2, "gradient_accumulation": 1, "max_length": 512,
    "learning_rate": 0.01, "gradient_checkpointing": False,
}  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with two tiny models that were trained on its one composition."""
    folder = tmp_path_factory.mktemp("project")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment(tmp_path_factory.getbasetemp()).items():
            patch.setenv(name, value)
        patch.chdir(folder)
        Path("teapot.allowed_signers").write_text(f"alice {own_key().public.ssh}\n")
        write_module(Path(), "t/one", chat_rows("a", 6))
        compose(write_config(Path(), {"t/one": 1}, output="mix.jsonl", training=TRAINING))
        for base in ("apertus", "llama"):
            write_tiny_model(Path(f"tiny-{base}"), base)
            asked = ["--base", base, "--model", f"tiny-{base}", "--device", "cpu", "-q"]
            assert run(["train", "mix.config", *asked]) == 0
    return folder


@pytest.fixture
def project(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(trained, tmp_path / "project")
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path / "project"


@pytest.fixture
def say(capfdbinary: pytest.CaptureFixture[bytes]) -> Say:
    """What a command ends with: its exit code, stdout and stderr."""

    def said(*arguments: object) -> tuple[int, str, str]:
        code = run([str(argument) for argument in arguments])
        out, err = capfdbinary.readouterr()
        return code, out.decode(), err.decode()

    return said


def merged(say: Say, base: str, *options: object) -> tuple[int, str, str]:
    asked = ("--model", f"tiny-{base}", "--device", "cpu")
    return say("export", "merged", f"mix-{base}", *asked, *options)


def logits(model: Path, adapter: Path | None = None) -> torch.Tensor:
    from peft import PeftModel

    with quiet_libraries(), torch.no_grad():
        found = AutoModelForCausalLM.from_pretrained(model, dtype=torch.bfloat16)
        if adapter is not None:
            found = PeftModel.from_pretrained(found, str(adapter))
        return found.eval()(input_ids=torch.tensor([[1, 104, 105, 106]])).logits.float()


@pytest.mark.parametrize("base", ["apertus", "llama"])
def test_a_merged_model_says_what_base_and_adapter_say(base: str, project: Path, say: Say) -> None:
    code, out, err = merged(say, base)
    assert (code, err) == (0, "") and out.startswith(f"model     {project / f'mix-{base}-merged'}")
    folder = Path(f"mix-{base}-merged")
    whole = load_file(folder / "model.safetensors")
    assert {tensor.dtype for tensor in whole.values()} == {torch.bfloat16}
    assert whole.keys() == load_file(Path(f"tiny-{base}/model.safetensors")).keys()
    ours, theirs = logits(folder), logits(Path(f"tiny-{base}"), Path(f"mix-{base}"))
    effect = (theirs - logits(Path(f"tiny-{base}"))).square().mean().sqrt()
    assert (ours - theirs).square().mean().sqrt() < effect / 4
    assert json.loads((folder / "config.json").read_text())["use_cache"] is True
    assert not [path.name for path in folder.iterdir() if path.suffix in (".bin", ".pt", ".pkl")]


def test_a_merged_model_verifies_and_leads_back_to_a_row(project: Path, say: Say) -> None:
    assert merged(say, "apertus")[0] == 0
    folder = Path("mix-apertus-merged")
    code, out, _ = say("verify", folder)
    assert code == 0 and "export statement payload" in out and "export header" in out
    code, out, _ = say("audit", folder, "--example", 2, "--json")
    links = {link["name"]: link["status"] for link in json.loads(out)["checks"]}
    assert code == 0 and list(links)[:4] == ["card", "export", "statement", "manifest"]
    assert json.loads(out)["example"]["module"] == "t/one"
    plan = json.loads((folder / "plan.json").read_bytes())
    with safe_open(str(folder / "model.safetensors"), framework="pt") as opened:
        assert opened.metadata()["teapot.manifest_sha256"] == plan["manifest_sha256"]
    card = (folder / "README.md").read_text()
    assert "merged into the base in `bfloat16`" in card and "from peft" not in card
    assert "library_name: transformers" in card and ADAPTER not in card
    code, out, _ = say("trace", "a-1", "mix-apertus", folder, "--json")
    assert code == 0 and [part["answer"] for part in json.loads(out)] == ["yes", "yes"]


def test_exporting_twice_gives_the_same_weights(project: Path, say: Say) -> None:
    for name in ("one", "two"):
        assert merged(say, "apertus", "-o", name)[0] == 0
    one, two = (Path(name, "model.safetensors").read_bytes() for name in ("one", "two"))
    assert one == two
    assert Path("one", EXPORT).read_bytes() == Path("two", EXPORT).read_bytes()


@pytest.mark.parametrize(
    ("file", "link"),
    [
        ("model.safetensors", "export"), (EXPORT, "export"), (EXPORT_BUNDLE, "export"),
        ("train.statement.json", "statement"), ("plan.json", "statement"),
        ("README.md", "statement"), ("mix.manifest.json", "manifest"),
    ],
)  # fmt: skip
def test_a_link_of_an_export_that_is_tampered_with_is_named(
    file: str, link: str, project: Path, say: Say
) -> None:
    assert merged(say, "apertus")[0] == 0
    folder = Path("mix-apertus-merged")
    changed = bytearray((folder / file).read_bytes())
    changed[len(changed) // 2] ^= 1
    (folder / file).write_bytes(changed)
    code, out, _ = say("audit", folder, "--json")
    links = {part["name"]: part["status"] for part in json.loads(out)["checks"]}
    assert code == 1 and links[link] == "fault"


@pytest.mark.parametrize("file", [EXPORT, EXPORT_BUNDLE])
def test_an_export_without_its_statement_is_no_model_any_more(
    file: str, project: Path, say: Say
) -> None:
    assert merged(say, "apertus")[0] == 0
    Path("mix-apertus-merged", file).unlink()
    assert say("verify", "mix-apertus-merged")[0] == 1


def test_nobody_vouches_for_an_unsigned_export(project: Path, say: Say) -> None:
    code, out, _ = merged(say, "apertus", "--no-sign")
    assert code == 0 and "unsigned: nobody vouches for this" in out
    assert say("verify", "mix-apertus-merged")[0] == 4
    assert say("verify", "mix-apertus-merged", "--allow-unsigned")[0] == 0
    assert "This model is not signed" in Path("mix-apertus-merged/README.md").read_text()


# What is refused, with nothing left behind.


def refused(say: Say, *arguments: object) -> tuple[int, str]:
    before = sorted(path.name for path in Path().iterdir())
    code, _, err = say("export", "merged", *arguments, "--device", "cpu")
    assert sorted(path.name for path in Path().iterdir()) == before
    return code, err


def test_another_base_is_refused(project: Path, say: Say) -> None:
    shutil.copytree("tiny-apertus", "other")
    weights = load_file("other/model.safetensors")
    weights["lm_head.weight"][0, 0] += 1
    save_file(weights, "other/model.safetensors", metadata={"format": "pt"})
    code, err = refused(say, "mix-apertus", "--model", "other")
    assert code == 1 and "other/model.safetensors: sha256 " in err and "which was trained" in err


def test_a_base_that_was_a_folder_must_be_named(project: Path, say: Say) -> None:
    code, err = refused(say, "mix-apertus")
    assert code == 2
    assert "the base was a folder named tiny-apertus; say where it is with --model" in err


def test_a_model_that_does_not_verify_is_not_exported(project: Path, say: Say) -> None:
    Path("mix-apertus/plan.json").write_text("{}")
    code, err = refused(say, "mix-apertus", "--model", "tiny-apertus")
    assert code == 1 and "error: mix-apertus: plan: expected " in err


def test_an_export_is_not_exported_again(project: Path, say: Say) -> None:
    assert merged(say, "apertus")[0] == 0
    code, err = refused(say, "mix-apertus-merged", "--model", "tiny-apertus")
    assert code == 2 and "is an export, and no model as it was trained" in err


def test_a_folder_that_holds_something_is_kept(project: Path, say: Say) -> None:
    Path("taken").mkdir()
    Path("taken/thesis.txt").write_text("mine")
    code, err = refused(say, "mix-apertus", "--model", "tiny-apertus", "-o", "taken")
    assert code == 6 and "is not an empty folder; choose another with --output" in err


def test_an_unknown_format_is_told_with_those_that_are_known(project: Path, say: Say) -> None:
    code, _, err = say("export", "marged", "mix-apertus")
    assert code == 2 and "no exporter plug-in named 'marged'; did you mean merged?" in err

"""A model's small files: from a folder, and by the real client from a Hub on loopback."""

from __future__ import annotations

import json
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from teapot.errors import ConfigError, DataError, Problem, TeapotError, UsageError
from teapot.model.base import Base
from teapot.modelfiles import CONFIG, INDEX, WEIGHTS, ModelName, open_model, tokenizer_at
from teapot.plugins import load_trainer
from tests.support.models import config_of, weights_of, write_model

COMMIT = "0123456789abcdef" * 2 + "01234567"


def base(name: str = "apertus") -> Base:
    return load_trainer(name)[0].base


def index_of(*names: str) -> bytes:
    """Return the index of weights that lie in two files."""
    places = {name: f"model-0000{n % 2 + 1}-of-00002.safetensors" for n, name in enumerate(names)}
    return json.dumps({"metadata": {"total_size": 1}, "weight_map": places}).encode()


# Folders.


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model folder of the Apertus family, with one file of weights."""
    return write_model(tmp_path / "model", "apertus")


def tensors(folder: Path) -> frozenset[str]:
    return open_model(ModelName(str(folder))).tensor_names()


def test_a_folder_tells_its_shape_and_the_digest_of_its_configuration(folder: Path) -> None:
    model = open_model(ModelName(str(folder)))
    assert (model.name, model.revision, model.folder) == (str(folder), None, folder)
    config = model.config()
    assert (config.architecture, config.model_type) == ("ApertusForCausalLM", "apertus")
    assert (config.hidden_size, config.intermediate_size) == (64, 128)
    assert (config.num_hidden_layers, config.max_position_embeddings) == (2, 65536)
    assert (config.num_attention_heads, config.num_key_value_heads) == (4, 2)
    assert config.tie_word_embeddings is False
    assert config.sha256 == sha256((folder / CONFIG).read_bytes()).hexdigest()


def test_what_a_configuration_leaves_out_is_filled_in_as_transformers_does(folder: Path) -> None:
    declared = config_of(base())
    del declared["num_key_value_heads"], declared["tie_word_embeddings"]
    (folder / CONFIG).write_text(json.dumps(declared))
    config = open_model(ModelName(str(folder))).config()
    # 64 of hidden size on 4 heads are 16 for each; every head has keys and values of its own.
    assert (config.num_key_value_heads, config.head_dim) == (4, 16)
    assert config.tie_word_embeddings is False
    (folder / CONFIG).write_text(
        json.dumps({**declared, "head_dim": 40, "tie_word_embeddings": True})
    )
    config = open_model(ModelName(str(folder))).config()
    assert (config.head_dim, config.tie_word_embeddings) == (40, True)


def test_tensor_names_come_from_the_header_of_the_weights(folder: Path) -> None:
    found = tensors(folder)
    # Embeddings, output and the last norm; in each of 2 layers q and o, and a norm.
    (folder / WEIGHTS).write_bytes(weights_of(("q_proj", "o_proj")))
    assert tensors(folder) == {
        "model.embed_tokens.weight", "lm_head.weight", "model.norm.weight",
        "model.layers.0.self_attn.q_proj.weight", "model.layers.0.self_attn.o_proj.weight",
        "model.layers.0.attention_layernorm.weight",
        "model.layers.1.self_attn.q_proj.weight", "model.layers.1.self_attn.o_proj.weight",
        "model.layers.1.attention_layernorm.weight",
    }  # fmt: skip
    assert tensors(folder) < found


def test_tensor_names_come_from_the_index_where_there_is_one(folder: Path) -> None:
    (folder / INDEX).write_bytes(index_of("a.weight", "b.weight", "c.weight"))
    assert tensors(folder) == {"a.weight", "b.weight", "c.weight"}
    (folder / WEIGHTS).unlink()
    assert tensors(folder) == {"a.weight", "b.weight", "c.weight"}


def test_a_folder_without_weights_is_told(folder: Path) -> None:
    (folder / WEIGHTS).unlink()
    with pytest.raises(DataError) as caught:
        tensors(folder)
    told = f"has neither {INDEX} nor {WEIGHTS}, so its modules are not known"
    assert str(caught.value) == f"{folder}: {told}"


HEADER = json.dumps({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"tea",
        (1 << 40).to_bytes(8, "little") + b"{}",
        len(HEADER).to_bytes(8, "little") + HEADER,
        len(HEADER).to_bytes(8, "little") + b"x" * len(HEADER) + bytes(4),
    ],
    ids=["empty", "short", "endless header", "no body", "header is no JSON"],
)
def test_a_broken_file_of_weights_is_told(data: bytes, folder: Path) -> None:
    (folder / WEIGHTS).write_bytes(data)
    with pytest.raises(DataError) as caught:
        tensors(folder)
    assert str(caught.value).startswith(f"{folder / WEIGHTS}: is no safetensors file: ")


@pytest.mark.parametrize(
    ("data", "kind", "told"),
    [
        (b"{}", DataError, "has no weight_map, expected one with tensor names"),
        (b'{"weight_map": {}}', DataError, "has no weight_map, expected one with tensor names"),
        (b'{"weight_map": ["a"]}', DataError, "has no weight_map, expected one with tensor names"),
        (b"[]", ConfigError, "is not a JSON object"),
        (b'{"weight_map": ', ConfigError, "is not strict JSON: "),
        (b'{"weight_map": {"a": "1", "a": "2"}}', ConfigError, "is not strict JSON: "),
    ],
)
def test_a_broken_index_is_told_and_the_weights_beside_it_are_not_taken(
    data: bytes, kind: type[TeapotError], told: str, folder: Path
) -> None:
    (folder / INDEX).write_bytes(data)
    with pytest.raises(kind) as caught:
        tensors(folder)
    assert type(caught.value) is kind
    assert str(caught.value).startswith(f"{folder / INDEX}: {told}")


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "is not strict JSON: "),
        (b"{", "is not strict JSON: "),
        (b'{"hidden_size": 1, "hidden_size": 2}', "is not strict JSON: "),
        (b'{"hidden_size": NaN}', "is not strict JSON: "),
        (b'{"model_type": "\xff"}', "is not strict JSON: "),
        (b'["config"]', "is not a JSON object"),
        (b"null", "is not a JSON object"),
    ],
)
def test_a_configuration_that_is_no_strict_object_is_told(
    data: bytes, told: str, folder: Path
) -> None:
    (folder / CONFIG).write_bytes(data)
    with pytest.raises(ConfigError) as caught:
        open_model(ModelName(str(folder))).config()
    assert str(caught.value).startswith(f"{folder / CONFIG}: {told}")


def test_a_folder_without_a_configuration_is_told_what_to_name(folder: Path) -> None:
    (folder / CONFIG).unlink()
    with pytest.raises(ConfigError) as caught:
        open_model(ModelName(str(folder))).config()
    told = "cannot be read: No such file or directory; name a model's folder that has it"
    assert str(caught.value) == f"{folder / CONFIG}: {told}"


def test_a_configuration_that_is_a_folder_is_refused(folder: Path) -> None:
    (folder / CONFIG).unlink()
    (folder / CONFIG).mkdir()
    with pytest.raises(ConfigError, match=r"config.json: cannot be read: "):
        open_model(ModelName(str(folder))).config()


def test_every_entry_that_is_missing_or_no_positive_number_is_named_at_once(folder: Path) -> None:
    declared = config_of(
        base(), hidden_size=0, intermediate_size=-1, num_hidden_layers=True, vocab_size="many",
        head_dim=1.5, num_key_value_heads=0, architectures=["A", "B"], model_type=3,
    )  # fmt: skip
    del declared["num_attention_heads"], declared["max_position_embeddings"]
    (folder / CONFIG).write_text(json.dumps(declared))
    with pytest.raises(ConfigError) as caught:
        open_model(ModelName(str(folder))).config()
    expected = {
        "architectures": "expected one name",
        "model_type": "expected one name",
        "hidden_size": "is 0, expected a positive whole number",
        "intermediate_size": "is -1, expected a positive whole number",
        "num_hidden_layers": "is True, expected a positive whole number",
        "num_attention_heads": "is missing, expected a positive whole number",
        "num_key_value_heads": "is 0, expected a positive whole number",
        "vocab_size": "is 'many', expected a positive whole number",
        "max_position_embeddings": "is missing, expected a positive whole number",
    }
    found = {problem.path: problem.message for problem in caught.value.problems}
    fraction = found.pop("head_dim")
    assert found == expected
    assert "1.5" in fraction and fraction.endswith(", expected a positive whole number")
    assert {problem.where for problem in caught.value.problems} == {str(folder / CONFIG)}


@pytest.mark.parametrize("names", [None, [], "ApertusForCausalLM", [3]])
def test_an_architecture_that_is_not_one_name_is_refused(names: Any, folder: Path) -> None:
    (folder / CONFIG).write_text(json.dumps(config_of(base(), architectures=names)))
    with pytest.raises(ConfigError, match=r"config.json: architectures: expected one name$"):
        open_model(ModelName(str(folder))).config()


# Names.


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ("model", ModelName("model")),
        ("owner/here", ModelName("owner/here")),
        ("owner/name", ModelName("owner/name", "main")),
        ("owner/name@v1.0", ModelName("owner/name", "v1.0")),
        ("owner/name@refs/pr/1", ModelName("owner/name", "refs/pr/1")),
        (f"o-1/n_a.me-2@{COMMIT}", ModelName("o-1/n_a.me-2", COMMIT)),
        ("swiss-ai/Apertus-8B-Instruct-2509@main",
         ModelName("swiss-ai/Apertus-8B-Instruct-2509", "main")),
        ("swiss-ai/Apertus-8B-Instruct-2509",
         ModelName("swiss-ai/Apertus-8B-Instruct-2509",
                   "b946d40447b2b597999b9c86d44bee0b452c919f")),
    ],
)  # fmt: skip
def test_a_model_is_named_by_a_folder_or_by_its_owner_and_perhaps_a_revision(
    given: str, named: ModelName, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("model").mkdir()
    Path("owner/here").mkdir(parents=True)
    assert ModelName.of(given, base()) == named


@pytest.mark.parametrize(
    "given",
    ["model", "owner/", "/name", "a/b/c", "../name", "owner/../name", "-o/name", "own er/name",
     "@main", "owner@main", "owner/name.json/", "owner\\name", "https://host/owner/name",
     "owner/name\n"],
)  # fmt: skip
def test_what_is_neither_a_folder_nor_a_name_on_the_hub_is_refused(
    given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for asked in (
        lambda: ModelName.of(given, base()),
        lambda: tokenizer_at(given, base()),
    ):
        with pytest.raises(UsageError) as caught:
            asked()
        told = "is no folder here, and no OWNER/NAME of a model on the Hub"
        assert caught.value.problems == (Problem(given, told),)


def test_the_model_of_a_base_that_pins_nothing_is_the_one_of_now() -> None:
    free = replace(base(), revision=None)
    assert ModelName.of_base(free) == ModelName(free.model, "main")
    assert ModelName.of(free.model, free) == ModelName(free.model, "main")
    assert ModelName.of_base(base()).revision == base().revision


def test_a_tokenizer_may_be_a_file_or_a_folder(folder: Path) -> None:
    file = folder / "tokenizer.json"
    assert tokenizer_at(str(folder), base()) == folder
    assert tokenizer_at(str(file), base()) == file

"""A model's small files: from a folder, and by the real client from a Hub on loopback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy
import pytest
from safetensors.numpy import save

from teapot.encodedfile import read_encoded
from teapot.errors import ConfigError, DataError, Problem, SourceError, TeapotError, UsageError
from teapot.model.base import Base
from teapot.modelfiles import CONFIG, INDEX, WEIGHTS, ModelName, open_model, tokenizer_at
from teapot.plugins import load_trainer
from tests.support.compositions import make
from tests.support.hub import Hub
from tests.support.models import config_of, model_files, weights_of, write_model
from tests.support.sources import teapot

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


def test_a_folder_is_stated_by_its_name_however_it_is_reached(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    for path in (".", str(folder), f"../{folder.name}/"):
        assert open_model(ModelName(path)).stated_name == folder.name


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


# The Hub.

TINY = "owner/tiny"
PROGRAM = """
import json, sys
from teapot.errors import TeapotError
from teapot.modelfiles import ModelName, open_model, tokenizer_at
from teapot.plugins import load_trainer

given, offline = sys.argv[1], sys.argv[2:] == ["offline"]
base, told = load_trainer("apertus")[0].base, {}
try:
    model = open_model(ModelName.of(given, base), offline=offline)
    told["name"], told["revision"] = model.name, model.revision
    told["files"] = sorted(path.name for path in model.folder.iterdir())
    told["is_tokenizer"] = tokenizer_at(given, base, offline=offline) == model.folder
    told["layers"] = model.config().num_hidden_layers
    told["tensors"] = sorted(model.tensor_names())
except TeapotError as error:
    told |= {"error": type(error).__name__, "code": error.exit_code, "said": str(error)}
print(json.dumps(told))
"""
# The client waits 23 seconds and more before it believes that a Hub is gone.
SHORT_WAITS = "import time\n_s = time.sleep\ntime.sleep = lambda s: _s(min(s, 0.01))\n"
SMALL = ["chat_template.jinja", "config.json", "tokenizer.json", "tokenizer_config.json"]


@dataclass(frozen=True)
class Site:
    """A Hub with a model whose weights are one file, and a folder with a cache of the Hub."""

    hub: Hub
    folder: Path
    commit: str

    def environment(self, token: str | None = None) -> dict[str, str]:
        own = self.hub.environment(self.folder / "cache", token)
        waits = f"{self.folder / 'waits'}{os.pathsep}{own.get('PYTHONPATH', '')}"
        return own | {"PYTHONPATH": waits}

    def ask(self, given: str, *arguments: str, token: str | None = None) -> Any:
        """Return what a process of its own is told of a model, or the error that it ends with."""
        ran = subprocess.run(
            [sys.executable, "-c", PROGRAM, given, *arguments], cwd=self.folder,
            env=self.environment(token), capture_output=True, encoding="utf-8", timeout=120,
            check=False,
        )  # fmt: skip
        # The client tells of its retries; of downloads nothing is shown.
        assert ran.returncode == 0 and "%|" not in ran.stderr, ran.stderr
        return json.loads(ran.stdout)

    def open(self, given: str, *arguments: str, token: str | None = None) -> Any:
        told = self.ask(given, *arguments, token=token)
        assert "error" not in told, told
        return told

    def fail(self, given: str, *arguments: str, token: str | None = None) -> str:
        """Return what the error says; it must say how to do without the Hub."""
        told = self.ask(given, *arguments, token=token)
        assert (told.get("error"), told.get("code")) == ("SourceError", 3), told
        assert told["said"].endswith("; or name a folder that holds it")
        return str(told["said"])


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    (tmp_path / "waits").mkdir()
    (tmp_path / "waits" / "sitecustomize.py").write_text(SHORT_WAITS)
    with Hub() as hub:
        yield Site(hub, tmp_path, hub.commit(TINY, model_files("apertus")))


def names_in(weights: bytes) -> list[str]:
    """Return the tensor names in a safetensors file: 8 bytes of length, then JSON."""
    header = json.loads(weights[8 : 8 + int.from_bytes(weights[:8], "little")])
    return sorted(header.keys() - {"__metadata__"})


OWN_NAMES = names_in(model_files("apertus")[WEIGHTS])


def test_a_branch_is_resolved_to_its_commit_and_another_run_fetches_nothing(site: Site) -> None:
    told = site.open(TINY)
    assert (told["name"], told["revision"]) == (TINY, site.commit)
    assert (told["files"], told["layers"], told["tensors"]) == (SMALL, 2, OWN_NAMES)
    assert told["is_tokenizer"]
    site.hub.requests.clear()
    assert site.open(TINY) == told
    fetched = {request.path for request in site.hub.requests if request.method == "GET"}
    assert not any(path.endswith(tuple(SMALL)) for path in fetched)


@pytest.mark.parametrize("named", ["commit", "tag", "branch"])
def test_a_revision_is_opened_though_main_moved(named: str, site: Site) -> None:
    site.hub.tag(TINY, "v1.0", site.commit)
    files = model_files("apertus")
    branch = site.hub.commit(TINY, files, branch="dev/old")
    three = {CONFIG: json.dumps(config_of(base(), num_hidden_layers=3)).encode()}
    moved = site.hub.move_branch(TINY, "main", {**files, **three})
    revision = {"commit": site.commit, "tag": "v1.0", "branch": "dev/old"}[named]
    told = site.open(f"{TINY}@{revision}")
    expected = branch if named == "branch" else site.commit
    assert (told["revision"], told["layers"]) == (expected, 2)
    told = site.open(TINY)
    assert (told["revision"], told["layers"]) == (moved, 3)


@pytest.mark.parametrize("many", [False, True], ids=["small header", "large header"])
def test_of_weights_in_one_file_only_the_header_is_read(many: bool, site: Site) -> None:
    # A name is 40 characters or so, and its entry some 100: 3,000 entries pass the 100,000 bytes
    # that the client asks for at first.
    names = [f"model.layers.{n}.self_attn.q_proj.weight" for n in range(3000 if many else 3)]
    one, body = numpy.zeros(1, dtype=numpy.float32), numpy.zeros(500_000, dtype=numpy.float32)
    weights = save({**dict.fromkeys(names, one), "model.embed_tokens.weight": body})
    assert (len(weights) > 2_000_000) and (int.from_bytes(weights[:8], "little") > 100_000) == many
    commit = site.hub.commit(TINY, {**model_files("apertus"), WEIGHTS: weights})
    told = site.open(TINY)
    assert told["tensors"] == sorted([*names, "model.embed_tokens.weight"])
    asked = [one for one in site.hub.requests if one.path.endswith(f"/{WEIGHTS}")]
    assert {one.path for one in asked} == {f"/{TINY}/resolve/{commit}/{WEIGHTS}"}
    assert len(asked) == (2 if many else 1)
    header = 8 + int.from_bytes(weights[:8], "little")
    for request in asked:
        assert (request.method, request.status) == ("GET", 206)
        first, last = (int(place) for place in str(request.range).removeprefix("bytes=").split("-"))
        assert 0 <= first < last < max(header, 100_001)
    assert WEIGHTS not in told["files"]


def test_of_sharded_weights_the_index_is_read_and_no_shard(site: Site) -> None:
    files = model_files("apertus")
    shard = files.pop(WEIGHTS)
    shards = {f"model-0000{n}-of-00002.safetensors": shard for n in (1, 2)}
    names = ["model.layers.0.mlp.up_proj.weight", "model.layers.1.mlp.up_proj.weight"]
    site.hub.commit(TINY, {**files, **shards, INDEX: index_of(*names)})
    told = site.open(TINY)
    assert (told["tensors"], told["files"]) == (names, sorted([*SMALL, INDEX]))
    assert not [one for one in site.hub.requests if one.path.endswith(".safetensors")]
    site.hub.offline()
    assert site.open(f"{TINY}@{told['revision']}") == told
    assert site.open(f"{TINY}@{told['revision']}", "offline") == told


def test_weights_that_are_no_safetensors_and_files_that_lack_are_told(site: Site) -> None:
    files = model_files("apertus")
    site.hub.commit(TINY, {**files, WEIGHTS: b"\xff" * 64})
    assert "Safetensors" in site.fail(TINY)
    del files[WEIGHTS]
    site.hub.commit(TINY, files)
    assert "lacks a file that is needed" in site.fail(TINY)
    del files[CONFIG]
    site.hub.commit(TINY, files)
    told = site.ask(TINY)
    assert (told["error"], told["code"]) == ("ConfigError", 2)
    assert "config.json: cannot be read: No such file or directory; name a " in told["said"]


@pytest.mark.parametrize("revision", ["main", "commit"])
def test_a_private_model_opens_with_its_token_only(revision: str, site: Site) -> None:
    site.hub.require_token(TINY, "hf_secret")
    given = f"{TINY}@{site.commit if revision == 'commit' else revision}"
    for token in (None, "hf_wrong"):
        said = site.fail(given, token=token)
        assert "is no model, or a private one: log in with `hf auth login` or set HF_TOKEN" in said
        assert "hf_wrong" not in said
    assert site.open(given, token="hf_secret")["revision"] == site.commit


@pytest.mark.parametrize("revision", ["main", "commit"])
def test_a_gated_model_is_told_apart(revision: str, site: Site) -> None:
    site.hub.require_token(TINY, "hf_secret", gated=True)
    given = f"{TINY}@{site.commit if revision == 'commit' else revision}"
    for token in (None, "hf_wrong"):
        said = site.fail(given, token=token)
        assert "is gated: accept its terms on the Hub, then log in with `hf auth login`" in said
    assert site.open(given, token="hf_secret")["revision"] == site.commit


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("owner/nothing", "owner/nothing, revision main: is no model, or a private one: log in"),
        (f"{TINY}@v9", f"{TINY}, revision v9: has no such revision"),
        (f"{TINY}@{COMMIT}", f"{TINY}, revision {COMMIT}: has no such revision"),
    ],
)
def test_what_is_not_on_the_hub_is_told(given: str, told: str, site: Site) -> None:
    assert site.fail(given).startswith(told)


def test_a_hub_that_is_away_does_not_matter_to_a_cached_commit(site: Site) -> None:
    files = model_files("apertus")
    del files[WEIGHTS]
    commit = site.hub.commit(TINY, {**files, INDEX: index_of("a.weight")})
    told = site.open(f"{TINY}@{commit}")
    site.hub.offline()
    assert site.open(f"{TINY}@{commit}") == told
    assert site.open(f"{TINY}@{commit}", "offline") == told


def test_a_hub_that_is_away_with_an_empty_cache_is_told(site: Site) -> None:
    site.hub.offline()
    said = site.fail(f"{TINY}@{site.commit}")
    assert "cannot be fetched: the Hub is not reached, and the cache does not have it" in said


@pytest.mark.parametrize("revision", ["main", "commit"])
def test_offline_with_an_empty_cache_asks_nobody(revision: str, site: Site) -> None:
    given = f"{TINY}@{site.commit if revision == 'commit' else revision}"
    said = site.fail(given, "offline")
    assert "is not in the Hub cache, and --offline is set; run once without it" in said
    assert site.hub.requests == []


def test_offline_opens_the_branch_that_a_run_before_has_fetched(site: Site) -> None:
    site.hub.commit(TINY, {**model_files("apertus"), INDEX: index_of("a.weight")})
    told = site.open(TINY)
    site.hub.requests.clear()
    assert site.open(TINY, "offline") == told
    assert site.hub.requests == []
    site.hub.move_branch(TINY, "main", {**model_files("apertus"), INDEX: index_of("b.weight")})
    assert site.open(TINY, "offline") == told
    moved = site.open(TINY)
    assert (moved["tensors"], moved["revision"] != told["revision"]) == (["b.weight"], True)
    assert site.open(TINY, "offline") == moved


def test_another_commit_than_the_branch_has_now_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Between two requests no Hub on loopback can go away: the client's stale copy is put here.
    stale = tmp_path / "snapshots" / ("1" * 40)
    now = SimpleNamespace(sha=COMMIT)
    monkeypatch.setattr("huggingface_hub.HfApi.model_info", lambda *_, **__: now)
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *_, **__: str(stale))
    with pytest.raises(SourceError) as caught:
        open_model(ModelName(TINY, "main"))
    told = f"the Hub gave another commit than {COMMIT}; run again"
    assert str(caught.value) == f"{TINY}, revision main: {told}"


def test_a_hub_that_is_away_says_how_a_cached_branch_is_opened(site: Site) -> None:
    told = site.open(TINY)
    site.hub.offline()
    said = site.fail(TINY)
    assert "the Hub is not reached; --offline reads what is in the cache" in said
    # Without the Hub the header of weights in one file is not known; all else is.
    offline = site.ask(TINY, "offline")
    assert offline["revision"] == told["revision"] and offline["layers"] == told["layers"]
    assert (offline["error"], offline["code"]) == ("SourceError", 3)
    away = f"{WEIGHTS} is not in the Hub cache, and --offline is set; run without it"
    assert offline["said"].startswith(f"{TINY}, revision {site.commit}: {away}")
    assert "the Hub is not reached" in site.fail(f"{TINY}@{site.commit}")


def test_a_hub_that_fails_is_told_with_its_status(site: Site) -> None:
    site.hub.fail(f"/api/models/{TINY}/revision/main", 503)
    assert "503" in site.fail(TINY)
    assert site.open(TINY)["revision"] == site.commit


# The commands.


@pytest.fixture
def mix(site: Site) -> Path:
    """A signed composition in the site's folder, and there the same model in `model`."""
    write_model(site.folder / "model", "apertus")
    make(site.folder, output="mix.jsonl")
    return site.folder


def ran(site: Site, *arguments: str) -> Any:
    """Return what a command, which must succeed, tells as JSON."""
    made = teapot(site.folder, *arguments, "--json", env=site.environment())
    assert made.returncode == 0, made.stdout + made.stderr
    return json.loads(made.stdout)


def test_encode_with_a_tokenizer_on_the_hub_gives_the_ids_of_the_folder(
    site: Site, mix: Path
) -> None:
    rows = {}
    for name, given in (("folder", "model"), ("hub", TINY), ("pinned", f"{TINY}@{site.commit}")):
        asked = ("mix.jsonl", "--base", "apertus", "--tokenizer", given, "-o", f"{name}.arrow")
        told = ran(site, "encode", *asked)
        rows[name] = list(read_encoded(mix / f"{name}.arrow", told["rows_sha256"]))
    assert rows["hub"] == rows["pinned"] == rows["folder"] and len(rows["hub"]) == 27
    assert not [one for one in site.hub.requests if one.path.endswith(f"/{WEIGHTS}")]


def test_encode_offline_reads_the_tokenizer_in_the_cache(site: Site, mix: Path) -> None:
    asked = ("encode", "mix.jsonl", "--base", "apertus", "--tokenizer", TINY, "--offline")
    failed = teapot(mix, *asked, env=site.environment())
    assert failed.returncode == 3
    assert "is not in the Hub cache, and --offline is set; run once without it" in failed.stderr
    first = ran(site, *asked[:-1])
    site.hub.requests.clear()
    assert ran(site, *asked)["rows_sha256"] == first["rows_sha256"]
    assert site.hub.requests == []


def test_mask_with_a_tokenizer_on_the_hub_shows_the_ids_of_the_folder(
    site: Site, mix: Path
) -> None:
    asked = ("mask", "mix.jsonl", "1", "--base", "apertus", "--tokenizer")
    found = ran(site, *asked, TINY)
    assert found == ran(site, *asked, "model")
    assert found["pieces"][0]["id"] == 1 and found["pieces"][-1]["id"] == 68  # <s>, assistant_end


def test_train_without_a_model_checks_the_bases_own_at_its_pinned_commit(
    site: Site, mix: Path
) -> None:
    name, pinned = "swiss-ai/Apertus-8B-Instruct-2509", "b946d40447b2b597999b9c86d44bee0b452c919f"
    site.hub.commit(name, model_files("apertus"), sha=pinned)
    site.hub.commit(name, {"README.md": b"The branch has moved on."})
    told = ran(site, "train", "--check", "mix.config", "--base", "apertus")
    assert told["ok"] and {check["status"] for check in told["checks"]} <= {"ok", "note"}
    plan = told["plan"]
    assert (plan["model"], plan["revision"]) == (name, pinned)
    digest = sha256(model_files("apertus")[CONFIG]).hexdigest()
    assert (plan["rows"], plan["model_config_sha256"]) == (27, digest)
    asked = {one.path.split("/resolve/")[1] for one in site.hub.requests if "/resolve/" in one.path}
    assert {path.split("/")[0] for path in asked} == {pinned}


def test_train_names_the_commit_of_another_model_that_it_is_given(site: Site, mix: Path) -> None:
    command = ("train", "--check", "mix.config", "--base", "apertus", "--model")
    plan = ran(site, *command, TINY)["plan"]
    assert (plan["model"], plan["revision"]) == (TINY, site.commit)
    plan = ran(site, *command, "model")["plan"]
    assert (plan["model"], plan["revision"]) == ("model", None)

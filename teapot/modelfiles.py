"""A model's small files, from a folder or from the Hub: configuration, tokenizer, tensor names.

Weights are not read; of them, only the names that stand in the index or in the header of a
safetensors file. No code of a repository is run and nothing is unpickled.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from teapot.canonical import CanonicalError, loads
from teapot.digest import sha256_hex
from teapot.errors import (
    ConfigError,
    DataError,
    MissingExtraError,
    Problem,
    SourceError,
    TeapotError,
    UsageError,
)
from teapot.files import open_regular
from teapot.model.base import Base
from teapot.model.modelconfig import ModelConfig

CONFIG, INDEX, WEIGHTS = "config.json", "model.safetensors.index.json", "model.safetensors"
_SMALL_FILES = (
    CONFIG, INDEX, "generation_config.json", "tokenizer.json", "tokenizer_config.json",
    "special_tokens_map.json", "chat_template.jinja",
)  # fmt: skip
_MAX_BYTES = 64 << 20
_TIMEOUT_SECONDS = 30.0
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True)
class ModelName:
    """What names a model: a folder, or a model on the Hub and one of its revisions."""

    name: str
    revision: str | None = None

    @classmethod
    def of_base(cls, base: Base) -> ModelName:
        """Return the model that a base is of, at the revision that it pins."""
        return cls(base.model, base.revision or "main")

    @classmethod
    def of(cls, given: str, base: Base) -> ModelName:
        """Return what a user named: `FOLDER`, `OWNER/NAME` or `OWNER/NAME@REVISION`.

        The base's own model gets the revision that the base pins where none is named.

        Raises:
            UsageError: it is none of these.
        """
        if given and Path(given).is_dir():
            return cls(given)
        name, _, revision = given.partition("@")
        if not _HUB_ID.fullmatch(name):
            told = "is no folder here, and no OWNER/NAME of a model on the Hub"
            raise UsageError(Problem(given, told))
        if not revision and name == base.model:
            return cls.of_base(base)
        return cls(name, revision or "main")


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelFiles:
    """A model whose small files lie in `folder`; `revision` is a commit, or None for a folder."""

    name: str
    revision: str | None
    folder: Path
    tensor_names: Callable[[], frozenset[str]]

    @property
    def stated_name(self) -> str:
        """Return what the model is called in what others read: never a path of this machine."""
        return self.name if self.revision is not None else self.folder.resolve().name

    def config(self) -> ModelConfig:
        """Return the shape of the model.

        Raises:
            ConfigError: there is no such file, or it does not tell the shape.
        """
        path = self.folder / CONFIG
        data = _read(path)
        return ModelConfig.from_dict(_json(path, data), str(path), sha256_hex(data))


def open_model(named: ModelName, *, offline: bool = False) -> ModelFiles:
    """Return a model's small files; those of the Hub are fetched into its ordinary cache.

    Raises:
        SourceError: the Hub does not give them, or they are not in the cache and `offline` is set.
    """
    if named.revision is None:
        folder = Path(named.name)
        return ModelFiles(
            name=named.name, revision=None, folder=folder,
            tensor_names=lambda: _tensors_in(folder),
        )  # fmt: skip
    try:
        folder, commit = _fetch(named.name, named.revision, offline=offline)
    except Exception as error:
        raise hub_error(named, error, offline=offline) from error
    return ModelFiles(
        name=named.name, revision=commit, folder=folder,
        tensor_names=lambda: _tensors_on_hub(folder, ModelName(named.name, commit), offline),
    )  # fmt: skip


def _fetch(name: str, revision: str, *, offline: bool) -> tuple[Path, str]:
    """Return the folder of the small files in the Hub's cache, and the commit that they are of.

    They are asked for by the branch's name, which keeps the branch in the cache for offline use;
    the client falls back to a stale copy in silence when the Hub is away, so the commit is asked
    for first and compared.
    """
    from huggingface_hub import HfApi, snapshot_download

    commit = revision if _COMMIT.fullmatch(revision) else None
    if not offline and commit is None:
        info = HfApi().model_info(name, revision=revision, timeout=_TIMEOUT_SECONDS)
        commit = str(info.sha)
    found = snapshot_download(
        name, revision=revision, allow_patterns=list(_SMALL_FILES), local_files_only=offline,
        etag_timeout=_TIMEOUT_SECONDS, tqdm_class=silent_bars(),
    )  # fmt: skip
    folder = Path(found)
    if commit is not None and folder.name != commit:
        told = f"the Hub gave another commit than {commit}; run again"
        raise SourceError(Problem(f"{name}, revision {revision}", told))
    return folder, folder.name


def silent_bars() -> Any:
    """Return a class of progress bars for the Hub's client that shows nothing."""
    from tqdm import tqdm

    class Silent(tqdm):  # type: ignore[misc]  # tqdm ships no types
        def __init__(self, *arguments: Any, **named: Any) -> None:
            named.pop("name", None)
            super().__init__(*arguments, **{**named, "disable": True})

    return Silent


def _tensors_in(folder: Path) -> frozenset[str]:
    index, weights = folder / INDEX, folder / WEIGHTS
    if index.exists():
        return _names_in_index(index)
    if not weights.exists():
        told = f"has neither {INDEX} nor {WEIGHTS}, so its modules are not known"
        raise DataError(Problem(str(folder), told))
    try:
        from safetensors import SafetensorError, safe_open
    except ImportError as error:
        raise MissingExtraError("reading a model's tensor names", "train") from error
    try:
        with safe_open(str(weights), framework="numpy") as opened:
            return frozenset(opened.keys())
    except (SafetensorError, OSError) as error:
        raise DataError(Problem(str(weights), f"is no safetensors file: {error}")) from error


def _tensors_on_hub(folder: Path, named: ModelName, offline: bool) -> frozenset[str]:
    if (folder / INDEX).exists():
        return _names_in_index(folder / INDEX)
    if (folder / WEIGHTS).exists():
        return _tensors_in(folder)
    if offline:
        told = f"{WEIGHTS} is not in the Hub cache, and --offline is set; run without it"
        raise SourceError(_place(named, told))
    from huggingface_hub import HfApi

    try:
        header = HfApi().parse_safetensors_file_metadata(
            named.name, WEIGHTS, revision=named.revision, timeout=_TIMEOUT_SECONDS
        )
    except Exception as error:
        raise hub_error(named, error, offline=offline) from error
    return frozenset(header.tensors)


def _names_in_index(path: Path) -> frozenset[str]:
    places = read_json(path).get("weight_map")
    if not isinstance(places, dict) or not places:
        raise DataError(Problem(str(path), "has no weight_map, expected one with tensor names"))
    return frozenset(places)


def _read(path: Path) -> bytes:
    try:
        with open_regular(path) as file:
            data = file.read(_MAX_BYTES + 1)
    except OSError as error:
        told = f"cannot be read: {error.strerror}; name a model's folder that has it"
        raise ConfigError(Problem(str(path), told)) from error
    if len(data) > _MAX_BYTES:
        raise ConfigError(Problem(str(path), f"has over {_MAX_BYTES:,} bytes"))
    return data


def read_json(path: Path) -> dict[str, Any]:
    """Return the JSON object in a small file of a model.

    Raises:
        ConfigError: it cannot be read, or is no strict JSON object.
    """
    return _json(path, _read(path))


def _json(path: Path, data: bytes) -> dict[str, Any]:
    try:
        value = loads(data)
    except CanonicalError as error:
        raise ConfigError(Problem(str(path), f"is not strict JSON: {error}")) from error
    if not isinstance(value, dict):
        raise ConfigError(Problem(str(path), "is not a JSON object"))
    return value


def hub_error(named: ModelName, error: Exception, *, offline: bool) -> TeapotError:
    """Return the client's error in words that say what to do."""
    from huggingface_hub import errors

    if isinstance(error, TeapotError):
        return error
    told: Iterable[tuple[type[Exception], str]] = (
        (errors.GatedRepoError,
         "is gated: accept its terms on the Hub, then log in with `hf auth login`"),
        (errors.RepositoryNotFoundError,
         "is no model, or a private one: log in with `hf auth login` or set HF_TOKEN"),
        (errors.RevisionNotFoundError, "has no such revision"),
        (errors.LocalEntryNotFoundError,
         "is not in the Hub cache, and --offline is set; run once without it" if offline
         else "cannot be fetched: the Hub is not reached, and the cache does not have it"),
        (errors.NotASafetensorsRepoError, f"has no {WEIGHTS}, so its modules are not known"),
        (errors.EntryNotFoundError, "lacks a file that is needed"),
    )  # fmt: skip
    said = next((text for kind, text in told if isinstance(error, kind)), None)
    if said is None and any(part in type(error).__name__ for part in ("ConnectError", "Timeout")):
        said = "the Hub is not reached; --offline reads what is in the cache"
    if said is None:
        said = f"cannot be fetched from the Hub: {type(error).__name__}: {error}"
    return SourceError(_place(named, said))


def _place(named: ModelName, said: str) -> Problem:
    where = f"{named.name}, revision {named.revision}"
    return Problem(where, f"{said}; or name a folder that holds it")


def tokenizer_at(given: str, base: Base, *, offline: bool = False) -> Path:
    """Return where a tokenizer lies: the file or folder that was named, or a model of the Hub.

    Raises:
        UsageError: it is none of these.
        SourceError: the Hub does not give it.
    """
    if Path(given).exists():
        return Path(given)
    return open_model(ModelName.of(given, base), offline=offline).folder

"""A base model's weight files: where they lie here, and what they are.

From the Hub only the safetensors files that the model's own index names are fetched, into the
ordinary cache, at a commit. Pickled weights are never asked for.
"""

from __future__ import annotations

from pathlib import Path

from teapot.digest import sha256_file
from teapot.errors import DataError, Problem
from teapot.modelfiles import (
    INDEX,
    WEIGHTS,
    ModelName,
    hub_error,
    read_json,
    silent_bars,
)
from teapot.names import file_fault

_BESIDE = ("config.json", "generation_config.json", INDEX)


def weights_folder(named: ModelName, *, offline: bool = False) -> Path:
    """Return the folder that holds a model's weights and configuration.

    Those of the Hub are fetched into its ordinary cache; a revision must be a commit by then.

    Raises:
        SourceError: the Hub does not give them, or they are not in the cache and `offline` is set.
        DataError: the index names no plain files.
    """
    if named.revision is None:
        return Path(named.name)
    from huggingface_hub import snapshot_download

    def fetch(patterns: tuple[str, ...]) -> Path:
        found = snapshot_download(
            named.name, revision=named.revision, allow_patterns=list(patterns),
            local_files_only=offline, tqdm_class=silent_bars(),
        )  # fmt: skip
        return Path(found)

    try:
        folder = fetch(_BESIDE)
        return fetch((*_BESIDE, *weight_names(folder)))
    except Exception as error:
        raise hub_error(named, error, offline=offline) from error


def weight_names(folder: Path) -> tuple[str, ...]:
    """Return the names of a model's weight files, as its index says; one where it has none.

    Raises:
        ConfigError, DataError: the index cannot be read, or names what is no plain file name.
    """
    path = folder / INDEX
    if not path.exists():
        return (WEIGHTS,)
    places = read_json(path).get("weight_map")
    if not isinstance(places, dict) or not places:
        raise DataError(Problem(str(path), "has no weight_map, expected one with tensor names"))
    for name in places.values():
        fault = file_fault(name) if isinstance(name, str) else "is no text"
        if fault is not None or not name.endswith(".safetensors"):
            told = f"the file name {name!a} {fault or 'does not end in .safetensors'}"
            raise DataError(Problem(str(path), told))
    return tuple(sorted(set(places.values())))


def weight_digests(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each weight file of a model.

    Raises:
        DataError: one is missing.
    """
    found = {}
    for name in weight_names(folder):
        try:
            found[name] = sha256_file(folder / name)
        except OSError as error:
            told = f"cannot be read: {error.strerror}; expected the model's weights"
            raise DataError(Problem(str(folder / name), told)) from error
    return found

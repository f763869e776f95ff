"""Hugging Face datasets: a file at a revision, or a configuration's split through `datasets`.

The revision is resolved to a commit, and the commit is what is read and recorded. Files go to the
ordinary Hub cache. No code of a repository is ever run, and nothing is unpickled.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

from teapot.canonical import CanonicalError, dumps
from teapot.errors import (
    DigestError,
    MissingExtraError,
    Problem,
    SourceError,
    TeapotError,
    UsageError,
)
from teapot.interfaces import Progress, SourceContext, SourceIdentity, SourceReader
from teapot.model.module import SourceSpec
from teapot.model.record import Fault
from teapot.sources.local import LocalFile, Rows, open_local

_TIMEOUT_SECONDS = 30.0
_COMMIT = re.compile(r"[0-9a-f]{40}")
_SNAPSHOT = re.compile(r"[/\\]snapshots[/\\]([0-9a-f]{40})[/\\]")


class HuggingFaceSource:
    """Source kind `huggingface`: `repo` with `file`, or with `split` and perhaps `config`."""

    def open(self, spec: SourceSpec, context: SourceContext) -> SourceReader:
        """Return a reader of the file or the split, at the commit its revision names now.

        Raises:
            UsageError: the source does not say which file or split.
            SourceError: the Hub does not give it, or it is not in the cache and `offline` is set.
        """
        if spec.repo is None or (spec.file is None) == (spec.split is None):
            message = "kind huggingface needs repo: and either file: or split:"
            raise UsageError(Problem(f"source {spec.id}", message))
        if spec.split is not None:
            return _SplitReader(spec, context)
        try:
            path, commit = _download(spec, context)
        except Exception as error:
            raise _explained(spec, context, error) from error
        return open_local(
            LocalFile(path=path, spec=spec, revision=commit, progress=context.progress)
        )


def _download(spec: SourceSpec, context: SourceContext) -> tuple[Path, str]:
    """Return the cached file and its commit.

    The file is asked for by the branch's name, which keeps the branch in the cache for offline use;
    the client falls back to a stale copy in silence when the Hub is away, so the commit is asked
    for first and compared.
    """
    from huggingface_hub import hf_hub_download

    revision = spec.revision or "main"
    commit = None if context.offline else _commit_of(spec, revision)
    path = hf_hub_download(
        spec.repo or "", spec.file or "", repo_type="dataset", revision=revision,
        local_files_only=context.offline, tqdm_class=_bars_of(spec.id, context.progress),
    )  # fmt: skip
    found = _SNAPSHOT.search(path)
    if found is None or (commit is not None and found[1] != commit):
        message = f"the Hub gave another commit than {commit} for {revision}; run again"
        raise SourceError(Problem(f"source {spec.id}", message))
    return Path(path), found[1]


def _bars_of(name: str, progress: Progress) -> Any:
    """Return a bar class that shows nothing itself and reports to `progress`."""
    from tqdm import tqdm

    class Bar(tqdm):  # type: ignore[misc]  # tqdm ships no types
        def __init__(self, *arguments: Any, **named: Any) -> None:
            self.done, self.whole = named.get("initial") or 0, named.get("total")
            super().__init__(*arguments, **{**named, "disable": True})

        def update(self, n: float | None = 1) -> None:
            self.done += n or 0
            progress(name, int(self.done), self.whole)

    return Bar


def _commit_of(spec: SourceSpec, revision: str) -> str:
    if _COMMIT.fullmatch(revision):
        return revision
    from huggingface_hub import HfApi

    return str(
        HfApi().dataset_info(spec.repo or "", revision=revision, timeout=_TIMEOUT_SECONDS).sha
    )


def _explained(spec: SourceSpec, context: SourceContext, error: Exception) -> TeapotError:
    """Return the client's error in words that say what to do."""
    from huggingface_hub import errors

    if isinstance(error, TeapotError):
        return error
    where, revision = f"source {spec.id}", spec.revision or "main"
    part = f"file {spec.file}" if spec.file else f"{spec.config or 'default'}, split {spec.split}"
    place = f"{spec.repo}, {part}, revision {revision}"
    if context.offline and isinstance(error, errors.LocalEntryNotFoundError):
        said = "not in the Hub cache, and --offline is set; run once without it"
    elif isinstance(error, errors.GatedRepoError):
        said = "gated: accept its terms on the Hub, then log in with `hf auth login`"
    elif isinstance(error, errors.RepositoryNotFoundError):
        said = "no such dataset, or a private one: log in with `hf auth login` or set HF_TOKEN"
    elif isinstance(error, errors.RevisionNotFoundError):
        said = "no such revision in the dataset"
    elif isinstance(error, errors.LocalEntryNotFoundError):
        said = "the Hub cannot be reached, and the file is not in the cache"
    elif "ConnectError" in type(error).__name__ or "Timeout" in type(error).__name__:
        said = "the Hub cannot be reached; --offline reads the commit that is in the cache"
    elif isinstance(error, errors.EntryNotFoundError):
        said = "no such file in the dataset at that revision"
    else:
        said = f"cannot be fetched from the Hub: {type(error).__name__}: {error}"
    hint = f"; or give it with --source {spec.id}=PATH"
    return SourceError(Problem(where, f"{place}: {said}{hint}"))


class _SplitReader:
    """The rows of one split; the digest is of the rows as canonical JSON lines."""

    def __init__(self, spec: SourceSpec, context: SourceContext) -> None:
        self._spec = spec
        self._context = context
        self._rows = 0
        self._bytes = 0
        self._sha256 = hashlib.sha256()
        self._dataset, self._commit = _load_split(spec, context)

    def __iter__(self) -> Rows:
        for row in self._dataset:
            self._rows += 1
            try:
                line = dumps(row) + b"\n"
            except CanonicalError as error:
                yield self._rows, Fault("schema", "a value that JSON cannot hold", hint=str(error))
                line = b"null\n"
            else:
                yield self._rows, row
            self._sha256.update(line)
            self._bytes += len(line)

    def identity(self) -> SourceIdentity:
        """Return what was read.

        Raises:
            DigestError: the rows do not have the digest that the module declares.
        """
        found = self._sha256.hexdigest()
        if self._spec.sha256 is not None and found != self._spec.sha256:
            message = f"the SHA-256 of its rows is {found}, expected {self._spec.sha256}"
            raise DigestError(Problem(f"source {self._spec.id}", message))
        return SourceIdentity(
            uri=self._spec.uri, revision=self._commit, sha256=found,
            bytes=self._bytes, rows=self._rows, digest_of="rows",
        )  # fmt: skip


def _load_split(spec: SourceSpec, context: SourceContext) -> tuple[Any, str]:
    """Return the rows of a split and the commit they are of.

    `datasets` gives the rows of another, cached revision where it cannot have the one it is asked
    for. Its cache keeps rows in a folder named by their commit, which is what is compared.
    """
    try:
        import datasets
    except ImportError as error:
        raise MissingExtraError(f"source {spec.id} (a split of {spec.repo})", "datasets") from error
    datasets.disable_progress_bars()
    revision = spec.revision or "main"
    if context.offline and not _COMMIT.fullmatch(revision):
        message = "a split is read offline only at a commit: set revision: to its 40 hex digits"
        raise SourceError(Problem(f"source {spec.id}", message))
    try:
        commit = _commit_of(spec, revision)
        offline = {"download_config": _offline_config()} if context.offline else {}
        loaded = datasets.load_dataset(
            spec.repo or "", spec.config, split=spec.split, revision=commit, **offline
        )
    except Exception as error:
        raise _explained(spec, context, error) from error
    folders = {Path(file["filename"]).parent.name for file in loaded.cache_files}
    if folders != {commit}:
        message = f"{spec.repo} at {commit} cannot be had; `datasets` gave another, cached revision"
        raise SourceError(Problem(f"source {spec.id}", message))
    return loaded, commit


def _offline_config() -> Any:
    from datasets import DownloadConfig, config

    config.HF_HUB_OFFLINE = True
    return DownloadConfig(local_files_only=True)

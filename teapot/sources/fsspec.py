"""Anything that fsspec opens (s3://, gs://, az://, memory:// …), copied once and read there.

Credentials come from the environment, as the file system's own library reads them.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from teapot.errors import Problem, SourceError, TeapotError, UsageError
from teapot.interfaces import Block, SourceContext, SourceIdentity, SourceReader
from teapot.model.module import SourceSpec
from teapot.sources.jsonl import JsonlReader
from teapot.sources.local import LocalFile, Rows, open_local

_BLOCK_BYTES = 4 << 20


class FsspecSource:
    """Source kind `fsspec`: a `url` of any file system, pinned by `sha256` where it is given."""

    def open(self, spec: SourceSpec, context: SourceContext) -> SourceReader:
        """Return a reader of a local copy of the file.

        Raises:
            UsageError: the source lacks `url`, or its file system is not installed.
            SourceError: the file is not there, or cannot be reached.
        """
        url = _url(spec, context)
        folder = Path(tempfile.mkdtemp(prefix="teapot-source-"))
        try:
            path = folder / (url.rpartition("/")[2] or "file")
            _copy(spec, context, path)
            reader = open_local(LocalFile(path=path, spec=spec, progress=context.progress))
            if isinstance(reader, JsonlReader):
                return _TemporaryBlocks(folder, reader)
            return _TemporaryRows(folder, reader)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise


class _TemporaryRows:
    """A reader of a copy that is removed once it is read."""

    def __init__(self, folder: Path, reader: SourceReader) -> None:
        self._folder, self._reader = folder, reader

    def __iter__(self) -> Rows:
        try:
            yield from self._reader
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)

    def identity(self) -> SourceIdentity:
        """Return what was read."""
        return self._reader.identity()


class _TemporaryBlocks(_TemporaryRows):
    """The same of a reader that gives blocks."""

    def __init__(self, folder: Path, reader: JsonlReader) -> None:
        super().__init__(folder, reader)
        self._blocks = reader

    def blocks(self) -> Iterator[Block]:
        """Yield the rows in blocks."""
        try:
            yield from self._blocks.blocks()
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)

    def again(self) -> BinaryIO | None:
        """Return the copy, opened anew; it can be read even when its name is gone."""
        return self._blocks.again()


def remote_size(spec: SourceSpec, context: SourceContext) -> int | None:
    """Return the size of a file; None where its file system does not tell.

    Raises:
        UsageError: the source lacks `url`, or its file system is not installed.
        SourceError: the file is not there, or cannot be reached.
    """
    import fsspec

    url = _url(spec, context)
    try:
        files, path = fsspec.core.url_to_fs(url)
        size = files.info(path).get("size")
    except Exception as error:  # every file system raises its own library's errors
        raise _explained(spec, error) from error
    return size if isinstance(size, int) else None


def _url(spec: SourceSpec, context: SourceContext) -> str:
    where = f"source {spec.id}"
    if spec.url is None:
        raise UsageError(Problem(where, "kind fsspec needs url:"))
    scheme = spec.url.partition("://")[0]
    if context.offline and scheme not in ("file", "memory"):
        message = f"{spec.url} needs the network; give it with --source {spec.id}=PATH"
        raise SourceError(Problem(where, message))
    return spec.url


def _explained(spec: SourceSpec, error: Exception) -> TeapotError:
    if isinstance(error, ImportError | ValueError):
        message = f"{spec.url}: {error}; install the package that opens it, such as s3fs or gcsfs"
        return UsageError(Problem(f"source {spec.id}", message))
    message = f"{spec.url} cannot be read: {type(error).__name__}: {error}"
    return SourceError(Problem(f"source {spec.id}", message))


def _copy(spec: SourceSpec, context: SourceContext, path: Path) -> None:
    import fsspec

    try:
        opened: Any = fsspec.open(spec.url, mode="rb")
        with opened as remote, path.open("wb") as local:
            while block := remote.read(_BLOCK_BYTES):
                local.write(block)
                context.progress(spec.id, local.tell(), None)
    except Exception as error:  # every file system raises its own library's errors
        raise _explained(spec, error) from error

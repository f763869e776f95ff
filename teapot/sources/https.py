"""One file over https, pinned by its SHA-256, kept in the cache and resumed after a break."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from teapot.digest import sha256_file
from teapot.errors import DigestError, Problem, SourceError, UsageError
from teapot.interfaces import SourceContext, SourceReader
from teapot.model.module import SourceSpec
from teapot.sources.cache import cache_folder
from teapot.sources.local import LocalFile, open_local

_TIMEOUT_SECONDS = 30.0
_ATTEMPTS = 4
_LONGEST_NAME = 100


class HttpsSource:
    """Source kind `https`: `url` and a required `sha256`."""

    def open(self, spec: SourceSpec, context: SourceContext) -> SourceReader:
        """Return a reader of the file, downloaded once and checked against its digest.

        Raises:
            UsageError: the source lacks `url` or `sha256`, or is not https.
            SourceError: the server does not give the file.
            DigestError: it gives another file.
        """
        _check(spec)
        path = _cached_path(spec, context)
        if not path.exists() or (not context.offline and not _is_sound(path, spec)):
            _download(spec, context, path)
        return open_local(LocalFile(path=path, spec=spec, progress=context.progress))


def _check(spec: SourceSpec) -> None:
    where = f"source {spec.id}"
    if spec.url is None or spec.sha256 is None:
        raise UsageError(Problem(where, "kind https needs url: and sha256:"))
    try:
        parts = urlsplit(spec.url)
    except ValueError as error:
        raise UsageError(Problem(where, f"{spec.url} is not an address: {error}")) from error
    loopback = parts.hostname in ("127.0.0.1", "localhost", "::1")
    if parts.scheme != "https" and not (parts.scheme == "http" and loopback):
        raise UsageError(Problem(where, f"found {spec.url}, expected an address with https://"))


def _cached_path(spec: SourceSpec, context: SourceContext) -> Path:
    """Return where the file is kept: in a folder named by its digest, under its own name's end."""
    name = Path(urlsplit(spec.url or "").path).name[-_LONGEST_NAME:] or "file"
    return (context.cache or cache_folder()) / "https" / (spec.sha256 or "") / name


def _download(spec: SourceSpec, context: SourceContext, path: Path) -> None:
    """Fetch into a part file beside `path`, check its digest, then put it in place.

    One run at a time does so; what another has fetched meanwhile is taken.
    """
    if context.offline:
        message = f"not in the cache, and --offline is set; give it with --source {spec.id}=PATH"
        raise SourceError(Problem(f"source {spec.id}", message))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        message = f"the cache {path.parent} cannot be made ({error.strerror}); set XDG_CACHE_HOME"
        raise SourceError(Problem(f"source {spec.id}", message)) from error
    with _alone_in(path.parent):
        if _is_sound(path, spec):
            return
        part = path.with_name(path.name + ".part")
        resumed = part.exists()
        found = _fetched_digest(spec, context, part)
        if found != spec.sha256 and resumed:
            found = _fetched_digest(spec, context, part)
        if found != spec.sha256:
            told = f"{spec.url} has SHA-256 {found}, expected {spec.sha256}: it is another file"
            raise DigestError(Problem(f"source {spec.id}", told))
        part.replace(path)


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Hold a lock on a folder of the cache; it is released when the run ends, however it does."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _is_sound(path: Path, spec: SourceSpec) -> bool:
    """Tell whether the file is in the cache as it was fetched."""
    return path.exists() and sha256_file(path) == spec.sha256


def _fetched_digest(spec: SourceSpec, context: SourceContext, part: Path) -> str:
    """Fetch the part file and return its digest; a file that is not the one does not stay."""
    _fetch(spec, context, part)
    found = sha256_file(part)
    if found != spec.sha256:
        part.unlink()
    return found


def _fetch(spec: SourceSpec, context: SourceContext, part: Path) -> None:
    import httpx2

    error: Exception | None = None
    with httpx2.Client(follow_redirects=True, timeout=_TIMEOUT_SECONDS) as client:
        for _ in range(_ATTEMPTS):
            try:
                _continue_download(client, spec, context, part)
                return
            except httpx2.HTTPStatusError as failure:
                error = failure
                if failure.response.status_code < 500:
                    break
            except (httpx2.HTTPError, httpx2.StreamError) as failure:
                error = failure
    message = f"{spec.url} cannot be fetched: {error}"
    raise SourceError(Problem(f"source {spec.id}", message)) from error


def _continue_download(client: Any, spec: SourceSpec, context: SourceContext, part: Path) -> None:
    """Append what the part file lacks; a server that ignores the range starts it anew."""
    have = part.stat().st_size if part.exists() else 0
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    with client.stream("GET", spec.url, headers=headers) as response:
        if response.status_code == 416:
            return
        response.raise_for_status()
        resumed = response.status_code == 206
        have = have if resumed else 0
        length = response.headers.get("Content-Length")
        total = have + int(length) if length else None
        with part.open("ab" if resumed else "wb") as file:
            for block in response.iter_raw():
                file.write(block)
                have += len(block)
                context.progress(spec.id, have, total)

"""A Hugging Face Hub of dataset and model repos on loopback, for tests.

What it promises:

- A subprocess started with `Hub.environment()` reaches this Hub, and no other, through the real,
  unmodified `huggingface_hub` and `datasets` clients, over real HTTP.
- It answers in the Hub's shapes: repo info, tree, paths-info, and downloads with ETag,
  X-Repo-Commit, ranges, and the error codes that the client chooses its exceptions by.
- The same commits in the same order have the same ids on every run and every machine; a test may
  give a commit the id that it has elsewhere.
- A fault that a test sets hits as many requests as it was set for, then is gone.
- Every answered request is in `Hub.requests` before its answer leaves.

Where it differs: a repo id needs a namespace, no file moves to a CDN or to Xet, a listing has one
page, and any other URL is a repo that is not there.
"""

import hashlib
import json
import os
import re
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path, PurePosixPath
from typing import Any, Self
from urllib.parse import parse_qs, quote, unquote, urlsplit

Json = dict[str, object]

_DATE = "2024-01-01T00:00:00.000Z"
# The Hub keeps these in LFS by its default .gitattributes, and any larger file too.
_LFS_SUFFIXES = {".arrow", ".gz", ".parquet", ".safetensors", ".zip", ".zst"}
_LFS_BYTES = 10 * 1024 * 1024
_ROUTE = re.compile(
    r"(?:/api/(?:datasets|models)|/datasets)?/(?P<repo>[^/]+/[^/]+)"
    r"(?:/(?P<verb>resolve|revision|tree|paths-info|auth-check)"
    r"(?:/(?P<revision>[^/]+)(?:/(?P<file>.+))?)?)?"
)
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")
# A developer's own settings must not decide what a test sees.
_FOREIGN = re.compile(r"(HF|HUGGING_?FACE(_HUB)?|TRANSFORMERS)_.*|(\w+_)?PROXY", re.IGNORECASE)


@dataclass(frozen=True)
class Request:
    """A request that was answered; `path` is decoded and has no query."""

    method: str
    path: str
    range: str | None
    status: int


@dataclass(frozen=True)
class Blob:
    """A file's content and its git id; `sha256` is there only if it would be kept in LFS."""

    content: bytes
    oid: str
    sha256: str | None

    @classmethod
    def at(cls, path: str, content: bytes) -> Self:
        large = PurePosixPath(path).suffix in _LFS_SUFFIXES or len(content) > _LFS_BYTES
        oid = _sha1(b"blob %d\0" % len(content) + content)
        return cls(content, oid, hashlib.sha256(content).hexdigest() if large else None)

    def lfs(self, name_of_sha256: str) -> Json:
        if self.sha256 is None:
            return {}
        size: Json = {"size": len(self.content), "pointerSize": 134}
        return {"lfs": {name_of_sha256: self.sha256, **size}}


@dataclass
class Repo:
    """A dataset repo; without its token a gated one can still be listed, a private one cannot."""

    commits: dict[str, Mapping[str, Blob]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    token: str | None = None
    gated: bool = False

    def resolve(self, revision: str) -> str:
        sha = self.branches.get(revision) or self.tags.get(revision) or revision
        if sha not in self.commits:
            raise Refusal(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return sha


@dataclass(frozen=True)
class Call:
    """A request that is to be answered; `repo` is empty if the URL names no repo."""

    method: str
    path: str
    options: Mapping[str, list[str]]
    range: str | None
    token: str | None
    repo: str
    verb: str
    revision: str
    file: str
    body: bytes = b""

    @classmethod
    def of(cls, method: str, target: str, body: bytes, headers: Message) -> Self:
        url = urlsplit(target)
        match = _ROUTE.fullmatch(url.path)
        # The parts are decoded after the split: a branch name may hold an encoded slash.
        parts = [unquote(part or "") for part in match.groups()] if match else [""] * 4
        repo, verb, revision, file = parts
        place = (repo, verb or "revision", revision or "main", file)
        is_form = headers.get_content_type() == "application/x-www-form-urlencoded"
        options = parse_qs(f"{url.query}&{body.decode() if is_form else ''}")
        wanted = headers.get("Range") if method == "GET" else None
        token = headers.get("Authorization", "").removeprefix("Bearer ") or None
        return cls(method, unquote(url.path), options, wanted, token, *place, body)

    def asks(self, option: str) -> bool:
        return self.options.get(option, [""])[-1].lower() in {"true", "1"}


@dataclass(frozen=True)
class Answer:
    """A response; `cut` closes the connection after that many bytes of the announced body."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    cut: int | None = None


@dataclass(frozen=True)
class Fault:
    """What goes wrong with one request for a path."""

    path: str
    method: str | None
    status: int | None = None
    cut: int | None = None


class Refusal(Exception):
    """An answer other than what was asked for; the client takes its class from the code."""

    def __init__(self, status: int, code: str | None, message: str, **more: str) -> None:
        super().__init__(message)
        named = {"X-Error-Code": code, "X-Error-Message": message} if code else {}
        more = {name.replace("_", "-"): value for name, value in more.items()}
        self.answer = _json({"error": message}, status, named | more)


class Hub:
    """The Hub itself: it serves from the moment it is made until `offline()` or `with` ends."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.closed = False
        self._repos: dict[str, Repo] = {}
        self._faults: list[Fault] = []
        self._lock = threading.Lock()
        self._server = _Server(self)
        serve = self._server.serve_forever
        self._thread = threading.Thread(target=serve, args=(0.01,), daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.offline()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def environment(self, cache_dir: Path, token: str | None = None) -> dict[str, str]:
        """The whole environment for a subprocess: this process's, less its own Hub settings."""
        own = {name: value for name, value in os.environ.items() if not _FOREIGN.fullmatch(name)}
        return own | {
            "HF_ENDPOINT": self.endpoint,
            "HF_HOME": str(cache_dir / "huggingface"),
            "HF_TOKEN": token or "",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DOWNLOAD_TIMEOUT": "5",
            "HF_HUB_ETAG_TIMEOUT": "5",
            "HF_UPDATE_DOWNLOAD_COUNTS": "0",  # `datasets` would report each load to a far server.
            "NO_PROXY": "127.0.0.1",
        }

    def commit(
        self, repo: str, files: Mapping[str, bytes], branch: str = "main", sha: str | None = None
    ) -> str:
        """Commit `files` as the branch's whole new tree, making repo and branch if missing.

        `sha` is the id of the commit where a test needs one that the world knows.
        """
        blobs = {path: Blob.at(path, content) for path, content in sorted(files.items())}
        tree = "".join(f"{blob.oid} {path}\n" for path, blob in blobs.items())
        home = self._repos.setdefault(repo, Repo())
        # The parent is part of the id, so going back to old content is a commit of its own.
        sha = sha or _sha1(f"{repo}\n{home.branches.get(branch)}\n{tree}".encode())
        home.commits[sha] = blobs
        home.branches[branch] = sha
        return sha

    def move_branch(self, repo: str, branch: str, files: Mapping[str, bytes]) -> str:
        """Commit `files` to a branch that must be there already."""
        if branch not in self._repos[repo].branches:
            raise KeyError(branch)
        return self.commit(repo, files, branch)

    def tag(self, repo: str, name: str, commit: str) -> None:
        self._repos[repo].tags[name] = self._repos[repo].resolve(commit)

    def require_token(self, repo: str, token: str, *, gated: bool = False) -> None:
        """Make the repo private, or gated, for all who do not send this token."""
        self._repos[repo].token, self._repos[repo].gated = token, gated

    def truncate(self, path: str, n_bytes: int, times: int = 1) -> None:
        """Close the connection after `n_bytes` of the body of a file's next `times` GETs."""
        self._faults += [Fault(path, "GET", cut=n_bytes)] * times

    def fail(self, path: str, status: int, times: int = 1, method: str | None = None) -> None:
        """Answer the next requests for a file in a repo, or for a whole URL path, by `status`."""
        self._faults += [Fault(path, method, status=status)] * times

    def offline(self) -> None:
        """Stop listening for good, and answer nothing more on open connections either."""
        self.closed = True
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, call: Call) -> Answer:
        try:
            cut = self._use_fault(call)
            answer = replace(self._find(call), cut=cut)
        except Refusal as refusal:
            answer = refusal.answer
        self.requests.append(Request(call.method, call.path, call.range, answer.status))
        return answer

    def _use_fault(self, call: Call) -> int | None:
        paths = {call.path, call.file if call.verb == "resolve" else call.path}
        with self._lock:
            hits = [fault for fault in self._faults if fault.path in paths]
            fault = next((fault for fault in hits if fault.method in {None, call.method}), None)
            if fault is None:
                return None
            self._faults.remove(fault)
        if fault.status is not None:
            raise Refusal(fault.status, None, "This failure was asked for by a test")
        return fault.cut

    def _find(self, call: Call) -> Answer:
        # A repo that is not there looks like a private one that no token opens.
        repo = self._repos.get(call.repo, Repo(token=""))
        if repo.token not in {None, call.token}:
            _admit_stranger(repo, call)
        return _VERBS[call.verb](repo, call)


def _admit_stranger(repo: Repo, call: Call) -> None:
    if not repo.gated:
        # The Hub does not tell a stranger whether a repo is private or not there at all. Over https
        # the client takes any 401 for a missing repo; over http it goes by the code alone.
        if call.token is None:
            raise Refusal(401, "RepoNotFound", "Invalid username or password.")
        raise Refusal(404, "RepoNotFound", "Repository not found")
    if call.verb in {"resolve", "auth-check"}:
        lack = "you are not in the authorized list" if call.token else "you must be authenticated"
        message = f"Access to dataset {call.repo} is restricted and {lack}"
        raise Refusal(403 if call.token else 401, "GatedRepo", message)


def _info(repo: Repo, call: Call) -> Answer:
    sha = repo.resolve(call.revision)
    siblings: list[Json] = []
    for path, blob in repo.commits[sha].items():
        detail = {"size": len(blob.content), "blobId": blob.oid, **blob.lfs("sha256")}
        siblings.append({"rfilename": path, **(detail if call.asks("blobs") else {})})
    info: Json = {"id": call.repo, "author": call.repo.split("/")[0], "sha": sha}
    info |= {"createdAt": _DATE, "lastModified": _DATE, "disabled": False, "tags": []}
    info |= {"private": repo.token is not None and not repo.gated}
    info |= {"gated": "manual" if repo.gated else False, "downloads": 0, "likes": 0}
    return _json(info | {"siblings": siblings})


def _entries(repo: Repo, revision: str) -> dict[str, Json]:
    sha = repo.resolve(revision)
    entries: dict[str, Json] = {}
    for path, blob in repo.commits[sha].items():
        for folder in map(str, PurePosixPath(path).parents[:-1]):
            oid = _sha1(f"{sha} {folder}".encode())
            entries[folder] = {"type": "directory", "oid": oid, "size": 0, "path": folder}
        own = {"type": "file", "oid": blob.oid, "size": len(blob.content), "path": path}
        entries[path] = own | blob.lfs("oid")
    return entries


def _tree(repo: Repo, call: Call) -> Answer:
    entries = _entries(repo, call.revision)
    root, depth = PurePosixPath(call.file), None if call.asks("recursive") else 1
    listed = [entries[path] for path in entries if root in PurePosixPath(path).parents[:depth]]
    if call.file and not listed:
        raise Refusal(404, "EntryNotFound", f"{call.file} does not exist on {call.revision}")
    return _json(listed)


def _paths_info(repo: Repo, call: Call) -> Answer:
    entries = _entries(repo, call.revision)
    return _json([entries[path] for path in call.options.get("paths", []) if path in entries])


def _file(repo: Repo, call: Call) -> Answer:
    sha = repo.resolve(call.revision)
    blob = repo.commits[sha].get(call.file)
    if blob is None:
        raise Refusal(404, "EntryNotFound", "Entry not found", X_Repo_Commit=sha)
    headers = {
        "X-Repo-Commit": sha,
        "ETag": f'"{blob.sha256 or blob.oid}"',
        "Accept-Ranges": "bytes",
        "Content-Disposition": f'inline; filename="{quote(PurePosixPath(call.file).name)}";',
    }
    if call.range is None:
        return Answer(200, headers, blob.content)
    size = len(blob.content)
    span = _span(call.range, size)
    if not span:
        raise Refusal(416, None, "Range Not Satisfiable", Content_Range=f"bytes */{size}")
    headers["Content-Range"] = f"bytes {span.start}-{span.stop - 1}/{size}"
    return Answer(206, headers, blob.content[span.start : span.stop])


def _span(wanted: str, size: int) -> range:
    match = _RANGE.fullmatch(wanted)
    first, last = match.groups() if match else ("", "")
    if first:
        return range(int(first), min(int(last) + 1, size) if last else size)
    return range(max(size - int(last or 0), 0), size)


def _json(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    kind = {"Content-Type": "application/json; charset=utf-8"}
    return Answer(status, {**kind, **(headers or {})}, json.dumps(value).encode())


def _sha1(content: bytes) -> str:
    return hashlib.sha1(content, usedforsecurity=False).hexdigest()


_VERBS = {"resolve": _file, "revision": _info, "tree": _tree, "paths-info": _paths_info}
_VERBS["auth-check"] = _info  # The client looks at the status only.


class _Server(ThreadingHTTPServer):
    def __init__(self, hub: Hub) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.hub = hub

    def handle_error(self, *client: Any) -> None:
        # A client that was killed or gave up is part of a test, not an error of this server.
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(*client)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # Head and body are two writes, and the second would wait.

    def do_GET(self) -> None:
        body = self._body()
        if self.server.hub.closed:
            self.close_connection = True
            return
        answer = self.server.hub.answer(Call.of(self.command, self.path, body, self.headers))
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body[: answer.cut])
        if answer.cut is not None:
            self.close_connection = True

    do_HEAD = do_POST = do_PUT = do_GET

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing: `Hub.requests` is the log."""

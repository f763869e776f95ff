"""Files over https: fetched once, resumed after a break, held to the digest that was declared."""

from __future__ import annotations

import gzip
import ssl
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import trustme

from teapot.digest import sha256_hex
from teapot.errors import DigestError, SourceError, UsageError
from teapot.interfaces import SourceIdentity
from tests.support.hub import Hub
from tests.support.project import chat_rows, jsonl
from tests.support.sources import composed, dependencies, read, refused, write_mix

REPO = "files/at"
TEXT = jsonl(chat_rows("tea", 3000))
SHA256 = sha256_hex(TEXT)


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def server() -> Iterator[Hub]:
    """A server of one file; the Hub of the tests counts requests, breaks bodies, knows ranges."""
    with Hub() as hub:
        hub.commit(REPO, {"rows.jsonl": TEXT})
        yield hub


def url_of(server: Hub, path: str = "rows.jsonl") -> str:
    return f"{server.endpoint}/datasets/{REPO}/resolve/main/{path}"


def fetch(server: Hub, folder: Path, **more: Any) -> SourceIdentity:
    keys = {"url": url_of(server), "sha256": SHA256, **more}
    rows, identity = read("https", folder, cache=folder / "cache", **keys)
    assert len(rows) == identity.rows == 3000
    assert (identity.uri, identity.sha256) == (keys["url"], SHA256)
    return identity


def files_in(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*") if path.is_file()]


def asked(server: Hub) -> list[tuple[str | None, int]]:
    return [(request.range, request.status) for request in server.requests]


def test_file_is_fetched_once_and_then_read_from_the_cache(server: Hub, tmp_path: Path) -> None:
    assert fetch(server, tmp_path) == fetch(server, tmp_path)
    assert asked(server) == [(None, 200)]
    assert files_in(tmp_path) == ["rows.jsonl"]


def test_broken_body_is_resumed_where_it_broke(server: Hub, tmp_path: Path) -> None:
    server.truncate("rows.jsonl", 1000)
    server.truncate("rows.jsonl", 500)
    fetch(server, tmp_path)
    assert asked(server) == [(None, 200), ("bytes=1000-", 206), ("bytes=1500-", 206)]
    assert files_in(tmp_path) == ["rows.jsonl"]


def test_body_that_breaks_every_time_is_an_error_and_the_next_run_goes_on(
    server: Hub, tmp_path: Path
) -> None:
    server.truncate("rows.jsonl", 100, times=4)
    with pytest.raises(SourceError, match=r"source s: http.*cannot be fetched"):
        fetch(server, tmp_path)
    fetch(server, tmp_path)
    assert asked(server)[-1] == ("bytes=400-", 206)


def test_part_that_is_whole_already_is_not_fetched_again(server: Hub, tmp_path: Path) -> None:
    part = tmp_path / "cache" / "https" / SHA256 / "rows.jsonl.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(TEXT)
    fetch(server, tmp_path)
    assert asked(server) == [(f"bytes={len(TEXT)}-", 416)]


def test_other_bytes_than_declared_are_an_error_and_nothing_stays(
    server: Hub, tmp_path: Path
) -> None:
    with pytest.raises(DigestError, match=f"has SHA-256 {SHA256}, expected {'0' * 64}"):
        fetch(server, tmp_path, sha256="0" * 64)
    assert files_in(tmp_path) == []


def test_cached_file_that_was_altered_is_fetched_anew_or_refused(
    server: Hub, tmp_path: Path
) -> None:
    fetch(server, tmp_path)
    (cached,) = (path for path in tmp_path.rglob("*.jsonl"))
    cached.write_bytes(TEXT[:-1])
    with pytest.raises(DigestError, match="it was altered"):
        fetch(server, tmp_path, offline=True)
    fetch(server, tmp_path)
    assert cached.read_bytes() == TEXT


def test_two_runs_at_once_fetch_one_file_once(server: Hub, tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        made = [pool.submit(fetch, server, tmp_path) for _ in range(4)]
        assert all(one.result() for one in made)
    assert [status for _, status in asked(server)] == [200]


def test_offline_reads_the_cache_and_asks_no_one(server: Hub, tmp_path: Path) -> None:
    fetch(server, tmp_path)
    server.requests.clear()
    fetch(server, tmp_path, offline=True)
    with pytest.raises(SourceError, match=r"not in the cache, and --offline is set; give it with"):
        fetch(server, tmp_path, offline=True, sha256="0" * 64)
    assert server.requests == []


def test_missing_file_is_told_at_once(server: Hub, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="404"):
        fetch(server, tmp_path, url=url_of(server, "nowhere.jsonl"))
    assert asked(server) == [(None, 404)]
    assert files_in(tmp_path) == []


def test_server_that_fails_for_a_moment_is_asked_again(server: Hub, tmp_path: Path) -> None:
    server.fail("rows.jsonl", 500)
    server.fail("rows.jsonl", 503)
    fetch(server, tmp_path)
    assert asked(server) == [(None, 500), (None, 503), (None, 200)]


def test_server_that_fails_or_is_gone_is_told(server: Hub, tmp_path: Path) -> None:
    server.fail("rows.jsonl", 500, times=9)
    with pytest.raises(SourceError, match="500"):
        fetch(server, tmp_path)
    server.offline()
    with pytest.raises(SourceError, match="cannot be fetched"):
        fetch(server, tmp_path)


@pytest.mark.parametrize(
    "keys",
    [
        {"url": "http://teapot.invalid/rows.jsonl"},
        {"url": "http://127.0.0.1.teapot.invalid/rows.jsonl"},
        {"url": "http://127.0.0.1@teapot.invalid/rows.jsonl"},
        {"url": "ftp://127.0.0.1/rows.jsonl"},
        {"url": "file:///etc/passwd"},
        {"url": "rows.jsonl"},
        {"url": "https://[teapot.invalid/rows.jsonl"},
        {"url": None},
        {"sha256": None},
    ],
)
def test_address_that_is_not_https_or_not_pinned_is_refused(
    keys: dict[str, Any], server: Hub, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="source s: "):
        fetch(server, tmp_path, **keys)
    assert not (tmp_path / "cache").exists()


def test_mix_downloads_into_the_cache_folder_and_then_works_offline(
    server: Hub, tmp_path: Path
) -> None:
    source = {"kind": "https", "url": url_of(server), "sha256": SHA256}
    write_mix(tmp_path, {"rows": source})
    env = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    ran = refused(tmp_path, "--offline", env=env)
    assert (ran.returncode, server.requests) == (3, [])
    first = composed(tmp_path, env=env)
    assert dependencies(tmp_path)["rows"]["uri"] == source["url"]
    server.offline()
    assert composed(tmp_path, "--offline", env=env) == first
    assert files_in(tmp_path / "cache") == ["rows.jsonl"]


class Quiet(BaseHTTPRequestHandler):
    """A handler that logs nothing."""

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""


class Folder(Quiet, SimpleHTTPRequestHandler):
    """Serves a folder, and knows no ranges."""


class Packing(Quiet):
    """Serves a packed file as many servers do: as content that the transfer has packed."""

    def do_GET(self) -> None:
        self.send_response(200)
        packed = gzip.compress(TEXT, mtime=0)
        self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(packed)))
        self.end_headers()
        self.wfile.write(packed)


class Circle(Quiet):
    """Sends whoever comes back to the same place."""

    def do_GET(self) -> None:
        self.send_response(302)
        self.send_header("Location", self.path)
        self.send_header("Content-Length", "0")
        self.end_headers()


@contextmanager
def serving(handler: Any, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """Serve on loopback with a handler; the address comes without its scheme."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_server_without_ranges_gives_the_file_anew(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_bytes(TEXT)
    part = tmp_path / "cache" / "https" / SHA256 / "rows.jsonl.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(TEXT[:1000])
    with serving(partial(Folder, directory=str(tmp_path))) as at:
        rows, _ = read(
            "https", tmp_path, cache=tmp_path / "cache", url=f"http://{at}/rows.jsonl",
            sha256=SHA256,
        )  # fmt: skip
    assert len(rows) == 3000


def test_certificate_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "rows.jsonl").write_bytes(TEXT)
    authority = trustme.CA()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    keys: dict[str, Any] = {"cache": tmp_path / "cache", "sha256": SHA256}
    with serving(partial(Folder, directory=str(tmp_path)), tls) as at:
        keys["url"] = f"https://{at}/rows.jsonl"
        with pytest.raises(SourceError, match="certificate"):
            read("https", tmp_path, **keys)
        authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
        assert len(read("https", tmp_path, **keys)[0]) == 3000


def test_packed_file_stays_packed_whatever_the_server_calls_it(tmp_path: Path) -> None:
    packed = gzip.compress(TEXT, mtime=0)
    with serving(Packing) as at:
        rows, identity = read(
            "https", tmp_path, cache=tmp_path / "cache", url=f"http://{at}/rows.jsonl.gz",
            sha256=sha256_hex(packed),
        )  # fmt: skip
    assert (len(rows), identity.bytes) == (3000, len(packed))


def test_redirects_in_a_circle_are_told(tmp_path: Path) -> None:
    with serving(Circle) as at, pytest.raises(SourceError, match="cannot be fetched"):
        read("https", tmp_path, cache=tmp_path, url=f"http://{at}/rows.jsonl", sha256=SHA256)

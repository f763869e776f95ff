"""What fsspec opens: a file in memory, and an S3 on loopback through s3fs."""

from __future__ import annotations

import gzip
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from moto.server import ThreadedMotoServer

from teapot.digest import sha256_hex
from teapot.errors import DataError, DigestError, SourceError, TeapotError, UsageError
from tests.support.project import chat_rows, jsonl
from tests.support.sources import composed, dependencies, read, refused, write_mix

TEXT = jsonl(chat_rows("tea", 20))
KEYS = {"AWS_ACCESS_KEY_ID": "teapot", "AWS_SECRET_ACCESS_KEY": "x", "AWS_REGION": "us-east-1"}


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of temporary files; a test that ends must have left none in it."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert list(folder.iterdir()) == [], "a temporary copy was left"


@pytest.fixture
def memory() -> Iterator[Any]:
    files = fsspec.filesystem("memory")
    yield files
    files.store.clear()


@pytest.mark.parametrize(
    "url",
    [
        "memory:///rows.jsonl",
        "memory://folder/rows.jsonl",
        "memory://rows.jsonl",
        "memory:///rows #1?.jsonl",
        "memory:///rows.jsonl.gz",
    ],
)
def test_file_is_read_from_any_file_system(
    url: str, memory: Any, scratch: Path, tmp_path: Path
) -> None:
    kept = gzip.compress(TEXT) if url.endswith(".gz") else TEXT
    memory.pipe_file(url, kept)
    rows, identity = read("fsspec", tmp_path, url=url)
    assert (len(rows), identity.rows) == (20, 20)
    assert (identity.uri, identity.bytes) == (url, len(kept))
    assert identity.sha256 == sha256_hex(kept)


def test_digest_is_held_to_and_the_copy_goes(memory: Any, scratch: Path, tmp_path: Path) -> None:
    memory.pipe_file("/rows.jsonl", TEXT)
    url = "memory:///rows.jsonl"
    assert len(read("fsspec", tmp_path, url=url, sha256=sha256_hex(TEXT))[0]) == 20
    with pytest.raises(DigestError):
        read("fsspec", tmp_path, url=url, sha256="0" * 64)


def test_copy_goes_where_reading_fails(memory: Any, scratch: Path, tmp_path: Path) -> None:
    memory.pipe_file("/rows.jsonl.gz", gzip.compress(TEXT)[:-9])
    with pytest.raises(DataError, match="cannot be unpacked"):
        read("fsspec", tmp_path, url="memory:///rows.jsonl.gz")


@pytest.mark.parametrize(
    ("url", "error", "told"),
    [
        ("memory:///nowhere.jsonl", SourceError, "cannot be read: FileNotFoundError"),
        ("memory:///rows.txt", UsageError, "add format: csv"),
        ("oci://bucket/rows.jsonl", UsageError, "install the package that opens it, such as"),
        ("teapot://bucket/rows.jsonl", UsageError, "Protocol not known: teapot"),
        ("https://[teapot.invalid/rows.jsonl", TeapotError, "teapot.invalid"),
        (None, UsageError, "kind fsspec needs url:"),
    ],
)
def test_file_that_cannot_be_had_is_told(
    url: str, error: type[TeapotError], told: str, memory: Any, scratch: Path, tmp_path: Path
) -> None:
    memory.pipe_file("/rows.txt", TEXT)
    with pytest.raises(error, match=f"source s.*{told}"):
        read("fsspec", tmp_path, url=url)


def test_offline_never_asks_a_far_file_system(scratch: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="needs the network; give it with --source s=PATH"):
        read("fsspec", tmp_path, url="s3://bucket/rows.jsonl", offline=True)


@pytest.fixture(scope="module")
def s3() -> Iterator[dict[str, str]]:
    """The environment of an S3 on loopback that holds s3://teapot/tea/rows.jsonl."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    for path, body in (("teapot", b""), ("teapot/tea/rows.jsonl", TEXT)):
        kind = {"Content-Type": "application/octet-stream"}
        request = urllib.request.Request(f"{endpoint}/{path}", body, kind, method="PUT")
        urllib.request.urlopen(request).close()
    yield {**KEYS, "AWS_ENDPOINT_URL": endpoint, "NO_PROXY": "127.0.0.1"}
    server.stop()


def test_mix_reads_from_s3_and_leaves_no_copy(
    s3: dict[str, str], scratch: Path, tmp_path: Path
) -> None:
    write_mix(tmp_path, {"rows": {"kind": "fsspec", "url": "s3://teapot/tea/rows.jsonl"}})
    composed(tmp_path, env={**s3, "TMPDIR": str(scratch)})
    found = dependencies(tmp_path)["rows"]
    assert (found["uri"], found["sha256"]) == ("s3://teapot/tea/rows.jsonl", sha256_hex(TEXT))


@pytest.mark.parametrize("url", ["s3://teapot/tea/nowhere.jsonl", "s3://nowhere/rows.jsonl"])
def test_missing_key_or_bucket_is_told(
    url: str, s3: dict[str, str], scratch: Path, tmp_path: Path
) -> None:
    write_mix(tmp_path, {"rows": {"kind": "fsspec", "url": url}})
    ran = refused(tmp_path, env={**s3, "TMPDIR": str(scratch)})
    assert ran.returncode == 3
    assert f"error: source rows: {url} cannot be read: FileNotFoundError" in ran.stderr

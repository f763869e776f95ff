"""Composing on Ray: the bytes of one machine, also where workers are killed while they run."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from moto.server import ThreadedMotoServer

import teapot
from teapot import MixOptions
from teapot.errors import MissingExtraError, UsageError
from teapot.raycluster import ray_engine
from tests.support.mixtures import write_mixture
from tests.support.planted import PLANTED
from tests.support.project import chat_row, chat_rows, jsonl, write_config, write_module
from tests.support.sources import composed, write_mix

ROWS = jsonl(chat_rows("tea", 400))
# Ray would leave a token in the user's home, and tell its makers of us.
SECRET = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "5" * 64, "RAY_USAGE_STATS_ENABLED": "0"}
KEYS = {"AWS_ACCESS_KEY_ID": "teapot", "AWS_SECRET_ACCESS_KEY": "x", "AWS_REGION": "us-east-1"}


class Ray:
    """A process that composes on a cluster of its own; `address` is the cluster's."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._log = (folder / "ray.log").open("w")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.raydriver"],
            cwd=Path(__file__).parent.parent, env={**os.environ, **environment, **SECRET},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, text=True,
        )  # fmt: skip
        self.address = self._line().strip()

    def compose(
        self, config: Path, output: Path, shards: int | None = None, **sizes: int
    ) -> dict[str, Any]:
        """Return what composing came to."""
        asked = {"config": str(config), "output": str(output), "shards": shards, "sizes": sizes}
        assert self.process.stdin is not None
        print(json.dumps(asked), file=self.process.stdin, flush=True)
        answer: dict[str, Any] = json.loads(self._line())
        return answer

    def close(self) -> None:
        """End the process, which ends the cluster."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(60)
        self.process.stdout.close()
        self._log.close()

    def busy(self, task: str) -> list[int]:
        """Return the cluster's processes that run a task of this name now."""
        parents, titles = {}, {}
        for place in Path("/proc").glob("[0-9]*"):
            try:
                status = (place / "stat").read_text()
                title = (place / "cmdline").read_bytes().rstrip(b"\0").decode(errors="replace")
            except (FileNotFoundError, ProcessLookupError):
                continue  # it has ended meanwhile
            pid = int(place.name)
            parents[pid], titles[pid] = int(status.rpartition(")")[2].split()[1]), title
        return [pid for pid, title in titles.items()
                if title == f"ray::{task}" and self._is_ours(pid, parents)]  # fmt: skip

    def _is_ours(self, pid: int, parents: dict[int, int]) -> bool:
        while pid in parents and pid != self.process.pid:
            pid = parents[pid]
        return pid == self.process.pid

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()


@pytest.fixture(scope="module")
def s3() -> Iterator[dict[str, str]]:
    """The environment of an S3 on loopback that holds s3://teapot/rows.jsonl."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for path, body in (("teapot", b""), ("teapot/rows.jsonl", ROWS)):
        kind = {"Content-Type": "application/octet-stream"}
        request = urllib.request.Request(
            f"http://{host}:{port}/{path}", body, kind, method="PUT"
        )  # fmt: skip
        urllib.request.urlopen(request).close()
    yield {**KEYS, "AWS_ENDPOINT_URL": f"http://{host}:{port}", "NO_PROXY": "127.0.0.1"}
    server.stop()


@pytest.fixture(scope="module")
def ray(tmp_path_factory: pytest.TempPathFactory, s3: dict[str, str]) -> Iterator[Ray]:
    """The one cluster of this module."""
    started = Ray(tmp_path_factory.mktemp("ray"), s3)
    yield started
    started.close()


def digests(output: Path) -> dict[str, str]:
    """Return the digests of a composition's files, which are then removed."""
    found = {}
    for path in sorted(output.parent.glob(f"{output.stem}*")):
        found[path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
        path.unlink()
    return found


def local(config: Path, shards: int | None = None) -> dict[str, str]:
    """Return the digests of a mix that is composed on one machine."""
    output = config.parent / "out.jsonl"
    teapot.compose(config, MixOptions(keep_parts=False, shards=shards), output=output)
    return digests(output)


@pytest.mark.parametrize(
    ("shards", "sizes"),
    [(None, {}), (3, {"range_bytes": 1 << 20, "bucket_bytes": 4_000}),
     (None, {"range_bytes": 3 << 20, "bucket_bytes": 9_000})],
)  # fmt: skip
def test_the_bytes_are_those_of_one_machine(
    shards: int | None, sizes: dict[str, int], ray: Ray, tmp_path: Path
) -> None:
    config = write_mixture(tmp_path, long_line=True, duplicates="drop")
    answer = ray.compose(config, tmp_path / "out.jsonl", shards, **sizes)
    assert "lines" in answer, answer
    assert digests(tmp_path / "out.jsonl") == local(config, shards)


def test_a_scanned_mix_is_that_of_one_machine(ray: Ray, tmp_path: Path) -> None:
    found = [chat_row(f"a-{kind}", f"What is {text}?") for kind, text in PLANTED.items()]
    write_module(tmp_path, "t/a", [*chat_rows("a", 200), *found])
    write_module(tmp_path, "t/b", [*found, *chat_rows("b", 200)])
    use = {"secrets": "drop"}
    config = write_config(
        tmp_path, {"t/a": "1.5", "t/b": 1}, scan={"secrets": "redact", "personal": "redact"},
        modules={"t/a": True, "t/b": {"scan": use}},
    )  # fmt: skip
    answer = ray.compose(config, tmp_path / "out.jsonl", range_bytes=20_000, bucket_bytes=9_000)
    assert "lines" in answer, answer
    assert b"[REDACTED:email]" in (tmp_path / "out.jsonl").read_bytes()
    assert digests(tmp_path / "out.jsonl") == local(config)


@pytest.mark.parametrize("task", ["judge_range", "sort_range", "merge_bucket"])
def test_a_worker_that_is_killed_changes_nothing(task: str, ray: Ray, tmp_path: Path) -> None:
    write_module(tmp_path, "t/a", chat_rows("a", 6_000), system_prompt="Be brief.")
    write_module(tmp_path, "t/b", chat_rows("b", 6_000), system_prompt="Be brief.")
    config = write_config(tmp_path, {"t/a": "1.5", "t/b": "0.5"})
    killed: list[int] = []
    is_over = threading.Event()

    def hunt() -> None:
        while not is_over.is_set() and len(killed) < 2:
            for pid in ray.busy(task)[:1]:
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)
            time.sleep(0.005)

    hunter = threading.Thread(target=hunt)
    hunter.start()
    answer = ray.compose(config, tmp_path / "out.jsonl", range_bytes=60_000, bucket_bytes=60_000)
    is_over.set()
    hunter.join()
    assert killed, "no worker was seen at this task"
    assert "lines" in answer, answer
    assert digests(tmp_path / "out.jsonl") == local(config)


def test_ranges_of_s3_are_read_where_they_lie(
    ray: Ray, s3: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = write_mix(tmp_path, {"rows": {"kind": "fsspec", "url": "s3://teapot/rows.jsonl"}})
    answer = ray.compose(config, tmp_path / "out.jsonl", range_bytes=10_000)
    assert "lines" in answer, answer
    found = digests(tmp_path / "out.jsonl")
    composed(tmp_path, "-o", "out.jsonl", "--no-sign", env=s3)
    assert digests(tmp_path / "out.jsonl") == found


def test_what_tasks_refuse_is_told_in_teapots_words(ray: Ray, tmp_path: Path) -> None:
    rows = [*chat_rows("a", 50), {"id": "bad"}]
    write_module(tmp_path, "t/a", rows)
    config = write_config(tmp_path, {"t/a": 1})
    answer = ray.compose(config, tmp_path / "out.jsonl", range_bytes=500)
    assert answer["kind"] == "BadRowsError" and "t/a t-a:51: " in answer["error"]
    assert not list(tmp_path.glob("*out*"))


def test_the_command_composes_on_a_cluster_at_an_address(
    ray: Ray, s3: dict[str, str], tmp_path: Path
) -> None:
    config = write_mixture(tmp_path)
    wanted = local(config)
    cluster = ("--engine", "ray", "--ray-address", ray.address)
    composed(tmp_path, "-o", "out.jsonl", "--no-sign", *cluster, env={**s3, **SECRET})
    assert digests(tmp_path / "out.jsonl") == wanted


def test_an_address_where_nobody_answers_is_told(tmp_path: Path) -> None:
    write_module(tmp_path, "t/a", chat_rows("a", 5))
    config = write_config(tmp_path, {"t/a": 1})
    engine = ray_engine("127.0.0.1:1")
    with pytest.raises(UsageError, match=r"--ray-address 127\.0\.0\.1:1: no Ray cluster can be"):
        teapot.compose(config, MixOptions(engine=engine), output=tmp_path / "out.jsonl")


def test_without_ray_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_module(tmp_path, "t/a", chat_rows("a", 5))
    config = write_config(tmp_path, {"t/a": 1})
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"--engine ray needs .* 'teapot\[ray\]'"):
        teapot.compose(config, MixOptions(engine=ray_engine()), output=tmp_path / "out.jsonl")


def test_all_that_keeps_a_mix_clean_is_the_same(ray: Ray, tmp_path: Path) -> None:
    """Near duplicates, leaks, secrets, rows held out, shares and epochs, in one shipped config."""
    text = (Path(__file__).parent.parent / "configs/demo-clean.config").read_text()
    config = tmp_path / "clean.config"
    config.write_text(text + "\nepochs: {orders: true, count: 3}\n")
    answer = ray.compose(config, tmp_path / "out.jsonl", range_bytes=20_000, bucket_bytes=9_000)
    assert "lines" in answer, answer
    found = digests(tmp_path / "out.jsonl")
    assert {"out.validation.jsonl", "out.epoch-3.order"} <= found.keys()
    assert found == local(config)

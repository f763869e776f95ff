"""Pass one as a whole: what it calls, what it holds, what it refuses."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

import teapot
from teapot import MixOptions
from teapot.errors import DataError
from teapot.model.record import Fault, Record
from teapot.plugins import Plugin
from teapot.sources import jsonl as reading
from tests.support.project import chat_rows, jsonl, write_config, write_module


def test_checks_of_plug_ins_are_called_by_one_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    callers = set()

    class Looks:
        name = "looks"

        def run(self, record: Record) -> Sequence[Fault]:
            callers.add(threading.get_ident())
            return []

    plugin = Plugin("looks", "garden", "1", Looks)
    monkeypatch.setattr("teapot.usecases.mixrun.load_check", lambda name: (Looks(), plugin))
    monkeypatch.setattr(reading, "BLOCK_BYTES", 1 << 10)
    write_module(tmp_path, "t/a", chat_rows("a", 200), checks=["looks"])
    teapot.plan(write_config(tmp_path, {"t/a": 1}), MixOptions(workers=4))
    assert callers == {threading.get_ident()}


def test_a_part_with_more_licences_than_an_entry_can_name_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("teapot.index.NO_LICENSE", 3)
    rows = [{**row, "license": f"MIT OR LicenseRef-{n}"} for n, row in enumerate(chat_rows("a", 4))]
    write_module(tmp_path, "t/a", rows, license="mixed")
    with pytest.raises(DataError, match="LicenseRef-3: rows name over 3 licences; is this"):
        teapot.plan(write_config(tmp_path, {"t/a": 1}))


def test_more_sources_than_a_process_may_open_are_composed(tmp_path: Path) -> None:
    write_module(tmp_path, "t/a", [], sources=_sources(tmp_path, 300))
    write_config(tmp_path, {"t/a": 1}, output="out.jsonl")
    command = f"ulimit -n 256; exec {sys.executable} -m teapot compose --no-sign mix.config"
    ran = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert (tmp_path / "out.jsonl").read_bytes().count(b"\n") == 300


@pytest.mark.parametrize("keep_parts", [True, False])
def test_how_many_sources_stay_open_changes_no_byte(
    keep_parts: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("teapot.partcache.LEAST_BYTES", 1)
    write_module(tmp_path, "t/a", [], sources=_sources(tmp_path, 5))
    config = write_config(tmp_path, {"t/a": 1.5})
    options = MixOptions(keep_parts=keep_parts, cache=tmp_path / "cache")
    made = set()
    for files in (5, 2, 0, 5):
        monkeypatch.setattr("teapot.spool.MAX_FILES", files)
        composed = teapot.compose(config, options, output=tmp_path / "out.jsonl")
        made.add((composed.manifest_sha256, composed.data.sha256))
    assert len(made) == 1


def _sources(folder: Path, count: int) -> list[dict[str, str]]:
    """Write sources of one row each, and return what a module says of them."""
    (folder / "modules" / "t").mkdir(parents=True)
    for number, row in enumerate(chat_rows("a", count)):
        (folder / "modules" / "t" / f"{number}.jsonl").write_bytes(jsonl([row]))
    return [{"id": f"s{n}", "kind": "jsonl", "path": f"{n}.jsonl"} for n in range(count)]

"""Pass one as a whole: what it calls, what it holds, what it refuses."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

import teapot
from teapot import MixOptions
from teapot.model.record import Fault, Record
from teapot.plugins import Plugin
from teapot.sources import jsonl
from tests.support.project import chat_rows, write_config, write_module


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
    monkeypatch.setattr("teapot.usecases.compose.load_check", lambda name: (Looks(), plugin))
    monkeypatch.setattr(jsonl, "BLOCK_BYTES", 1 << 10)
    write_module(tmp_path, "t/a", chat_rows("a", 200), checks=["looks"])
    teapot.plan(write_config(tmp_path, {"t/a": 1}), MixOptions(workers=4))
    assert callers == {threading.get_ident()}

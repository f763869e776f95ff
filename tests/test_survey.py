"""Pass one as a whole: what it calls, what it holds, what it refuses."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

import teapot
from teapot import MixOptions
from teapot.errors import DataError
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


def test_a_part_with_more_licences_than_an_entry_can_name_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("teapot.index.NO_LICENSE", 3)
    rows = [{**row, "license": f"MIT OR LicenseRef-{n}"} for n, row in enumerate(chat_rows("a", 4))]
    write_module(tmp_path, "t/a", rows, license="mixed")
    with pytest.raises(DataError, match="LicenseRef-3: rows name over 3 licences; is this"):
        teapot.plan(write_config(tmp_path, {"t/a": 1}))

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

import teapot
from teapot.errors import OutputError
from tests.support.project import chat_rows, write_config, write_module


def test_what_the_disk_refuses_once_while_lines_are_written_ends_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync = os.fsync
    refused: list[int] = []

    def refuse_once(handle: int) -> None:
        if not refused:
            refused.append(handle)
            raise OSError(errno.ENOSPC, "No space left on device")
        sync(handle)

    monkeypatch.setattr(os, "fsync", refuse_once)
    monkeypatch.setattr("teapot.emit._SYNC_BYTES", 1)
    monkeypatch.setattr("teapot.spool._BATCH_LINES", 1)
    write_module(tmp_path, "t/a", chat_rows("a", 300))
    config = write_config(tmp_path, {"t/a": 1})
    with pytest.raises(OutputError, match="the disk is full"):
        teapot.compose(config, output=tmp_path / "o.jsonl")
    assert not list(tmp_path.glob("o.*"))

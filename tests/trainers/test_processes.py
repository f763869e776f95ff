"""Processes that do not see the same end together, and one run at a time works in a folder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from teapot.errors import ConfigError, OutputError
from teapot.model.fitjob import JOB, WORK
from teapot.workfolder import only_run
from teapot_trainers.processes import join_processes
from teapot_trainers.run import run
from tests.support.fitjobs import NUMBERS, ready_folder
from tests.support.launching import run_in_two
from tests.support.tinymodels import write_tiny_model


def test_processes_that_do_not_see_the_same_end_together(tmp_path: Path) -> None:
    model = write_tiny_model(tmp_path / "tiny", "apertus")
    one = ready_folder(tmp_path / "one", model)
    seeded = ready_folder(tmp_path / "seeded", model, replace(NUMBERS, seed=43))
    blind = ready_folder(tmp_path / "blind", model)
    (blind.parent / WORK / JOB).unlink()
    damaged = ready_folder(tmp_path / "damaged", model)
    rows = damaged.parent / WORK / "rows.arrow"
    rows.write_bytes(rows.read_bytes()[:-1])
    held = ready_folder(tmp_path / "held", model)
    with only_run(held.parent / WORK):
        told = run_in_two(f"{one},{seeded}", f"{one},{blind}", f"{one},{damaged}", str(held))
    errors = {(line["plan"], line["rank"]): line["error"] for line in told}
    assert "process 1 sees another job than process 0" in errors["seeded", 1]
    assert "run `teapot train --prepare` first" in errors["blind", 1]
    assert "rows.arrow" in errors["damaged", 1]
    assert "another run is at work in this folder" in errors["held", 0]
    assert "process 0 failed, and says why" in errors["held", 1]
    first = [line["error"] for line in told if (line["plan"], line["rank"]) == ("one", 0)]
    assert "process 1 sees another job than process 0" in first[0]
    assert all("process 1 failed, and says why" in error for error in first[1:])
    assert not list(tmp_path.glob("*/.work/checkpoint-*"))


def test_a_second_run_in_a_folder_is_refused(tmp_path: Path) -> None:
    plan = ready_folder(tmp_path / "one", write_tiny_model(tmp_path / "tiny", "apertus"))
    with (
        only_run(plan.parent / WORK),
        pytest.raises(OutputError, match="one: another run is at work in this folder"),
    ):
        run(plan, resume=True)
    with only_run(plan.parent / WORK):
        pass


def test_a_launcher_that_says_too_little_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.delenv("RANK", raising=False)
    with pytest.raises(ConfigError, match=r"WORLD_SIZE is 2, but .*; start the run with torchrun"):
        join_processes()

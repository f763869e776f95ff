"""Writing is all or nothing: killed, interrupted, out of space, or two at once."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import teapot
from teapot.errors import OutputError, UsageError
from teapot.files import OutputPaths, recover, staged
from tests.support.project import chat_rows, write_config, write_module

KILL_POINTS = 10

# Composes in a process of its own that kills itself before the n-th file operation in the output
# folder; n of 0 lives, and prints how many such operations there were and which were renames.
_MORTAL = """
import json, os, signal, sys
import teapot
n, config, output = int(sys.argv[1]), sys.argv[2], sys.argv[3]
folder, seen, renames = os.path.dirname(output), [0], []
def audit(event, arguments):
    touched = [str(part) for part in arguments if isinstance(part, (str, os.PathLike))]
    if event.partition(".")[0] not in ("open", "os", "shutil"):
        return
    if not any(part.startswith(folder) for part in touched):
        return
    seen[0] += 1
    if event == "os.rename":
        renames.append(seen[0])
    if seen[0] == n:
        os.kill(os.getpid(), signal.SIGKILL)
teapot.compose  # imported before counting begins
import pyarrow.parquet, jsonschema, license_expression
sys.addaudithook(audit)
teapot.compose(config, output=output)
print(json.dumps([seen[0], renames]))
"""


def compose_in_process(
    config: Path, output: Path, kill_at: int = 0
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", _MORTAL, str(kill_at), str(config), str(output)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def state(paths: OutputPaths) -> dict[str, str]:
    data = (paths.data, *paths.all_shards(), *paths.all_orders())
    files = (*data, paths.ledger, paths.manifest)
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in files if p.exists()}


@pytest.fixture
def two_mixes(tmp_path: Path) -> tuple[Path, Path]:
    """Two configs of one project that make unlike compositions."""
    write_module(tmp_path, "t/a", chat_rows("a", 200))
    second = write_config(tmp_path, {"t/a": 0.9}).rename(tmp_path / "second.config")
    return write_config(tmp_path, {"t/a": 0.5}), second


def test_killed_at_any_moment_the_old_files_or_the_new_are_there(
    two_mixes: tuple[Path, Path], tmp_path: Path
) -> None:
    first, second = two_mixes
    folder = tmp_path / "out"
    folder.mkdir()
    paths = OutputPaths(folder / "train.jsonl")
    assert compose_in_process(second, paths.data).returncode == 0
    new = state(paths)
    ran = compose_in_process(first, paths.data)
    operations, renames = json.loads(ran.stdout)
    old = state(paths)
    assert old != new and len(renames) == 4
    spread = {1 + place * (operations - 1) // (KILL_POINTS - 1) for place in range(KILL_POINTS)}
    outcomes = set()
    for point in sorted(spread | set(renames)):
        assert compose_in_process(second, paths.data, kill_at=point).returncode == -signal.SIGKILL
        recover(paths)
        assert state(paths) in (old, new), f"a mix of both after the kill at operation {point}"
        outcomes.add("old" if state(paths) == old else "new")
        assert compose_in_process(first, paths.data).returncode == 0
        assert state(paths) == old
        assert sorted(path.name for path in folder.iterdir()) == sorted(old)
    assert outcomes == {"old", "new"}


def _cut(shards: int) -> dict[str, Any]:
    return {"output": {"shards": shards}}


def _ordered(epochs: int) -> dict[str, Any]:
    return {"epochs": {"orders": True, "count": epochs}} if epochs else {}


@pytest.mark.parametrize(
    ("of", "before", "after", "others"),
    [(_cut, 1, 3, 2), (_cut, 3, 2, 2), (_ordered, 3, 1, 3), (_ordered, 2, 0, 3)],
)
def test_killed_while_files_come_and_go_the_old_ones_or_the_new_are_there(
    of: Callable[[int], dict[str, Any]], before: int, after: int, others: int, tmp_path: Path
) -> None:
    write_module(tmp_path, "t/a", chat_rows("a", 20))
    configs = [
        write_config(tmp_path, {"t/a": "0.5"}, **of(count)).rename(tmp_path / name)
        for count, name in ((before, "first.config"), (after, "second.config"))
    ]
    folder = tmp_path / "out"
    folder.mkdir()
    paths = OutputPaths(folder / "train.jsonl")
    assert compose_in_process(configs[1], paths.data).returncode == 0
    new = state(paths)
    assert compose_in_process(configs[0], paths.data).returncode == 0
    old = state(paths)
    operations, renames = json.loads(compose_in_process(configs[1], paths.data).stdout)
    assert (len(old), len(new), state(paths)) == (before + others, after + others, new)
    outcomes = set()
    removing = (renames[0] + renames[1]) // 2  # between the journal and the first file in place
    for point in (renames[0], removing, renames[2], operations):
        assert compose_in_process(configs[0], paths.data).returncode == 0
        ran = compose_in_process(configs[1], paths.data, kill_at=point)
        assert ran.returncode == -signal.SIGKILL
        recover(paths)
        assert state(paths) in (old, new), f"a mix of both after the kill at operation {point}"
        outcomes.add("old" if state(paths) == old else "new")
    assert outcomes == {"old", "new"}


def test_a_first_run_that_was_killed_is_finished_by_the_next(tmp_path: Path) -> None:
    write_module(tmp_path, "t/a", chat_rows("a", 5))
    config = write_config(tmp_path, {"t/a": 1})
    folder = tmp_path / "out"
    folder.mkdir()
    paths = OutputPaths(folder / "train.jsonl")
    _, renames = json.loads(compose_in_process(config, paths.data).stdout)
    made = state(paths)
    for path in folder.iterdir():
        path.unlink()
    killed = compose_in_process(config, paths.data, kill_at=renames[2])
    assert killed.returncode == -signal.SIGKILL and not paths.manifest.exists()
    assert compose_in_process(config, paths.data).returncode == 0
    assert state(paths) == made


def test_until_the_journal_is_written_the_old_files_lie_untouched(tmp_path: Path) -> None:
    paths = OutputPaths(tmp_path / "train.jsonl")
    paths.data.write_text("old")
    with pytest.raises(KeyError), staged(paths) as stage:
        stage.path(paths.data).write_text("new")
        raise KeyError
    assert paths.data.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["train.jsonl"]


def test_renames_that_a_journal_names_are_finished(tmp_path: Path) -> None:
    paths = OutputPaths(tmp_path / "train.jsonl")
    paths.data.write_text("new")
    paths.ledger.write_text("old")
    paths.run_folder.mkdir()
    (paths.run_folder / paths.ledger.name).write_text("new")
    (paths.run_folder / "commit.json").write_text(
        json.dumps({"rename": [paths.data.name, paths.ledger.name], "remove": [paths.bundle.name]})
    )
    paths.bundle.write_text("stale")
    recover(paths)
    assert (paths.data.read_text(), paths.ledger.read_text()) == ("new", "new")
    assert not paths.run_folder.exists() and not paths.bundle.exists()


def test_second_run_into_one_output_is_refused(
    two_mixes: tuple[Path, Path], tmp_path: Path
) -> None:
    paths = OutputPaths(tmp_path / "train.jsonl")
    paths.run_folder.mkdir()
    handle = os.open(paths.run_folder, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    ran = subprocess.run(
        [sys.executable, "-m", "teapot", "compose", str(two_mixes[0]), "-o", str(paths.data)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    os.close(handle)
    assert ran.returncode == 6
    assert "another run is writing this output" in ran.stderr
    assert not paths.data.exists()


def test_two_runs_at_once_leave_one_whole_composition(
    two_mixes: tuple[Path, Path], tmp_path: Path
) -> None:
    data = tmp_path / "train.jsonl"
    runs = [
        subprocess.Popen(
            [sys.executable, "-m", "teapot", "compose", str(config), "-o", str(data), "--json"],
            stdout=subprocess.PIPE, text=True,
        )
        for config in (*two_mixes, *two_mixes)
    ]  # fmt: skip
    outputs = [run.communicate()[0] for run in runs]
    codes = [run.returncode for run in runs]
    assert set(codes) <= {0, 6} and 0 in codes
    made = [json.loads(out) for out, code in zip(outputs, codes, strict=True) if code == 0]
    found = hashlib.sha256(data.read_bytes()).hexdigest()
    manifest = OutputPaths(data).manifest
    stated = json.loads(manifest.read_text())["subject"][0]["digest"]["sha256"]
    assert stated == found and found in {one["data"]["sha256"] for one in made}


def test_interrupt_and_termination_leave_nothing(tmp_path: Path) -> None:
    rows = chat_rows("a", 60_000)  # which go the long way, as each gets a system turn
    write_module(tmp_path, "t/a", rows, system_prompt="Be brief.")
    config = write_config(tmp_path, {"t/a": 1})
    for number in (signal.SIGINT, signal.SIGTERM):
        # A shell's background jobs ignore SIGINT, and so would all that they start; what is handled
        # here is at its default in a new program.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        run = subprocess.Popen(
            [sys.executable, "-m", "teapot", "compose", str(config), "-o", "out.jsonl"],
            cwd=tmp_path, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        signal.signal(signal.SIGINT, before)
        working = OutputPaths(tmp_path / "out.jsonl").run_folder
        while not working.exists():  # it is made before the first row is read
            assert run.poll() is None, "it ended before it could be interrupted"
            time.sleep(0.01)
        run.send_signal(number)
        assert "interrupted; no file was left half-written" in run.communicate()[1]
        assert run.returncode == 130
        assert not list(tmp_path.glob("*out*")) and not working.exists()


def in_own_mount(size: str, command: str, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    """Run a shell command in a mount namespace where `full/` is a small file system of its own."""
    script = f"mkdir full && mount -t tmpfs -o {size} tmpfs full && {command}"
    return subprocess.run(
        ["unshare", "--map-root-user", "--mount", "sh", "-c", script],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_full_disk_is_told_and_leaves_the_old_files(tmp_path: Path) -> None:
    write_module(tmp_path, "t/a", chat_rows("a", 20_000))
    write_config(tmp_path, {"t/a": 1})
    command = (
        "echo old > full/out.jsonl; touch full/out.manifest.json; "
        f"{sys.executable} -m teapot compose mix.config "
        "-o full/out.jsonl; code=$?; ls -A full; cat full/out.jsonl; exit $code"
    )
    ran = in_own_mount("size=1m", command, tmp_path)
    assert ran.stderr == (
        "error: full: the disk is full; nothing was changed; choose -o elsewhere\n"
    )
    assert (ran.returncode, ran.stdout) == (6, "out.jsonl\nout.manifest.json\nold\n")


def test_read_only_folder_is_told(tmp_path: Path) -> None:
    write_module(tmp_path, "t/a", chat_rows("a", 2))
    write_config(tmp_path, {"t/a": 1})
    command = (
        f"mount -o remount,ro full && {sys.executable} -m teapot compose mix.config "
        "-o full/out.jsonl"
    )
    ran = in_own_mount("size=1m", command, tmp_path)
    assert ran.stderr == "error: full: the file system is read-only; choose -o elsewhere\n"
    assert ran.returncode == 6


def test_missing_output_folder_is_told(tmp_path: Path) -> None:
    with (
        pytest.raises(OutputError, match="no such folder"),
        staged(OutputPaths(tmp_path / "nowhere" / "train.jsonl")),
    ):
        pass


def test_interrupt_between_two_renames_is_finished_by_the_next_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = OutputPaths(tmp_path / "train.jsonl")
    finals = [paths.data, paths.ledger]
    real, done = Path.replace, []

    def breaks(self: Path, target: Path) -> Path:
        done.append(self.name)
        if len(done) == 3:  # the journal, the first file, and then
            raise OSError(5, "Input/output error")
        return real(self, target)

    monkeypatch.setattr(Path, "replace", breaks)
    with pytest.raises(OSError, match="Input/output"), staged(paths) as stage:
        for final in finals:
            stage.path(final).write_text("new")
        stage.commit(finals)
    monkeypatch.undo()
    assert not paths.ledger.exists()
    recover(paths)
    assert [final.read_text() for final in finals] == ["new", "new"]
    assert not paths.run_folder.exists()


def test_run_folder_that_is_a_link_is_refused_and_its_target_kept(tmp_path: Path) -> None:
    paths = OutputPaths(tmp_path / "train.jsonl")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "precious").write_text("kept")
    paths.run_folder.symlink_to(tmp_path / "mine")
    with pytest.raises(OutputError, match="not a folder of Teapot's"), staged(paths):
        pass
    assert (tmp_path / "mine" / "precious").read_text() == "kept"


def test_data_that_is_not_a_composition_is_never_overwritten(
    two_mixes: tuple[Path, Path], tmp_path: Path
) -> None:
    data = tmp_path / "mine.jsonl"
    data.write_text("precious\n")
    with pytest.raises(UsageError, match="has no manifest: not Teapot's work"):
        teapot.compose(two_mixes[0], output=data)
    assert data.read_text() == "precious\n"

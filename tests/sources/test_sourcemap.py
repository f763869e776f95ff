"""Where a source really lies: who says it, in which order, and what a manifest tells of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import teapot
from teapot import MixOptions
from teapot.digest import sha256_hex
from teapot.errors import SourceError, TeapotError, UsageError
from tests.support import sources
from tests.support.hub import Hub
from tests.support.project import chat_rows, jsonl
from tests.support.sources import composed, dependencies, write_mix

MAP = "teapot.sources.yaml"
REPO = "fork/tea"
VARIABLE = "TEAPOT_SOURCE_TEA_ROWS_1"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A mix whose source `tea.rows-1` lies beside its module; the working folder is another."""
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    monkeypatch.delenv(VARIABLE, raising=False)
    write_mix(tmp_path, {"tea.rows-1": {"kind": "jsonl", "path": "own.jsonl"}})
    write_rows(tmp_path / "modules" / "t" / "own.jsonl", "own")
    return tmp_path


def write_rows(path: Path, word: str) -> Path:
    path.write_bytes(jsonl(chat_rows(word, 5)))
    return path


def read_word(folder: Path, source: str | None = None) -> str:
    """Return the word of the rows that the mix now reads, with `source` as the flag's value."""
    given = {} if source is None else {"tea.rows-1": source}
    output = folder / "out.jsonl"
    made = teapot.compose(folder / "mix.config", MixOptions(sources=given), output=output)
    lines = output.read_bytes().splitlines()
    (word,) = {str(json.loads(line)["id"]).split("-")[0] for line in lines}
    (read,) = made.report.sources
    assert (read.uri, read.sha256) == ("own.jsonl", sha256_hex(jsonl(chat_rows(word, 5))))
    told = made.paths.manifest.read_text()
    assert str(folder) not in told and (word == "own" or f"{word}." not in told)
    return word


def test_command_beats_variable_beats_file_beats_module(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert read_word(folder) == "own"
    write_rows(folder / "elsewhere" / "working.jsonl", "working")
    Path(MAP).write_text("tea.rows-1: working.jsonl\n")
    assert read_word(folder) == "working"
    write_rows(folder / "mapped.jsonl", "mapped")
    (folder / MAP).write_text("tea.rows-1: mapped.jsonl\n")
    assert read_word(folder) == "mapped"
    monkeypatch.setenv(VARIABLE, str(write_rows(folder / "variable.jsonl", "variable")))
    assert read_word(folder) == "variable"
    write_rows(folder / "elsewhere" / "given.jsonl", "given")
    assert read_word(folder, "given.jsonl") == "given"


def test_home_is_expanded_and_an_empty_variable_says_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(folder))
    write_rows(folder / "home.jsonl", "home")
    assert read_word(folder, "~/home.jsonl") == "home"
    monkeypatch.setenv(VARIABLE, "~/home.jsonl")
    assert read_word(folder) == "home"
    monkeypatch.setenv(VARIABLE, "")
    assert read_word(folder) == "own"


def test_other_places_leave_no_trace_in_the_manifest(folder: Path) -> None:
    made = set()
    for name in ("a.jsonl", "deep/b.ndjson"):
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        write_rows(path, "same")
        read_word(folder, str(path))
        made.add((folder / "out.manifest.json").read_bytes())
    assert len(made) == 1


def test_place_in_another_format_is_read_by_its_name(folder: Path) -> None:
    path = folder / "other.csv"
    path.write_text("id,conversations\n1,nothing\n")
    with pytest.raises(TeapotError, match="messages are not JSON text"):
        read_word(folder, str(path))


def test_place_whose_name_tells_nothing_is_read_as_the_source_declares(folder: Path) -> None:
    assert read_word(folder, str(write_rows(folder / "stand-in", "plain"))) == "plain"


def test_mapping_takes_its_path_where_there_is_one(folder: Path) -> None:
    value = f"tea.rows-1: {{path: mapped.jsonl, repo: {REPO}, revision: v1}}\n"
    (folder / MAP).write_text(value)
    write_rows(folder / "mapped.jsonl", "mapped")
    assert read_word(folder) == "mapped"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("- a\n", f"{MAP}:1: expected a mapping of source ids to places"),
        ("tea.rows-1:\n", f"{MAP}:1: tea.rows-1: expected a path, hf:owner/name, or a mapping"),
        ("a: b\ntea.rows-1: [x]\n", f"{MAP}:2: tea.rows-1: expected a path"),
        ("tea.rows-1: {}\n", "tea.rows-1: expected a path"),
        ("tea.rows-1: {file: x}\n", "tea.rows-1: expected a path"),
        ("tea.rows-1: {path: 7}\n", "tea.rows-1: path, repo and revision are text"),
        ("tea.rows-1: {revision: v1}\n", "tea.rows-1: expected a path"),
        ("tea.rows-1: a\ntea.rows-1: b\n", f"{MAP}:2"),
    ],
)
def test_map_that_says_nothing_usable_is_told(text: str, told: str, folder: Path) -> None:
    (folder / MAP).write_text(text)
    with pytest.raises(UsageError) as caught:
        read_word(folder)
    assert told in str(caught.value)


def test_all_faults_of_a_map_are_told_at_once(folder: Path) -> None:
    (folder / MAP).write_text("a: 7\nb: c\nd: {}\n")
    with pytest.raises(UsageError) as caught:
        read_word(folder)
    assert [problem.path for problem in caught.value.problems] == ["a", "d"]


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--source", "own.jsonl"], "--source own.jsonl: expected ID=PATH"),
        (["--source", "=x"], "--source =x: expected ID=PATH"),
        (["--source", "tea.rows-1="], "--source tea.rows-1=: expected ID=PATH"),
        (
            ["--source", "tea=x"],
            "--source tea: no source of this id in the mix; known are tea.rows",
        ),
        (["--source", "tea.rows-1=a", "--source", "tea.rows-1=b"], "this source is given twice"),
        (["--source", "tea.rows-1=~nobody-of-this-name/a.jsonl"], "nobody-of-this-name"),
    ],
)
def test_flag_that_says_nothing_usable_is_told(flags: list[str], told: str, folder: Path) -> None:
    ran = sources.refused(folder, *flags)
    assert (ran.returncode, told in ran.stderr) == (2, True), ran.stderr


@pytest.mark.parametrize("place", ["flag", "variable", "map"])
def test_place_where_nothing_lies_is_told_and_never_passed_over(
    place: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = str(folder / "gone.jsonl")
    if place == "variable":
        monkeypatch.setenv(VARIABLE, gone)
    if place == "map":
        (folder / MAP).write_text("tea.rows-1: gone.jsonl\n")
    with pytest.raises(SourceError, match=rf"source tea\.rows-1 .*no file at {gone}"):
        read_word(folder, gone if place == "flag" else None)


@pytest.mark.parametrize("place", ["flag", "variable", "map"])
def test_dataset_on_the_hub_may_stand_for_a_source(place: str, folder: Path) -> None:
    with Hub() as hub:
        commit = hub.commit(REPO, {"own.jsonl": jsonl(chat_rows("fork", 5))})
        hub.tag(REPO, "v1", commit)
        hub.move_branch(REPO, "main", {"own.jsonl": jsonl(chat_rows("moved", 5))})
        env = hub.environment(folder / "cache")
        value, flags = f"hf:{REPO}@v1", []
        if place == "flag":
            flags = ["--source", f"tea.rows-1={value}"]
        if place == "map":
            (folder / MAP).write_text(
                f"tea.rows-1: {{path: gone.jsonl, repo: {REPO}, revision: v1}}"
            )
        if place == "variable":
            env[VARIABLE] = value
        composed(folder, *flags, env=env)
    found = dependencies(folder)["tea.rows-1"]
    assert (found["uri"], found["revision"]) == (f"hf://datasets/{REPO}/own.jsonl", commit)
    assert found["sha256"] == sha256_hex(jsonl(chat_rows("fork", 5)))

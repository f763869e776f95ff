"""`teapot curate`: verdicts brought in, published, merged and counted."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from teapot.cli.app import run
from teapot.curationfile import read_curation
from tests.support.project import chat_row, chat_rows, write_config, write_module
from tests.support.verdicts import digest_of, verdict, write_verdicts

ROWS = chat_rows("a", 4)
LOCAL = Path(".curations/t/a.curation.v1.jsonl")


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TEAPOT_REVIEWER", raising=False)
    write_module(tmp_path, "t/a", [*ROWS, chat_row("a-4", "The same id once more?")])
    write_config(tmp_path, {"t/a": 1}, curations={"t/a": "local:v1"})
    return tmp_path


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = run(["curate", *arguments])
    out, err = capsys.readouterr()
    return code, out, err


def test_import_binds_ids_to_contents_and_says_what_it_could_not(
    capsys: pytest.CaptureFixture[str], project: Path
) -> None:
    lines = [
        {"id": "a-1", "verdict": "delete", "note": "spam"},
        {"id": "a-2", "action": "keep", "note": "good; do not delete", "reviewer": "bob"},
        {"id": "a-4", "action": "keep"},
        {"id": "gone", "action": "keep"},
    ]
    old = write_verdicts(project / "old.jsonl", *lines)
    assert said(capsys, "import", str(old), "--module", "t/a") == (
        2, "", "error: old.jsonl: verdicts without a reviewer; say --reviewer NAME\n".replace(
            "old.jsonl", str(old)
        ),
    )  # fmt: skip
    code, _, err = said(capsys, "import", str(old), "--module", "t/a", "--reviewer", "ada")
    assert code == 0
    assert "by id: 2 bound" in err and "gone: no record" in err and "a-4: stands on unlike" in err
    found = read_curation(LOCAL).verdicts
    assert [(one.content_digest, one.verdict, one.reviewer) for one in found] == [
        (digest_of(ROWS[0]), "drop", "ada"), (digest_of(ROWS[1]), "keep", "bob"),
    ]  # fmt: skip
    assert run(["compose", "mix.config", "--no-sign", "--quiet"]) == 0
    assert "Question 1 of a" not in Path("mix.jsonl").read_text()


def test_a_verdict_is_imported_once_and_a_change_of_mind_again(
    capsys: pytest.CaptureFixture[str], project: Path
) -> None:
    spoken = [verdict(ROWS[1], word, time=f"2026-01-0{day}T00:00:00Z")
              for day, word in enumerate(("keep", "drop", "keep"), start=1)]  # fmt: skip
    new = write_verdicts(project / "new.jsonl", *spoken)
    old = write_verdicts(project / "old.jsonl", {"id": "a-1", "verdict": "delete", "note": "spam"})
    for file, count in ((new, 3), (old, 1)):
        asked = ("import", str(file), "--module", "t/a", "--reviewer", "ada")
        assert said(capsys, *asked)[1].startswith(f"{count} verdict")
        before = LOCAL.read_bytes()
        held = f"0 verdicts appended to {LOCAL} ({count} stood there already)\n"
        assert said(capsys, *asked)[1] == held
        assert LOCAL.read_bytes() == before
    assert [one.verdict for one in read_curation(LOCAL).verdicts] == [
        "keep",
        "drop",
        "keep",
        "drop",
    ]


def test_export_publishes_what_stands_and_refuses_conflicts(
    capsys: pytest.CaptureFixture[str], project: Path
) -> None:
    lines = [verdict(row, "keep") for row in ROWS] + [verdict(ROWS[0], "drop")]
    write_verdicts(LOCAL, *lines)
    assert said(capsys, "export", "t/a")[0] == 0
    published = project / "modules/t/a.curation.v1.jsonl"
    found = read_curation(published).verdicts
    assert [one.content_digest for one in found] == sorted(map(digest_of, ROWS))
    assert {one.content_digest: one.verdict for one in found}[digest_of(ROWS[0])] == "drop"
    write_verdicts(LOCAL, *lines, verdict(ROWS[1], "drop", "bob"))
    before = published.read_bytes()
    code, _, err = said(capsys, "export", "t/a")
    assert code == 1 and "ada says keep and bob says drop" in err
    assert published.read_bytes() == before


def test_export_without_local_verdicts_says_how_to_make_some(
    capsys: pytest.CaptureFixture[str], project: Path
) -> None:
    code, _, err = said(capsys, "export", "t/a")
    assert code == 2 and "`teapot curate review` or `curate import` makes some" in err
    assert not (project / "modules/t/a.curation.v1.jsonl").exists()


def test_verdicts_on_a_shipped_module_are_published_elsewhere(
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_verdicts(Path(".curations/demo/czech.curation.v1.jsonl"), verdict("ab" * 32, "drop"))
    code, _, err = said(capsys, "export", "demo/czech")
    assert code == 2 and "choose a place with -o" in err
    assert said(capsys, "export", "demo/czech", "-o", "mine.jsonl")[0] == 0
    assert read_curation(Path("mine.jsonl")).verdicts[0].verdict == "drop"


def test_merge_names_conflicts_and_writes_nothing_until_they_are_settled(
    capsys: pytest.CaptureFixture[str],
) -> None:
    one = write_verdicts(Path("one.jsonl"), verdict(ROWS[0], "keep"), verdict(ROWS[1], "keep"))
    two = write_verdicts(
        Path("two.jsonl"), verdict(ROWS[0], "drop", "bob"), verdict(ROWS[1], "keep")
    )
    asked = ["merge", str(one), str(two), "-o", "both.jsonl"]
    code, _, err = said(capsys, *asked)
    assert code == 1 and f"{digest_of(ROWS[0])}: ada says keep and bob says drop" in err
    assert not Path("both.jsonl").exists()
    assert said(capsys, *asked, "--prefer", "bob")[0] == 2
    assert said(capsys, *asked, "--prefer", "eve", "--reviewer", "cyd")[0] == 1
    assert said(capsys, *asked, "--prefer", "bob", "--reviewer", "cyd")[0] == 0
    found = read_curation(Path("both.jsonl")).verdicts
    assert len(found) == 4  # the line that both files have stands once
    last = found[-1]
    assert (last.reviewer, last.verdict, last.supersedes) == ("cyd", "drop", ("ada", "bob"))


def test_merge_puts_later_words_later_whichever_file_they_are_in(
    capsys: pytest.CaptureFixture[str],
) -> None:
    late = write_verdicts(
        Path("late.jsonl"), {**verdict(ROWS[0], "drop"), "time": "2026-05-01T13:00:00+02:00"}
    )
    later = write_verdicts(Path("later.jsonl"), verdict(ROWS[0], "keep"))
    for files in ((late, later), (later, late)):
        assert said(capsys, "merge", *map(str, files), "-o", "both.jsonl")[0] == 0
        assert read_curation(Path("both.jsonl")).verdicts[-1].verdict == "keep"


def test_stats_count_verdicts_coverage_and_agreement(capsys: pytest.CaptureFixture[str]) -> None:
    ada = [
        verdict(row, kind) for row, kind in zip(ROWS, ["keep", "keep", "drop", "drop"], strict=True)
    ]
    bob = [
        verdict(row, kind, "bob")
        for row, kind in zip(ROWS, ["keep", "keep", "drop", "keep"], strict=True)
    ]
    file = write_verdicts(LOCAL, *ada, *bob, verdict("ab" * 32, "drop"))
    code, out, _ = said(capsys, "stats", str(file), "--module", "t/a", "--json")
    found = json.loads(out)
    assert code == 0
    assert found["verdicts"] == {"drop": 2, "keep": 2}
    assert (found["decided"], found["records"], found["reviewed"], found["orphans"]) == (5, 5, 4, 1)
    assert len(found["conflicts"]) == 1
    assert found["agreements"] == [
        {"reviewers": ["ada", "bob"], "shared": 4, "agreed": 3, "kappa": "0.500"}
    ]
    text = said(capsys, "stats", str(file), "--module", "t/a")[1]
    assert "4 of 5 records reviewed" in text and "0.500" in text and "conflict: " in text


@pytest.mark.parametrize("version", ["../../../../evil", "a b", "", "v1\n", ".v1"])
@pytest.mark.parametrize("command", ["import", "export"])
def test_a_version_that_no_config_can_name_is_refused(
    command: str, version: str, capsys: pytest.CaptureFixture[str], project: Path
) -> None:
    file = write_verdicts(project / "new.jsonl", verdict(ROWS[0], "keep"))
    what = [str(file), "--module", "t/a"] if command == "import" else ["t/a"]
    before = sorted(project.rglob("*"))
    code, _, err = said(capsys, command, *what, "--version", version)
    assert code == 2 and "--version: found" in err and "such as v1" in err
    assert sorted(project.rglob("*")) == before


def test_a_pipe_in_the_place_of_local_verdicts_is_not_waited_for(
    capsys: pytest.CaptureFixture[str], project: Path
) -> None:
    file = write_verdicts(project / "new.jsonl", verdict(ROWS[0], "keep"))
    LOCAL.parent.mkdir(parents=True)
    os.mkfifo(LOCAL)
    code, _, err = said(capsys, "import", str(file), "--module", "t/a")
    assert (code, "not a regular file" in err) == (2, True), err

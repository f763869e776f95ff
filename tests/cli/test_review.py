"""`teapot curate review`: the screen, driven by its keys, and the verdicts that it leaves."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from textual.widgets import Collapsible, Static

from teapot.cli.app import run
from teapot.cli.reviewscreen import ReviewScreen
from teapot.curationfile import append_verdicts, read_curation
from teapot.errors import OutputError, TeapotError
from teapot.model.verdict import Verdict
from teapot.usecases.modulerecords import ModuleRecords
from teapot.usecases.review import Review
from tests.support.project import chat_row, chat_rows, write_module
from tests.support.verdicts import NOON, digest_of, verdict, write_verdicts

ROWS = [
    *chat_rows("a", 3),
    chat_row("thoughtful", "Why [b]so[/b]?", "<think>Hm \x1b[31mred.</think>Because."),
]
LOCAL = Path(".curations/t/a.curation.v1.jsonl")


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_module(tmp_path, "t/a", [*ROWS, chat_row("twin", "Question 1 of a?")])
    return tmp_path


def session(reviewer: str = "ada") -> Review:
    return Review(ModuleRecords.find("t/a"), LOCAL, reviewer=reviewer, now=lambda: NOON)


def played(made: Review, *keys: str, then: Callable[[ReviewScreen], object] = id) -> ReviewScreen:
    """Press keys on the screen of a session, look at it, and return it."""

    async def play() -> ReviewScreen:
        screen = ReviewScreen(made)
        async with screen.run_test() as pilot:
            for key in keys:
                await pilot.press(key)
                await pilot.pause()
            then(screen)
        return screen

    return asyncio.run(play())


def written() -> list[tuple[str, str, str | None]]:
    if not LOCAL.is_file():
        return []
    return [(v.content_digest, v.verdict, v.reason) for v in read_curation(LOCAL).verdicts]


def shown(screen: ReviewScreen) -> str:
    return "\n".join(str(part.render()) for part in screen.query(Static))


def test_keys_write_verdicts_and_skipping_writes_none() -> None:
    made = session()
    played(made, "k", "s", "d")
    assert written() == [(digest_of(ROWS[0]), "keep", None), (digest_of(ROWS[2]), "drop", None)]
    assert (made.reviewed, made.total) == (2, 4)  # the twin of a record is not asked for again


def test_a_note_becomes_the_reason_of_the_next_verdict_alone() -> None:
    played(session(), "e", *"off", "enter", "d", "k")
    assert [(kind, reason) for _, kind, reason in written()] == [("drop", "off"), ("keep", None)]


def test_letters_of_a_note_are_no_verdicts_and_escape_leaves_it() -> None:
    made = session()
    played(made, "e", *"keds", "escape")
    assert (written(), made.note) == ([], "")


def test_undo_takes_back_the_verdict_and_shows_its_record_again() -> None:
    made = session()
    played(made, "k", "d", "u", "u", "u", "d")
    assert written() == [(digest_of(ROWS[0]), "drop", None)]
    assert made.current is not None and made.current.id == "a-2"


def test_a_filter_shows_only_what_holds_the_text_and_can_be_cleared() -> None:
    made = session()
    played(made, "slash", *"question 3", "enter", "d")
    assert written() == [(digest_of(ROWS[2]), "drop", None)]
    assert made.current is None
    made.filter("")
    assert made.current is not None and made.current.id == "a-1"


def test_a_thought_is_folded_and_nothing_of_a_record_is_markup_or_control() -> None:
    made = session()
    made.filter("thoughtful")
    folded: list[bool] = []
    texts: list[str] = []

    def look(screen: ReviewScreen) -> None:
        folded.append(screen.query_one(Collapsible).collapsed)
        texts.append(shown(screen))

    played(made, then=look)
    played(made, "t", then=look)
    assert folded == [True, False]
    assert "Why [b]so[/b]?" in texts[0] and "Hm \\x1b[31mred." in texts[1]
    assert "\x1b" not in "".join(texts)


def test_what_has_a_verdict_of_the_reviewer_is_not_shown_again() -> None:
    write_verdicts(LOCAL, verdict(ROWS[0], "keep", "ada"), verdict(ROWS[1], "drop", "bob"))
    first = session("ada").current
    assert first is not None and first.id == "a-2"
    other = session("bob").current
    assert other is not None and other.id == "a-1"


def test_at_the_end_keys_do_nothing_more() -> None:
    texts: list[str] = []
    screen = played(session(), *"kkkk", "d", "s", then=lambda screen: texts.append(shown(screen)))
    assert len(written()) == 4
    assert "no more records" in texts[0] and screen.return_value is None


def test_undo_never_takes_back_what_another_has_appended() -> None:
    made = session()
    made.decide("keep")
    append_verdicts(LOCAL, [Verdict.from_dict(verdict(ROWS[1], "drop", "bob"))])
    with pytest.raises(OutputError, match="is of somebody else by now"):
        made.undo()
    assert len(written()) == 2


def test_a_verdict_that_cannot_be_written_ends_the_review_with_its_error(project: Path) -> None:
    made = session()
    (project / ".curations").write_text("a file where the folder should be")
    screen = played(made, "k")
    assert isinstance(screen.return_value, TeapotError)
    assert made.reviewed == 0


def test_a_reviewer_must_be_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["curate", "review", "t/a"]) == 2
    assert "who reviews?" in capsys.readouterr().err


def test_without_textual_the_error_says_how_to_get_it() -> None:
    script = (
        "import sys; sys.modules['textual'] = None\n"
        "from teapot.cli.app import run\n"
        "sys.exit(run(['curate', 'review', 't/a', '--reviewer', 'ada']))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 2
    assert "pip install 'teapot[review]'" in ran.stderr


def test_without_a_terminal_the_error_says_what_to_do() -> None:
    command = [sys.executable, "-m", "teapot", "curate", "review", "t/a", "--reviewer", "ada"]
    ran = subprocess.run(
        command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "a review needs a terminal" in ran.stderr


def test_the_command_shows_the_screen_and_tells_what_came_of_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def reviewed(made: Review) -> None:
        made.decide("keep")

    monkeypatch.setattr("teapot.cli.reviewscreen.show", reviewed)
    assert run(["curate", "review", "t/a", "--reviewer", "ada"]) == 0
    assert "1 of 4 records have a verdict of ada" in capsys.readouterr().out
    assert len(written()) == 1

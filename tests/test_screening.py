"""Screens: what they say of records, and that neither engine, workers nor cache change it."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

import teapot
from teapot import resolve
from teapot.errors import BadRowsError
from teapot.model.record import Message
from teapot.resolve import ModuleInMix
from teapot.screens import Candidate, Changed, Left, Noted, Outcome
from tests.support.project import chat_rows, write_config, write_module
from tests.support.verdicts import digest_of, verdict, write_verdicts
from tests.support.ways import assert_same_in_every_way, composed, files_of, ledger_of

ROWS = chat_rows("a", 12)


@dataclass(frozen=True)
class Replacing:
    """Puts another text in the place of one, and is sent to wherever lines are made."""

    text: str
    by: str
    changes: bool = True

    def open(self) -> Replacing:
        return self

    def screen(self, candidate: Candidate) -> Outcome:
        messages: list[Message] = []
        for message in candidate.messages:
            changed = message.copy()
            changed["content"] = message["content"].replace(self.text, self.by)
            messages.append(changed)
        if messages == candidate.messages:
            return None
        return Changed(messages, ("mask",), "masked")


@dataclass(frozen=True)
class Judging:
    """Leaves out some records, and says something of others."""

    leaves: str
    notes: str
    changes: bool = False

    def open(self) -> Judging:
        return self

    def screen(self, candidate: Candidate) -> Outcome:
        said = " ".join(message["content"] for message in candidate.messages)
        if self.leaves in said:
            return Left("unwanted", f"says {self.leaves!r}")
        return Noted(f"says {self.notes!r}") if self.notes in said else None


SCREENS = (Replacing("Question 3 of", "Query 3 of"), Judging("Query 3 of", "Question 5 of"))


def screen_all(monkeypatch: pytest.MonkeyPatch, *screens: Any) -> None:
    """Have every module of a mix screened."""
    plain = resolve.with_curations

    def with_screens(*given: Any) -> list[ModuleInMix]:
        return [replace(module, screens=screens) for module in plain(*given)]

    monkeypatch.setattr(resolve, "with_curations", with_screens)


def test_a_changed_record_is_counted_and_its_row_tells_before_and_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_module(tmp_path, "t/a", ROWS)
    screen_all(monkeypatch, SCREENS[0])
    made = composed(write_config(tmp_path, {"t/a": 2}))
    row = ledger_of(made)["a-3"]
    assert (row["repairs"], row["detail"], len(row["lines"])) == (["mask"], "masked", 2)
    assert row["digest_before"] == digest_of(ROWS[2]) != row["content_digest"]
    texts = {
        record["id"]: record["messages"][0]["content"]
        for record in map(json.loads, made.paths.data.read_bytes().splitlines())
    }
    assert texts["a-3"].startswith("Query 3 of") and texts["a-4"].startswith("Question 4 of")
    assert made.report.modules[0].repaired == {"mask": 1}
    (checked,) = teapot.verify(
        made.paths.data, options=teapot.VerifyOptions(allow_unsigned=True, records=True)
    )
    assert checked.is_ok


def test_a_record_that_is_left_out_is_counted_by_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_module(tmp_path, "t/a", ROWS)
    screen_all(monkeypatch, Judging("Question 3 of", "Question 5 of"))
    made = composed(write_config(tmp_path, {"t/a": 1}))
    rows = ledger_of(made)
    assert (rows["a-3"]["reason"], rows["a-3"]["detail"]) == ("unwanted", "says 'Question 3 of'")
    assert (rows["a-5"]["fate"], rows["a-5"]["detail"]) == ("kept", "says 'Question 5 of'")
    (module,) = made.report.modules
    assert (module.dropped, module.usable, made.data.records) == ({"unwanted": 1}, 11, 11)


def test_what_a_screen_makes_of_a_record_is_checked_as_any_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_module(tmp_path, "t/a", ROWS)
    screen_all(monkeypatch, Replacing("Question 3 of", "<think>Question 3 of"))
    with pytest.raises(BadRowsError, match="after masked"):
        composed(write_config(tmp_path, {"t/a": 1}))


def test_verdicts_know_a_record_by_what_was_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_module(tmp_path, "t/a", ROWS)
    screen_all(monkeypatch, *SCREENS)
    curation = tmp_path / "modules/t/a.curation.v1.jsonl"
    write_verdicts(curation, *(verdict(row, "keep") for row in ROWS))
    config = write_config(tmp_path, {"t/a": 1}, curations={"t/a": "published:v1"})
    made = composed(config)
    (module,) = made.report.modules
    assert module.curation is not None
    assert (module.curation.matched, module.curation.orphans) == (12, 0)
    row = ledger_of(made)["a-3"]
    assert row["reason"] == "unwanted" and row["content_digest"] == digest_of(ROWS[2])
    screen_all(monkeypatch, SCREENS[0])
    again = composed(config, "again")
    (module,) = again.report.modules
    assert module.curation is not None and module.curation.rows == {"keep": 12, "unreviewed": 0}
    assert ledger_of(again)["a-3"]["detail"] == "keep by ada (published:v1); masked"


@pytest.mark.parametrize("compiled", [True, False])
def test_neither_threads_blocks_code_nor_engine_change_a_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compiled: bool
) -> None:
    write_module(tmp_path, "t/a", ROWS)
    screen_all(monkeypatch, *SCREENS, Replacing("Question 7", "Query 7"))
    config = write_config(tmp_path, {"t/a": "1.5"})
    first = assert_same_in_every_way(config, monkeypatch, compiled=compiled)
    assert b"Query 7" in first[0] and b"Query 3" not in first[0]


def test_the_cache_keeps_what_was_read_and_not_what_was_screened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("teapot.partcache.LEAST_BYTES", 1)
    write_module(tmp_path, "t/a", ROWS)
    config, cache = write_config(tmp_path, {"t/a": 1}), tmp_path / "cache"
    plain = files_of(composed(config, "plain", cache=cache, keep_parts=True))
    with monkeypatch.context() as patched:
        screen_all(patched, *SCREENS)
        screened = files_of(composed(config, "screened", cache=cache, keep_parts=True))
        again = files_of(composed(config, "again", cache=cache, keep_parts=True))
    assert screened == again != plain
    assert files_of(composed(config, "last", cache=cache, keep_parts=True)) == plain

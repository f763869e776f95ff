"""Curation files: read strictly, written canonically, and notes are no verdicts."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from teapot.curationfile import append_verdicts, lines_of, parse_curation, read_curation
from teapot.errors import ConfigError
from teapot.model.verdict import Verdict
from tests.support.verdicts import NOON, verdict, write_verdicts

PATH = Path("x.jsonl")
_A = "aa" * 32
_VERDICTS = st.builds(
    Verdict, content_digest=st.binary(min_size=32, max_size=32).map(bytes.hex),
    verdict=st.sampled_from(["keep", "drop"]), reviewer=st.text(min_size=1), time=st.just(NOON),
    reason=st.none() | st.text(min_size=1), tags=st.lists(st.text(min_size=1)).map(tuple),
    score=st.none() | st.decimals(-9, 9, places=2), supersedes=st.just(()),
)  # fmt: skip


@given(st.lists(_VERDICTS, max_size=4))
def test_what_is_written_is_read_back(verdicts: list[Verdict]) -> None:
    assert list(parse_curation(lines_of(verdicts), PATH).verdicts) == verdicts


def test_verdicts_are_appended_behind_what_is_there(tmp_path: Path) -> None:
    path = write_verdicts(tmp_path / "deep" / "x.jsonl", verdict(_A, "keep"))
    path.write_bytes(path.read_bytes().rstrip())  # as an editor may leave it
    append_verdicts(path, [Verdict.from_dict(verdict(_A, "drop", "bob"))])
    found = read_curation(path)
    assert [(one.reviewer, one.verdict) for one in found.verdicts] == [
        ("ada", "keep"), ("bob", "drop"),
    ]  # fmt: skip
    assert [file.name for file in path.parent.iterdir()] == ["x.jsonl"]


@given(st.text())
def test_a_note_never_changes_a_verdict_of_the_prototype(note: str) -> None:
    for key in ("note", "notes", "reason", "comment"):
        line = b'{"id":"x","action":"keep","%b":%b}' % (
            key.encode(),
            json.dumps(note).encode(),
        )
        (found,) = parse_curation(line, PATH).by_id
        assert found.verdict == "keep"


@pytest.mark.parametrize(
    "line",
    [
        '{"id": "x", "note": "delete"}',
        '{"id": "x", "verdict": "good; do not delete"}',
        '{"id": "x", "verdict": "keep", "action": "drop"}',
        '{"id": "x", "verdict": true}',
        '{"id": ["x"], "verdict": "keep"}',
        '{"verdict": "keep"}',
        '{"id": "x", "verdict": "move"}',
        "not json",
    ],
)
def test_what_is_no_verdict_is_refused_with_its_line(line: str) -> None:
    with pytest.raises(ConfigError, match=r"x\.jsonl:2: "):
        parse_curation(b'{"id":"x","action":"keep"}\n' + line.encode(), PATH)


@pytest.mark.parametrize("key", ["content_digest", "time"])
def test_a_line_feed_behind_a_value_is_a_fault_and_no_other_record(key: str) -> None:
    line = verdict(_A, "drop", "bob")
    line[key] += "\n"
    both = [json.dumps(one).encode() for one in (verdict(_A, "keep"), line)]
    with pytest.raises(ConfigError, match=f"x.jsonl:2: {key}: found the text"):
        parse_curation(b"\n".join(both), PATH)


@pytest.mark.parametrize(
    ("begin", "told"),
    [
        (b"\xef\xbb\xbf", "x.jsonl:1: begins with a byte order mark; save the file as UTF-8"),
        (b"\n", "x.jsonl:1: is empty, expected a verdict; remove the line"),
        (b"\r\n", "x.jsonl:1: is empty, expected a verdict; remove the line"),
    ],
)
def test_what_an_editor_leaves_is_named(begin: bytes, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        parse_curation(begin + json.dumps(verdict(_A, "keep")).encode(), PATH)


def test_two_who_append_at_once_lose_no_line(tmp_path: Path) -> None:
    path = tmp_path / "a.curation.v1.jsonl"
    given = [Verdict.from_dict(verdict(_A, "drop", f"r{number}")) for number in range(40)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda one: append_verdicts(path, [one]), given))
    found = read_curation(path).verdicts
    assert sorted(one.reviewer for one in found) == sorted(one.reviewer for one in given)

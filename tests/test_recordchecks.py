"""`--records`: every line is parsed and compared with the ledger row that claims it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import teapot
from teapot import VerifyOptions
from teapot.recordchecks import check_records
from tests.support.attacks import edit_ledger
from tests.support.compositions import make, manifest_of


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> teapot.Composition:
    composition = make(tmp_path)
    monkeypatch.chdir(tmp_path)
    return composition


def status(options: VerifyOptions, made: teapot.Composition) -> dict[str, str]:
    (found,) = teapot.verify(made.paths.manifest, options=options)
    return {result.name: result.status for result in found.results}


def test_records_are_compared_where_that_is_asked(made: teapot.Composition) -> None:
    assert status(VerifyOptions(records=True), made)["records"] == "ok"
    assert "records" not in status(VerifyOptions(), made)


def test_records_of_other_files_are_not_looked_at(made: teapot.Composition) -> None:
    made.paths.data.write_bytes(made.paths.data.read_bytes() + b"{}\n")
    found = status(VerifyOptions(records=True), made)
    assert (found["data"], found["records"]) == ("fault", "skipped")


@pytest.mark.parametrize("name", ["id", "license", "module", "source", "content_digest"])
def test_a_row_that_tells_another_thing_of_its_line_is_found(
    name: str, made: teapot.Composition, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.support.attacks.LEDGER", made.paths.ledger)
    lines: list[int] = []

    def lie(rows: list[dict[str, Any]]) -> None:
        row = next(row for row in rows if row["lines"])
        row[name] = "0" * 64
        lines.extend(row["lines"])

    edit_ledger(lie)
    result = check_records(made.paths, manifest_of(made))
    assert result.status == "fault"
    told = [f"line {line} is another record than its ledger row says" for line in lines]
    assert sorted(result.details) == sorted(told)

"""What a walk over a ledger finds: the manifest's numbers, or a fault; never a crash."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as arrow
import pytest
from pyarrow import parquet

import teapot
from teapot.auditing import account_of, auditing
from teapot.errors import DataError
from teapot.ledger import LEDGER, read_ledger
from teapot.ledgeraudit import audit_ledger
from teapot.merkle import MerkleTree
from teapot.model.ledgeraccount import LedgerAccount, LedgerSizes, ModuleAccount
from tests.support.compositions import die, make, manifest_of, write_project
from tests.support.environment import environment

DIGEST = "ab" * 32


def audited(made: teapot.Composition) -> LedgerAccount:
    manifest = manifest_of(made)
    claimed = made.paths.data.with_name("claimed")
    return audit_ledger(
        made.paths.ledger, claimed, manifest.ledger.rows, manifest.data.records
    )  # fmt: skip


def row(number: int = 1, **keys: Any) -> dict[str, Any]:
    """Return a ledger row of one kept record on its own line."""
    kept = {
        "module": "t/a", "source": "s", "row": number, "id": f"id {number}",
        "content_digest": DIGEST, "license": "MIT", "fate": "kept", "reason": None, "detail": None,
        "repairs": [], "digest_before": None, "record_digest": DIGEST, "occurrence": 0,
        "lines": [number],
    }  # fmt: skip
    return {**kept, **keys}


def dropped(number: int, reason: str | None) -> dict[str, Any]:
    return row(number, fate="dropped", reason=reason, lines=[], record_digest=None)


def written(folder: Path, *rows: dict[str, Any], **options: Any) -> Path:
    path = folder / "x.ledger.parquet"
    parquet.write_table(arrow.Table.from_pylist(list(rows), LEDGER), path, **options)
    return path


def audit(folder: Path, *rows: dict[str, Any]) -> LedgerAccount:
    return audit_ledger(written(folder, *rows), folder / "claimed", len(rows), 9)


def refusal(folder: Path, path: Path, rows: int = 1) -> str:
    with pytest.raises(DataError) as caught:
        audit_ledger(path, folder / "claimed", rows, 9)
    (problem,) = caught.value.problems
    assert problem.where == str(path)
    return problem.message


@pytest.mark.parametrize("config", [{}, {"duplicates": "drop"}], ids=str)
@pytest.mark.parametrize("batch_rows", [8192, 3])
def test_account_has_the_numbers_of_the_manifest(
    config: dict[str, Any], batch_rows: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("teapot.ledgeraudit.BATCH_ROWS", batch_rows)
    monkeypatch.setattr("teapot.claims._BUCKET_LINES", 4)
    made = make(tmp_path, **config)
    manifest, account = manifest_of(made), audited(made)
    assert account.faults == ()
    assert (account.rows, account.rows_sha256) == (made.ledger.rows, made.ledger.rows_sha256)
    assert account.modules == {
        module.name: ModuleAccount(
            read=module.read, kept=module.kept, unused=module.unused, lines=module.lines,
            dropped=dict(module.dropped), repaired=dict(module.repaired),
        )
        for module in manifest.report.modules
    }  # fmt: skip
    assert account.sources == {(s.module, s.id): s.rows for s in manifest.report.sources}
    assert {name: lines for name, lines in account.licenses.items() if lines} == {
        name: amount.lines for name, amount in manifest.report.licenses.items()
    }
    stated = made.data
    assert (account.contents, account.contents_root) == (stated.contents, stated.contents_root)
    assert account.claims == stated.records
    claimed = made.paths.data.with_name("claimed").read_bytes()
    tree = MerkleTree()
    tree.extend([claimed[at : at + 32] for at in range(0, len(claimed), 32)])
    assert tree.root().hex() == stated.merkle_root


def test_the_mix_of_these_tests_has_some_of_everything(tmp_path: Path) -> None:
    modules = audited(make(tmp_path, duplicates="drop")).modules
    assert modules["t/a"].unused == 6
    assert modules["t/b"].dropped == {"duplicate": 1, "think-unclosed": 1}
    assert modules["t/b"].lines == 2 * 6 + 1
    assert modules["t/c"].repaired == {"double-close": 1}


def test_a_large_ledger_is_read_in_its_own_process_with_the_same_account(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make(tmp_path)
    here = audited(made)
    monkeypatch.setattr("teapot.processes.OWN_PROCESS_BYTES", 1)
    monkeypatch.setattr("teapot.ledgeraudit._Audit", None)  # of this process
    claimed, ledger = tmp_path / "claimed", made.paths.ledger
    sizes = LedgerSizes(rows=made.ledger.rows, lines=made.data.records)
    claimed.unlink()
    with auditing(ledger, claimed, sizes) as future:
        assert account_of(future, ledger) == here
    assert claimed.stat().st_size == 32 * made.data.records


def test_a_fault_found_in_the_own_process_is_told_as_one_found_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path, row())
    here = refusal(tmp_path, path, rows=2)
    monkeypatch.setattr("teapot.processes.OWN_PROCESS_BYTES", 1)
    with (
        auditing(path, tmp_path / "claimed", LedgerSizes(rows=2, lines=9)) as future,
        pytest.raises(DataError) as caught,
    ):
        account_of(future, path)
    (problem,) = caught.value.problems
    assert (problem.where, problem.message) == (str(path), here)


def test_a_reader_that_dies_is_a_fault_of_the_ledger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make(tmp_path)
    monkeypatch.setattr("teapot.processes.OWN_PROCESS_BYTES", 1)
    monkeypatch.setattr("teapot.auditing._bounded_audit", die)
    (found,) = teapot.verify(made.paths.data)
    assert found.exit_code == 1
    (ledger,) = [result for result in found.results if result.name == "ledger"]
    assert ledger.found == (
        "broke the process that read it as Parquet; it is damaged or made to do harm"
    )
    assert "lines" not in {result.name for result in found.results}


def test_a_plain_script_verifies_a_large_ledger_and_runs_once(tmp_path: Path) -> None:
    made = make(tmp_path)
    script = tmp_path / "script.py"
    script.write_text(
        "import teapot, teapot.processes\n"
        "teapot.processes.OWN_PROCESS_BYTES = 1\n"
        "print([part.is_ok for part in teapot.verify('mix.jsonl')])\n"
    )
    ran = subprocess.run(
        [sys.executable, str(script)], cwd=made.paths.data.parent, capture_output=True, text=True,
        env=environment(tmp_path), check=False,
    )  # fmt: skip
    assert (ran.stdout, ran.stderr) == ("[True]\n", "")


def test_fates_that_no_ledger_has_are_faults(tmp_path: Path) -> None:
    assert audit(tmp_path, row()).faults == ()
    assert audit(tmp_path, row(reason="odd")).faults == (
        "a row has the fate 'kept' for the reason 'odd'",
    )
    assert (
        "a row has the fate 'dropped' for the reason None"
        in audit(tmp_path, dropped(1, None)).faults
    )
    told = "a row is kept on no line, or dropped and yet on one"
    assert audit(tmp_path, row(lines=[])).faults == (told,)
    assert audit(tmp_path, row(fate="dropped", reason="license")).faults == (told,)


@pytest.mark.parametrize(
    "rows",
    [
        [row(2), row(1, lines=[3])],
        [row(1), row(1, lines=[2])],
        [row(1, source="t"), row(1, source="s", lines=[2])],
        [row(1, module="t/b"), row(1, module="t/a", lines=[2])],
    ],
    ids=["rows", "one row twice", "sources", "modules"],
)
@pytest.mark.parametrize("batch_rows", [8192, 1])
def test_rows_out_of_order_are_a_fault(
    rows: list[dict[str, Any]], batch_rows: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("teapot.ledgeraudit.BATCH_ROWS", batch_rows)
    (fault,) = audit(tmp_path, *rows).faults
    assert fault.endswith("is out of order")
    monkeypatch.undo()


def test_claims_beyond_the_data_file_are_counted_and_harm_nothing(tmp_path: Path) -> None:
    lines = [-(2**63), -1, 0, 1, 9, 10, 2**63 - 1]
    account = audit(tmp_path, row(lines=lines))
    assert account.claims == len(lines)
    claimed = (tmp_path / "claimed").read_bytes()
    assert claimed == bytes.fromhex(DIGEST) + bytes(7 * 32) + bytes.fromhex(DIGEST)


def test_a_ledger_without_a_kept_row_is_accounted_for(tmp_path: Path) -> None:
    account = audit(tmp_path, dropped(1, "not-drawn"), dropped(2, "license"))
    assert (account.contents, account.claims) == (0, 0)
    assert account.contents_root == MerkleTree().root().hex()
    assert account.modules["t/a"].unused == 1


def test_a_ledger_of_no_rows_is_accounted_for(tmp_path: Path) -> None:
    account = audit(tmp_path)
    assert (account.rows, account.modules) == (0, {})


# What is refused.


@pytest.mark.parametrize("name", ["module", "source", "row", "fate", "repairs", "lines"])
def test_a_null_where_a_ledger_has_none_is_refused(name: str, tmp_path: Path) -> None:
    told = refusal(tmp_path, written(tmp_path, row(**{name: None})))
    assert told == f"cannot be read as a ledger: the column {name} holds a null"


@pytest.mark.parametrize(("name", "values"), [("lines", [1, None]), ("repairs", [None])])
def test_a_null_in_a_list_is_refused(name: str, values: list[Any], tmp_path: Path) -> None:
    told = refusal(tmp_path, written(tmp_path, row(**{name: values})))
    assert told == f"cannot be read as a ledger: the column {name} holds a null"


@pytest.mark.parametrize("name", ["content_digest", "record_digest"])
@pytest.mark.parametrize(
    "text", [None, "", "ab" * 31, "ab" * 33, "xy" * 32, "AB" * 32, "č" * 64, " " * 64]
)
def test_a_kept_row_without_a_digest_is_refused(
    name: str, text: str | None, tmp_path: Path
) -> None:
    told = refusal(tmp_path, written(tmp_path, row(**{name: text})))
    assert told.startswith("cannot be read as a ledger: ")


def test_another_number_of_rows_is_refused_before_any_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path, row())
    monkeypatch.setattr(parquet.ParquetFile, "iter_batches", lambda *_, **__: pytest.fail("read"))
    assert refusal(tmp_path, path, rows=1_000) == "has 1 rows, the manifest states 1,000"


@pytest.mark.parametrize(
    "change",
    [
        lambda table: table.drop_columns(["detail"]),
        lambda table: table.append_column("more", arrow.array(["x"])),
        lambda table: table.select(sorted(LEDGER.names)),
        lambda table: table.rename_columns([name.upper() for name in LEDGER.names]),
        lambda table: table.set_column(2, "row", arrow.array([1], arrow.int32())),
        lambda table: table.set_column(3, "id", arrow.array(["x"], arrow.large_string())),
        lambda table: table.set_column(3, "id", arrow.array(["x"]).dictionary_encode()),
        lambda table: table.set_column(3, "id", arrow.array([b"\xff"])),
    ],
    ids=["fewer", "more", "order", "names", "int32", "large", "dictionary", "bytes"],
)
def test_other_columns_are_refused(change: Callable[[Any], Any], tmp_path: Path) -> None:
    path = tmp_path / "x.ledger.parquet"
    parquet.write_table(change(arrow.Table.from_pylist([row()], LEDGER)), path)
    assert refusal(tmp_path, path) == "is no ledger: it has other columns"


def test_text_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    batch = arrow.RecordBatch.from_pylist([row(id="xyz")], LEDGER)
    bad = arrow.Array.from_buffers(
        arrow.string(), 1, [None, *batch.column("id").buffers()[1:2], arrow.py_buffer(b"\xff\xfe!")]
    )
    path = tmp_path / "x.ledger.parquet"
    parquet.write_table(arrow.Table.from_batches([batch]).set_column(3, "id", bad), path)
    assert refusal(tmp_path, path).startswith("cannot be read as a ledger: ")


@pytest.mark.parametrize(
    ("limit", "told"),
    [
        ("_MAX_GROUP_ROWS", "has a row group of 3 rows and"),
        ("_MAX_GROUP_BYTES", "more than any ledger of Teapot's"),
    ],
)
def test_a_huge_row_group_is_refused_before_it_is_read(
    limit: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path, row(1), row(2), row(3))
    monkeypatch.setattr(f"teapot.ledgerguard.{limit}", 2)
    monkeypatch.setattr(parquet.ParquetFile, "iter_batches", lambda *_, **__: pytest.fail("read"))
    assert told in refusal(tmp_path, path, rows=3)


@pytest.mark.parametrize("data", [b"", b"PAR1", b"PAR1" + bytes(100) + b"PAR1", b"{}\n" * 50])
def test_what_is_no_parquet_is_refused(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.ledger.parquet"
    path.write_bytes(data)
    assert refusal(tmp_path, path).startswith("cannot be read as a ledger: ")


def test_every_truncation_of_a_ledger_is_refused(tmp_path: Path) -> None:
    data = written(tmp_path, row()).read_bytes()
    path = tmp_path / "cut.ledger.parquet"
    for size in range(0, len(data), 97):
        path.write_bytes(data[:size])
        assert refusal(tmp_path, path)


def test_more_lines_than_can_be_held_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path, row())
    for lines in (2**58, 2**63, 2**70):
        with pytest.raises(DataError, match="cannot be read as a ledger"):
            audit_ledger(path, tmp_path / "claimed", 1, lines)


def test_the_rows_hashed_are_those_that_others_read(tmp_path: Path) -> None:
    config = write_project(tmp_path)
    made = teapot.compose(config, output=tmp_path / "mix.jsonl")
    rows = [one for batch in read_ledger(made.paths.ledger) for one in batch]
    one_group = tmp_path / "other.ledger.parquet"
    parquet.write_table(
        arrow.Table.from_pylist(rows, LEDGER), one_group, compression="none", row_group_size=5
    )
    account = audit_ledger(one_group, tmp_path / "claimed", len(rows), made.data.records)
    assert account.rows_sha256 == made.ledger.rows_sha256
    assert account.rows == len(rows)

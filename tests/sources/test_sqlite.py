"""SQLite: the rows of one query, from a database that is only ever read."""

from __future__ import annotations

import re
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from teapot.digest import sha256_hex
from teapot.errors import DataError, TeapotError, UsageError
from teapot.model.record import Fault
from tests.support.sources import read

ALL = "SELECT n, word FROM rows ORDER BY n"


def make_database(path: Path, *, wal: bool = False) -> bytes:
    with closing(sqlite3.connect(path)) as database:
        if wal:
            database.execute("PRAGMA journal_mode = wal")
        database.execute("CREATE TABLE rows (n INTEGER, word TEXT, raw BLOB)")
        rows = [(n, f"word {n}\u2028", b"raw") for n in range(50)]
        database.executemany("INSERT INTO rows VALUES (?, ?, ?)", rows)
        database.commit()
    return path.read_bytes()


def told(folder: Path, query: str | None, path: str = "a.db") -> str:
    with pytest.raises(TeapotError) as caught:
        read("sqlite", folder, path=path, query=query)
    return str(caught.value)


def test_rows_come_in_the_order_of_the_query(tmp_path: Path) -> None:
    made = make_database(tmp_path / "a.db")
    query = "SELECT n AS id, upper(word) AS w, NULL AS empty FROM rows WHERE n < 3 ORDER BY n DESC"
    rows, identity = read("sqlite", tmp_path, path="a.db", query=query)
    words = [{"id": n, "w": f"WORD {n}\u2028", "empty": None} for n in (2, 1, 0)]
    assert rows == list(enumerate(words, start=1))
    assert (identity.sha256, identity.bytes, identity.rows) == (sha256_hex(made), len(made), 3)


@pytest.mark.parametrize("wal", [False, True])
def test_reading_leaves_the_database_and_its_folder_as_they_were(wal: bool, tmp_path: Path) -> None:
    path = tmp_path / "a b?#%.db"
    made = make_database(path, wal=wal)
    before = path.stat()
    rows, _ = read("sqlite", tmp_path, path=path.name, query=ALL)
    assert len(rows) == 50
    assert path.read_bytes() == made
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    assert list(tmp_path.iterdir()) == [path], "no -wal, -shm or -journal"


@pytest.mark.parametrize(
    "query",
    [
        "DELETE FROM rows",
        "DELETE FROM rows RETURNING n",
        "INSERT INTO rows SELECT n + 100, word, raw FROM rows RETURNING n",
        "UPDATE rows SET word = 'x' RETURNING n",
        "DROP TABLE rows",
        "CREATE TABLE other (a)",
        "CREATE TEMP TABLE other AS SELECT * FROM rows",
        "PRAGMA user_version = 7",
        "PRAGMA query_only = 0",
        "BEGIN IMMEDIATE",
        "SELECT n FROM rows; DELETE FROM rows",
        "SELECT load_extension('evil')",
        "ATTACH DATABASE 'other.db' AS other",
        "VACUUM INTO 'other.db'",
    ],
)
def test_query_that_would_write_is_refused_and_writes_nothing(
    query: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    made = make_database(tmp_path / "a.db")
    assert "source s (a.db): the query" in told(tmp_path, query)
    assert (tmp_path / "a.db").read_bytes() == made
    assert [path.name for path in tmp_path.iterdir()] == ["a.db"]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (None, "an SQLite source needs query:, a SELECT"),
        ("SELEC n FROM rows", 'the query fails: near "SELEC": syntax error'),
        ("SELECT x FROM rows", "the query fails: no such column: x"),
        ("SELECT n FROM nowhere", "the query fails: no such table: nowhere"),
        ("SELECT n, word AS n FROM rows", "the query gives n, n; name each once"),
        ("-- nothing", "the query gives no columns"),
        ("SELECT n FROM rows WHERE n = ?", "the query fails"),
    ],
)
def test_query_that_cannot_be_used_is_told(query: str, message: str, tmp_path: Path) -> None:
    make_database(tmp_path / "a.db")
    assert f"source s (a.db): {message}" in told(tmp_path, query)


@pytest.mark.parametrize(
    "query",
    [
        "SELECT r.n, j.value FROM rows AS r, json_each('[1, 2]') AS j WHERE r.n = 1",
        "SELECT n FROM found WHERE found MATCH 'tea' ORDER BY n",
        "SELECT n FROM seen ORDER BY n",
        "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c LIMIT 2) SELECT n FROM c",
        "SELECT n, row_number() OVER (ORDER BY n) AS place FROM rows LIMIT 2",
    ],
)
def test_query_may_use_all_that_only_reads(query: str, tmp_path: Path) -> None:
    make_database(tmp_path / "a.db")
    with closing(sqlite3.connect(tmp_path / "a.db")) as database:
        database.execute("CREATE VIEW seen AS SELECT n FROM rows WHERE n IN (3, 4)")
        database.execute("CREATE VIRTUAL TABLE found USING fts5(n, word)")
        database.execute("INSERT INTO found VALUES (1, 'green tea'), (2, 'tea'), (3, 'milk')")
        database.commit()
    assert len(read("sqlite", tmp_path, path="a.db", query=query)[0]) == 2


def test_query_that_fails_midway_tells_after_which_row(tmp_path: Path) -> None:
    make_database(tmp_path / "a.db")
    overflow = "SELECT abs(iif(n = 7, -9223372036854775807 - 1, n)) AS x FROM rows ORDER BY rowid"
    # Python's driver runs one row ahead of what it hands out, or not, as its version is.
    assert re.search(r"fails after row [67]: integer overflow", told(tmp_path, overflow))


def test_blob_is_a_fault_of_its_row(tmp_path: Path) -> None:
    make_database(tmp_path / "a.db")
    query = "SELECT n, iif(n = 1, raw, 'text') AS cell FROM rows ORDER BY n LIMIT 3"
    rows, _ = read("sqlite", tmp_path, path="a.db", query=query)
    assert rows[0] == (1, {"n": 0, "cell": "text"})
    assert isinstance(rows[1][1], Fault) and "the column cell holds a BLOB" in str(rows[1][1])
    assert rows[2] == (3, {"n": 2, "cell": "text"})


def test_file_that_is_no_database_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.db").write_bytes(b"no database" * 1000)
    assert "source s (a.db): the query fails" in told(tmp_path, ALL)
    with pytest.raises(UsageError):
        read("sqlite", tmp_path, path="a.db")


def test_changes_that_only_the_write_ahead_log_holds_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    make_database(path, wal=True)
    with closing(sqlite3.connect(path)) as writer:
        writer.execute("UPDATE rows SET word = 'new'")
        writer.commit()
        with pytest.raises(DataError, match=r"a\.db-wal holds changes not yet in the database"):
            read("sqlite", tmp_path, path="a.db", query=ALL)
    rows, _ = read("sqlite", tmp_path, path="a.db", query=ALL)
    assert {row["word"] for _, row in rows if not isinstance(row, Fault)} == {"new"}


def test_journal_that_a_finished_writer_keeps_does_not_matter(tmp_path: Path) -> None:
    make_database(tmp_path / "a.db")
    with closing(sqlite3.connect(tmp_path / "a.db")) as writer:
        writer.execute("PRAGMA journal_mode = persist")
        writer.execute("UPDATE rows SET word = 'new'")
        writer.commit()
    # Its head is zeroed: nothing in it is to be rolled back.
    assert (tmp_path / "a.db-journal").stat().st_size > 0
    assert len(read("sqlite", tmp_path, path="a.db", query=ALL)[0]) == 50


def test_write_ahead_log_is_looked_for_where_a_link_leads(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    make_database(tmp_path / "real" / "a.db", wal=True)
    (tmp_path / "link.db").symlink_to(tmp_path / "real" / "a.db")
    with closing(sqlite3.connect(tmp_path / "real" / "a.db")) as writer:
        writer.execute("UPDATE rows SET word = 'new'")
        writer.commit()
        with pytest.raises(DataError, match="holds changes not yet in the database"):
            read("sqlite", tmp_path, path="link.db", query=ALL)


def test_changes_that_a_killed_writer_left_half_done_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "real.db"
    make_database(path)
    with closing(sqlite3.connect(path)) as writer:
        writer.execute("PRAGMA cache_size = 1")
        writer.execute("UPDATE rows SET word = 'never committed' || hex(randomblob(2000))")
        # Pages have left the small cache for the file; a copy now is what a power cut leaves.
        for suffix in ("", "-journal"):
            shutil.copy(f"{path}{suffix}", tmp_path / f"a.db{suffix}")
    with pytest.raises(DataError, match=r"a\.db-journal"):
        read("sqlite", tmp_path, path="a.db", query=ALL)

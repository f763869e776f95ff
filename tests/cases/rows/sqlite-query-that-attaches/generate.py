import sqlite3

sqlite3.connect("modules/t/rows.db").executescript(
    "CREATE TABLE t (q, a); INSERT INTO t VALUES ('q', 'x'), ('q', 'y')"
)

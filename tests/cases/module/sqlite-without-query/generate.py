import sqlite3

sqlite3.connect("modules/t/rows.db").executescript("CREATE TABLE t (x)")

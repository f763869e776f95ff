"""The mix as DuckDB makes it, in memory, with all threads and room to spill beside the output.

Reads the modules into tables, repeats and draws by weight in the order of a hash, sorts by a hash,
copies to JSON lines. It checks no row beyond its columns, hashes no file and writes neither ledger
nor manifest. Under a memory cap, which $BENCH_CAP_BYTES tells, it is given four fifths of it, as
DuckDB gives itself of the whole memory.

    python benchmarks/by_duckdb.py CORPUS OUTPUT
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import duckdb
from corpus import SEED, CorpusModule, read_corpus

COLUMNS = (
    "{id: 'VARCHAR', category: 'VARCHAR', "
    "conversations: 'STRUCT(\"role\" VARCHAR, content VARCHAR)[]'}"
)


def main() -> None:
    """Write the mix of a corpus."""
    corpus = read_corpus(Path(sys.argv[1]))
    output = Path(sys.argv[2])
    with open_database(output.parent) as database:
        for module in corpus.modules:
            database.execute(
                f"CREATE TABLE {module.name} AS SELECT * FROM read_json("
                f"'{module.path}', format = 'newline_delimited', columns = {COLUMNS})"
            )
        parts = " UNION ALL ".join(_part(module) for module in corpus.modules)
        database.execute(
            f"COPY (SELECT id, category, conversations FROM ({parts}) "
            f"ORDER BY hash(id, copy, {SEED}, 'order')) TO '{output}' (FORMAT json)"
        )


def open_database(spill: Path) -> duckdb.DuckDBPyConnection:
    """Return a database in memory that spills to a folder and knows of a memory cap."""
    database = duckdb.connect()
    database.execute(f"SET temp_directory = '{spill}'")
    cap = int(os.environ.get("BENCH_CAP_BYTES", "0"))
    if cap:
        database.execute(f"SET memory_limit = '{cap * 4 // 5}B'")
        database.execute("SET preserve_insertion_order = false")
    return database


def _part(module: CorpusModule) -> str:
    """Return the query of a module's whole copies and of the rows drawn for its fraction."""
    copies = f"SELECT *, unnest(range({module.whole})) AS copy FROM {module.name}"
    drawn = (
        f"SELECT *, {module.whole} AS copy FROM {module.name} "
        f"ORDER BY hash(id, {SEED}, 'draw') LIMIT {module.drawn}"
    )
    return f"({copies}) UNION ALL ({drawn})"


if __name__ == "__main__":
    main()

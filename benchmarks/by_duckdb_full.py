"""Of the full job what SQL can do, as DuckDB does it, in memory and with all threads.

Parses each row, keeps what passes the checks, takes the SHA-256 of each row's messages, keeps one
of equal rows, repeats and draws by weight in the order of SHA-256 of seed, module, digest and copy,
sorts by that, writes JSON lines and hashes every one. A row that fails a check ends the run. Not
in SQL, and so not done: refusing doubled keys and lone surrogates, the order inside thoughts beyond
their counts, canonical bytes, SHA-256 of the files, Merkle tree, ledger, manifest, signature.

    python benchmarks/by_duckdb_full.py CORPUS OUTPUT
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import duckdb
from by_duckdb import COLUMNS, open_database
from corpus import LICENSE, SEED, CorpusModule, read_corpus

_CONTROL = "<[|](assistant_start|assistant_end|user_start|eot_id|start_header_id|im_start)[|]>"
_FAULT = f"""
    id IS NULL OR id = '' OR len(conversations) = 0
    OR len(list_filter(conversations, lambda turn:
        turn.role NOT IN ('system', 'user', 'assistant', 'tool')
        OR turn.content IS NULL OR turn.content = ''
        OR len(string_split(turn.content, '<think>')) <> len(string_split(turn.content, '</think>'))
        OR regexp_matches(turn.content, '{_CONTROL}'))) > 0
    OR len(list_filter(conversations, lambda turn: turn.role = 'assistant')) = 0
    OR license <> '{LICENSE}'
"""


def main() -> None:
    """Write the mix of a corpus."""
    corpus = read_corpus(Path(sys.argv[1]))
    output = Path(sys.argv[2])
    with open_database(output.parent) as database:
        _read(database, corpus.modules)
        _write(database, " UNION ALL ".join(map(_part, corpus.modules)), output)


def _read(database: duckdb.DuckDBPyConnection, modules: Sequence[CorpusModule]) -> None:
    """Make the table `usable` of all rows: each checked, hashed and there once."""
    database.execute(f"CREATE TABLE found AS {' UNION ALL '.join(map(_source, modules))}")
    faults = database.execute(f"SELECT count(*) FROM found WHERE {_FAULT}").fetchone()
    if faults != (0,):
        sys.exit(f"rows with faults: {faults}")
    database.execute(
        "CREATE TABLE usable AS SELECT * FROM found "
        "QUALIFY row_number() OVER (PARTITION BY digest ORDER BY module, id) = 1"
    )
    database.execute("DROP TABLE found")


def _source(module: CorpusModule) -> str:
    return (
        f"SELECT *, '{module.name}' AS module, '{LICENSE}' AS license, "
        f"sha256(to_json(conversations)::VARCHAR) AS digest FROM read_json('{module.path}', "
        f"format = 'newline_delimited', columns = {COLUMNS})"
    )


def _part(module: CorpusModule) -> str:
    """Return the query of a module's whole copies and of the rows drawn, each with its rank."""
    rows = f"FROM usable WHERE module = '{module.name}'"
    copies = (
        f"SELECT *, unnest(range({module.whole})) AS copy {rows} UNION ALL "
        f"(SELECT *, {module.whole} AS copy {rows} ORDER BY {_rank('draw', '0')} "
        f"LIMIT {module.drawn})"
    )
    return f"SELECT *, {_rank('order', 'copy')} AS rank FROM ({copies})"


def _rank(label: str, copy: str) -> str:
    return f"sha256(concat_ws('/', '{label}', {SEED}, module, digest, {copy}))"


def _write(database: duckdb.DuckDBPyConnection, parts: str, output: Path) -> None:
    """Write the lines in the order of their ranks, and a digest of all their digests beside."""
    line = (
        "to_json(struct_pack(category := category, id := id, license := license, "
        "messages := conversations))::VARCHAR"
    )
    database.execute(
        f"CREATE TABLE lines AS SELECT rank, {line} AS line FROM ({parts}) ORDER BY rank"
    )
    database.execute(
        f"COPY (SELECT line FROM lines) TO '{output}' "
        "(FORMAT csv, HEADER false, QUOTE '', ESCAPE '', DELIMITER '\x01')"
    )
    query = "SELECT sha256(string_agg(sha256(line), '' ORDER BY rank)) FROM lines"
    output.with_suffix(".sha256").write_text(str(database.execute(query).fetchone()))


if __name__ == "__main__":
    main()

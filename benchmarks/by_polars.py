"""The mix as polars makes it, in memory, with all threads.

Reads the modules as JSON lines of a declared schema, repeats and draws by weight, concatenates,
shuffles, writes JSON lines. It checks no row beyond its columns, hashes no file and writes neither
ledger nor manifest. A lazy query for the streaming engine was tried: it takes as long and as much
memory, for a shuffle needs every row. With `--lines` no row is parsed: lines are moved as text,
which is the least that a mix in polars can cost, and right only while no module needs a new field.

    python benchmarks/by_polars.py CORPUS OUTPUT [--lines]
"""

from __future__ import annotations

import sys
from pathlib import Path

import polars
from corpus import SEED, CorpusModule, read_corpus

_TURN = polars.Struct({"role": polars.String, "content": polars.String})
_SCHEMA = polars.Schema(
    [("id", polars.String()), ("category", polars.String()), ("conversations", polars.List(_TURN))]
)


def main() -> None:
    """Write the mix of a corpus."""
    corpus, output = read_corpus(Path(sys.argv[1])), sys.argv[2]
    as_lines = "--lines" in sys.argv[3:]
    parts = [part for module in corpus.modules for part in _parts(module, as_lines)]
    mix = polars.concat(parts).sample(fraction=1, shuffle=True, seed=SEED)
    if as_lines:
        mix.write_csv(output, include_header=False, quote_style="never")
    else:
        mix.write_ndjson(output)


def _parts(module: CorpusModule, as_lines: bool) -> list[polars.DataFrame]:
    """Return the module's whole copies, and the rows drawn for its fraction."""
    if as_lines:
        rows = polars.read_lines(module.path)
    else:
        rows = polars.read_ndjson(module.path, schema=_SCHEMA)
    parts = [rows] * module.whole
    if module.drawn:
        parts.append(rows.sample(module.drawn, seed=SEED))
    return parts


if __name__ == "__main__":
    main()

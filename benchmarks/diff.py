"""What does `teapot diff` take for two ledgers, and does its memory grow with them?

    python benchmarks/diff.py [--rows 100000 1000000 4000000] [--unnamed]

Two ledgers of so many rows are written directly, with nothing behind them: of each hundred rows,
one has another content in the second, one is missing in it and one is new, and every tenth row is
drawn in one of them only. They are compared in a process of its own, whose seconds and largest
resident memory (`ru_maxrss`, of which 75 MB are the interpreter, numpy and pyarrow) are told.
With `--unnamed` no row has an id of its own, so that rows are paired by content and row number.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from hashlib import sha256
from pathlib import Path

import pyarrow as arrow
from pyarrow import parquet

from teapot.ledgercolumns import LEDGER
from teapot.ledgerdiff import compare_ledgers
from teapot.ledgerdigest import LedgerDigest
from teapot.ledgerrows import StatedLedger

_BATCH = 1 << 16
_SOURCE = ("bench/rows", "bench-rows")


def main() -> None:
    """Print a line for each size."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--unnamed", action="store_true")
    parser.add_argument("--write", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--compare", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.write:
        for side in range(2):
            _write(options.write, side, options.rows[0], is_named=not options.unnamed)
        return
    if options.compare:
        _compare(options.compare)
        return
    print("| rows a side | seconds | peak MB | changed | added | removed |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: |")
    for rows in options.rows:
        with tempfile.TemporaryDirectory(prefix="teapot-bench-") as folder:
            # each in a process of its own: what a parent holds counts in its child's `ru_maxrss`
            given = ["--rows", str(rows), *(["--unnamed"] if options.unnamed else [])]
            subprocess.run([sys.executable, __file__, "--write", folder, *given], check=True)
            command = [sys.executable, __file__, "--compare", folder]
            ran = subprocess.run(command, check=True, capture_output=True, text=True)
            told = json.loads(ran.stdout)
            print(f"| {rows:,} | {told['seconds']:.2f} | {told['peak'] / 1e6:.0f} | "
                  + " | ".join(f"{told[kind]:,}" for kind in ("changed", "added", "removed"))
                  + " |", flush=True)  # fmt: skip


def _compare(folder: Path) -> None:
    stated = []
    for side in range(2):
        value = json.loads((folder / f"{side}.json").read_text())
        stated.append(StatedLedger(path=folder / f"{side}.parquet", **value))
    start = time.perf_counter()
    changes = compare_ledgers(*stated, [_SOURCE], 3)[_SOURCE[0]]
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    counts = {kind: getattr(changes, kind) for kind in ("changed", "added", "removed")}
    print(json.dumps({"seconds": seconds, "peak": peak, **counts}))


def _write(folder: Path, side: int, rows: int, *, is_named: bool) -> None:
    """Write a ledger, and beside it what a manifest would state of it."""
    digest, written, lines = LedgerDigest(LEDGER.names), 0, 0
    with parquet.ParquetWriter(folder / f"{side}.parquet", LEDGER, compression="zstd") as file:
        numbers = [n for n in range(rows) if n % 100 != 7 + side]
        for start in range(0, len(numbers), _BATCH):
            made = [
                _row(written + place + 1, n, side, is_named=is_named)
                for place, n in enumerate(numbers[start : start + _BATCH])
            ]
            batch = arrow.RecordBatch.from_pylist(made, schema=LEDGER)
            digest.update(batch)
            file.write_batch(batch)
            written += len(made)
            lines += sum(len(row["lines"]) for row in made)
    value = {"rows": written, "rows_sha256": digest.hexdigest(), "lines": lines}
    (folder / f"{side}.json").write_text(json.dumps(value))


def _row(number: int, n: int, side: int, *, is_named: bool) -> dict[str, object]:
    content = sha256(f"{n} {side if n % 100 == 3 else ''}".encode()).hexdigest()
    is_drawn = n % 10 != side
    return {
        "module": _SOURCE[0], "source": _SOURCE[1], "row": number,
        "id": f"row-{n:012d}" if is_named else f"{_SOURCE[1]}-{content[:16]}",
        "content_digest": content, "license": "MIT", "fate": "kept" if is_drawn else "dropped",
        "reason": None if is_drawn else "not-drawn", "detail": None, "repairs": [],
        "digest_before": None, "record_digest": content, "occurrence": 0,
        "lines": [number] if is_drawn else [],
    }  # fmt: skip


if __name__ == "__main__":
    main()

"""How many planted near duplicates does `duplicates: {match: near}` find, and at what cost?

    python benchmarks/dedup.py [--rows 100000]

Texts of Zipf-distributed words are written, and beside each tenth a copy in which some words are
replaced. The true Jaccard similarity of each planted pair, and of each row that was dropped to the
twin which the ledger names for it, is counted from sets of runs of five words, by code of its own.
A pair is found where not both of its rows are kept.

The baseline is what datasketch's documentation shows: a MinHash from each text's runs, asked of a
`MinHashLSH` and put into it where nothing was found. Every method runs in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from datasketch import MinHash, MinHashLSH

import teapot
from teapot.ledger import read_ledger

THRESHOLD, NGRAM, PERMUTATIONS = 0.8, 5, 128
_WORDS = 50_000
_EDGES = (0.0, 0.5, 0.7, 0.75, 0.8, 0.85, 0.9, 1.0)
_METHODS = ("teapot near", "teapot exact", "datasketch")


def main() -> None:
    """Print what each method found, and what it took."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--method", choices=_METHODS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.method:
        _run(options.method, options.folder)
        return
    with tempfile.TemporaryDirectory(prefix="teapot-bench-") as folder:
        texts, pairs = _write(Path(folder), options.rows)
        told = {name: _measured(name, Path(folder)) for name in _METHODS}
    print(f"{len(texts):,} rows, {len(pairs):,} of them planted beside another\n")
    print("| method | seconds | times exact | peak MB | dropped |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for name, result in told.items():
        ratio = result["seconds"] / told["teapot exact"]["seconds"]
        dropped = len(result["dropped"])
        print(f"| {name} | {result['seconds']:.1f} | {ratio:.1f} | {result['peak_mb']:.0f} | "
              f"{dropped:,} |")  # fmt: skip
    _print_found(texts, pairs, told)
    _print_precision(texts, told["teapot near"]["twins"])


def _print_found(
    texts: dict[str, str], pairs: list[tuple[str, str]], told: dict[str, dict[str, object]]
) -> None:
    """Print the share of planted pairs that were found, by their true similarity."""
    similar = [(_jaccard(texts[a], texts[b]), a, b) for a, b in pairs]
    names = ("teapot near", "datasketch")
    print("\n| true similarity | pairs | " + " | ".join(f"found by {n}" for n in names) + " |")
    print("| --- | ---: | ---: | ---: |")
    for low, high in pairwise(_EDGES):
        inside = [(a, b) for s, a, b in similar if low <= s < high or s == high == 1]
        if not inside:
            continue
        shares = []
        for name in names:
            dropped = set(told[name]["dropped"])  # type: ignore[call-overload]
            shares.append(sum(bool({a, b} & dropped) for a, b in inside) / len(inside))
        print(f"| {low:.2f} to {high:.2f} | {len(inside):,} | "
              + " | ".join(f"{share:.1%}" for share in shares) + " |")  # fmt: skip


def _print_precision(texts: dict[str, str], twins: dict[str, str]) -> None:
    """Print how alike the dropped rows are to the twins that the ledger names."""
    found = [_jaccard(texts[name], texts[twin]) for name, twin in twins.items()]
    print(f"\nof {len(found):,} rows dropped for a twin, the true similarity to it is")
    for least in (THRESHOLD, THRESHOLD - 0.05, THRESHOLD - 0.1):
        print(f"{sum(one >= least for one in found) / len(found):.2%} at least {least:.2f}")


def _measured(method: str, folder: Path) -> dict[str, object]:
    command = [sys.executable, __file__, "--method", method, "--folder", str(folder)]
    ran = subprocess.run(command, check=True, capture_output=True, text=True)
    told: dict[str, object] = json.loads(ran.stdout)
    return told


def _run(method: str, folder: Path) -> None:
    start = time.perf_counter()
    result = _by_datasketch(folder) if method == "datasketch" else _by_teapot(method, folder)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    print(json.dumps({"seconds": seconds, "peak_mb": peak, **result}))


def _by_teapot(method: str, folder: Path) -> dict[str, object]:
    match = method.removeprefix("teapot ")
    config = {
        "modules": {"bench/rows": True}, "license": {"allowed": ["MIT"]},
        "duplicates": {"policy": "drop", "match": match},
    }  # fmt: skip
    (folder / f"{match}.config").write_text(json.dumps(config))
    made = teapot.compose(
        folder / f"{match}.config", teapot.MixOptions(keep_parts=False),
        output=folder / f"{match}.jsonl",
    )  # fmt: skip
    names, twins = {}, {}
    rows = [row for batch in read_ledger(made.paths.ledger) for row in batch]
    for row in rows:
        names[row["row"]] = row["id"]
    for row in rows:
        if row["fate"] == "dropped":
            number = row["detail"].split(" row ")[1].split(",")[0]
            twins[row["id"]] = names[int(number)]
    return {"dropped": list(twins), "twins": twins}


def _by_datasketch(folder: Path) -> dict[str, object]:
    lsh, dropped = MinHashLSH(threshold=THRESHOLD, num_perm=PERMUTATIONS), []
    with (folder / "rows.jsonl").open() as file:
        for line in file:
            row = json.loads(line)
            made = MinHash(num_perm=PERMUTATIONS)
            made.update_batch([run.encode() for run in _runs(_said(row))])
            if lsh.query(made):
                dropped.append(row["id"])
            else:
                lsh.insert(row["id"], made)
    return {"dropped": dropped}


def _write(folder: Path, rows: int) -> tuple[dict[str, str], list[tuple[str, str]]]:
    """Write the module; return the texts by id, and the ids of planted pairs."""
    chance, texts, pairs = random.Random(11), {}, []
    with (folder / "rows.jsonl").open("w") as file:
        for row, base in _rows(chance, rows):
            file.write(json.dumps(row) + "\n")
            texts[row["id"]] = _said(row)
            if base is not None:
                pairs.append((row["id"], base))
    module = {
        "name": "bench/rows", "version": "1", "description": "Made up.", "license": "MIT",
        "sources": [{"id": "rows", "kind": "jsonl", "path": "../../rows.jsonl"}],
    }  # fmt: skip
    path = folder / "modules/bench/rows.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(module))
    return texts, pairs


def _rows(chance: random.Random, rows: int) -> Iterator[tuple[dict[str, object], str | None]]:
    """Yield rows, and for each eleventh the id of the one it was made of."""
    weights = [1 / (rank + 2) for rank in range(_WORDS)]
    for number in range(rows * 10 // 11):
        words = chance.choices(
            range(_WORDS), weights, k=max(20, int(chance.lognormvariate(5, 0.6)))
        )
        yield _row(f"r{number}", words), None
        if number % 10 == 0:
            rate = chance.uniform(0, 0.06)
            changed = [
                chance.randrange(_WORDS) if chance.random() < rate else word for word in words
            ]
            yield _row(f"p{number}", changed), f"r{number}"


def _row(identity: str, words: list[int]) -> dict[str, object]:
    said = [f"w{word}" for word in words]
    half = len(said) // 3
    turns = [("user", said[:half]), ("assistant", said[half:])]
    messages = [{"role": role, "content": " ".join(part)} for role, part in turns]
    return {"id": identity, "messages": messages}


def _said(row: dict[str, object]) -> str:
    return " ".join(turn["content"] for turn in row["messages"])  # type: ignore[attr-defined]


def _runs(text: str) -> set[str]:
    words = text.split()
    return {" ".join(words[n : n + NGRAM]) for n in range(len(words) - NGRAM + 1)}


def _jaccard(one: str, other: str) -> float:
    first, second = _runs(one), _runs(other)
    return len(first & second) / len(first | second)


if __name__ == "__main__":
    main()

"""How much longer than the tokenizer alone does `teapot encode` take?

    pip install -e '.[tokens,train]' psutil hypothesis
    python benchmarks/encode.py [--rows 3700 100000] [--folder DIR] [--runs 3] [--tokenizer DIR]

For each size a mix is composed and signed. The floor is a process that has the rendered texts and
only tokenises them, in the batches that `encode` uses; starting up and reading are not counted for
it. `teapot encode` verifies the composition, reads and renders every row, tokenises it, makes the
labels, hashes and writes them. Runs alternate, the best counts; the claim is the ratio. Without
--tokenizer a small one is trained, which makes more tokens of a text than a real one would.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from corpus import find_or_make
from measure import Cost, Failed, Place, measure

_BASE = "apertus"
_BATCH_ROWS = 256
_MEGABYTE = 1_000_000
_FLOOR = f"""
import json, sys, time
from pathlib import Path
from teapot.plugins import load_trainer
from teapot_trainers.tokenization import read_tokenizer
trainer, _ = load_trainer({_BASE!r})
tokenizer = read_tokenizer(trainer.base, Path(sys.argv[2]))
seconds = tokens = 0
with open(sys.argv[1], "rb") as file:
    while lines := [line for line, _ in zip(file, range({_BATCH_ROWS}))]:
        texts = [trainer.render(json.loads(line)["messages"]).text for line in lines]
        begin = time.perf_counter()
        tokens += sum(len(encoding.ids) for encoding in tokenizer.encode(texts))
        seconds += time.perf_counter() - begin
print(json.dumps({{"seconds": seconds, "tokens": tokens}}))
"""


def main() -> None:
    """Print a line for every size that the command line asks for."""
    parser = argparse.ArgumentParser(description="Compare `teapot encode` with its tokenizer.")
    parser.add_argument("--rows", type=int, nargs="+", default=[3700])
    parser.add_argument("--folder", type=Path, default=Path("build/bench"))
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--tokenizer", type=Path)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    tokenizer = arguments.tokenizer or _small_tokenizer(arguments.folder)
    print(f"{os.cpu_count()} processors")
    print("     rows,       tokens: encode; x the tokenizer alone; peak MB of all processes")
    for rows in arguments.rows:
        _compare(arguments.folder.resolve(), rows, arguments.runs, tokenizer.resolve())


def _compare(folder: Path, rows: int, runs: int, tokenizer: Path) -> None:
    corpus = find_or_make(folder / f"rows-{rows}", rows)
    with tempfile.TemporaryDirectory(prefix="encode-", dir=folder) as temporary:
        environment = {**os.environ, "XDG_CONFIG_HOME": str(Path(temporary, "config"))}
        data = Path(temporary, "mix.jsonl")
        teapot = [sys.executable, "-m", "teapot"]
        compose = [*teapot, "compose", str(corpus.config), "-o", str(data), "--quiet"]
        subprocess.run(compose, env=environment, check=True, stdout=subprocess.DEVNULL)
        place = Place(folder=Path(temporary), environment=environment, limit_seconds=3600)
        encode = [*teapot, "encode", str(data), "--base", _BASE, "--tokenizer", str(tokenizer)]
        costs: list[Cost] = []
        floors: list[float] = []
        for _ in range(runs):
            said = subprocess.check_output(
                [sys.executable, "-c", _FLOOR, str(data), str(tokenizer)], env=environment
            )
            floor = json.loads(said)
            floors.append(floor["seconds"])
            cost = measure([*encode, "--quiet"], place)
            if isinstance(cost, Failed):
                sys.exit(f"encode failed: {cost.reason}")
            costs.append(cost)
            for made in Path(temporary).glob(f"mix.{_BASE}.*"):
                made.unlink()
    took, alone = min(cost.seconds for cost in costs), min(floors)
    memory = max(cost.peak_bytes for cost in costs) / _MEGABYTE
    ratio = f"{took / alone:5.2f} x {alone:.2f} s"
    print(
        f"{rows:>9,}, {floor['tokens']:>12,}: {took:6.2f} s; {ratio}; {memory:4.0f} MB", flush=True
    )


def _small_tokenizer(folder: Path) -> Path:
    """Write a tokenizer such as the tests train, and return its file."""
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from teapot.plugins import load_trainer
    from tests.support.tokenizers import tokenizer_json

    file = folder / "tokenizer.json"
    file.write_text(tokenizer_json(load_trainer(_BASE)[0].base), encoding="utf-8")
    return file


if __name__ == "__main__":
    main()

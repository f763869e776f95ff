"""How much longer than the floor does a mix take? Teapot, Hugging Face `datasets` and DuckDB.

    pip install -e . datasets duckdb psutil
    python benchmarks/compose.py [--rows 3700 100000 1000000] [--folder DIR] [--runs 3]

The floor reads and hashes the corpus, writes as many bytes as the mix has and hashes those. Every
contender runs in a process of its own, from start to exit, the corpus in the page cache; the rounds
alternate and the best of all runs counts. Of every output the lines of each module are counted: a
contender that fails, or that writes other than the mix, stands in the table with the reason. The
claim is the ratio; seconds are those of one machine on one day. Where others use the machine, the
ratio of processor time says more than that of wall time.

Not alike, so read with care: DuckDB uses all processors, the others one; Teapot alone checks every
row, hashes sources and lines, writes ledger and manifest and waits for the disk (fsync) in the end.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from corpus import Corpus, find_or_make

if find_spec("psutil") is None:
    sys.exit("benchmarks/compose.py watches memory with psutil: pip install psutil")

from measure import Cost, Failed, Place, measure

_HERE = Path(__file__).resolve().parent
_MEGABYTE = 1_000_000
_ROW_ID = re.compile(rb'"id": ?"([a-z])-\d{8}"')
_BARE = "import time; time.sleep(0.5)"
Command = Callable[[Corpus, Path], list[str]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Contender:
    """One way to make the mix.

    `package` must be installed; `companions` are the files that lie beside the output.
    """

    name: str
    command: Command
    package: str | None = None
    companions: tuple[str, ...] = ()
    writes_lines: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """The best run of a contender and how much longer its worst took."""

    best: Cost
    spread: float


def _script(name: str) -> Command:
    """Return the command of a script beside this one."""
    return lambda corpus, output: [
        sys.executable, str(_HERE / name), str(corpus.folder), str(output),
    ]  # fmt: skip


def _teapot(corpus: Corpus, output: Path) -> list[str]:
    return [sys.executable, "-m", "teapot", "compose", str(corpus.config), "-o", str(output)]


CONTENDERS = (
    Contender(name="floor", command=_script("floor.py"), writes_lines=False),
    Contender(
        name="teapot",
        command=_teapot,
        package="teapot",
        companions=("mix.ledger.parquet", "mix.manifest.json"),
    ),
    Contender(name="datasets", command=_script("by_datasets.py"), package="datasets"),
    Contender(name="duckdb", command=_script("by_duckdb.py"), package="duckdb"),
)


def main() -> None:
    """Print the table for every size that the command line asks for."""
    arguments = _parser().parse_args()
    chosen = [contender for contender in CONTENDERS if contender.name in {"floor", *arguments.only}]
    folder: Path = arguments.folder
    folder.mkdir(parents=True, exist_ok=True)
    bare = _bare_interpreter(folder)
    print(_machine(), f"a bare interpreter takes {bare / _MEGABYTE:.1f} MB", _HEAD, sep="\n")
    for rows in arguments.rows:
        _say(f"{rows:,} rows: making or finding the corpus")
        corpus = find_or_make(folder / f"rows-{rows}", rows)
        results = _compare(corpus, chosen, runs=arguments.runs, limit_seconds=arguments.limit)
        print(*_table(corpus, results, bare), sep="\n", flush=True)


def _compare(
    corpus: Corpus, chosen: list[Contender], *, runs: int, limit_seconds: float
) -> dict[str, Result | Failed]:
    """Return what each contender took, run in turns; one that fails is not run again."""
    costs: dict[str, list[Cost]] = {contender.name: [] for contender in chosen}
    failures: dict[str, Failed] = {}
    for number in range(1, runs + 1):
        for contender in chosen:
            if contender.name in failures:
                continue
            _say(f"{corpus.rows:,} rows: {contender.name}, run {number} of {runs}")
            outcome = _run(contender, corpus, limit_seconds)
            if isinstance(outcome, Failed):
                failures[contender.name] = outcome
            else:
                costs[contender.name].append(outcome)
    return {name: failures.get(name) or _best(costs[name]) for name in costs}


def _best(costs: list[Cost]) -> Result:
    best = min(costs, key=lambda cost: cost.seconds)
    return Result(best=best, spread=max(cost.seconds for cost in costs) / best.seconds)


def _run(contender: Contender, corpus: Corpus, limit_seconds: float) -> Cost | Failed:
    """Run a contender once in an empty folder beside the corpus, and look at what it wrote."""
    if contender.package and find_spec(contender.package) is None:
        wanted = "-e ." if contender.package == "teapot" else contender.package
        return Failed(f"not installed: pip install {wanted}")
    _warm(corpus)
    folder = Path(tempfile.mkdtemp(prefix=f"{contender.name}-", dir=corpus.folder.parent))
    try:
        place = Place(folder=folder, environment=_environment(folder), limit_seconds=limit_seconds)
        output = folder / "mix.jsonl"
        cost = measure(contender.command(corpus, output), place)
        if isinstance(cost, Cost):
            return _checked(contender, corpus, output) or cost
        return cost
    finally:
        shutil.rmtree(folder)


def _environment(folder: Path) -> dict[str, str]:
    """Return an environment with empty caches, in which nothing asks the network."""
    return {
        **os.environ,
        "HF_HOME": str(folder / "huggingface"),
        "HF_DATASETS_CACHE": str(folder / "huggingface" / "datasets"),
        "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    }


def _checked(contender: Contender, corpus: Corpus, output: Path) -> Failed | None:
    """Return what is wrong with an output: it must hold the mix, line for line of each module."""
    wanted = [output, *(output.with_name(name) for name in contender.companions)]
    missing = [path.name for path in wanted if not path.is_file()]
    if missing:
        return Failed(f"ended well but did not write {', '.join(missing)}")
    if not contender.writes_lines:
        size = output.stat().st_size
        return None if size == corpus.mix_bytes else Failed(f"wrote {size:,} bytes")
    found = _lines_by_module(output)
    return None if found == corpus.lines else Failed(f"wrote lines {found}, not {corpus.lines}")


def _lines_by_module(output: Path) -> dict[str, int]:
    counts: Counter[str] = Counter()
    with output.open("rb") as file:
        for line in file:
            match = _ROW_ID.search(line)
            counts[match.group(1).decode() if match else "no id"] += 1
    return dict(sorted(counts.items()))


def _warm(corpus: Corpus) -> None:
    """Read the corpus once, so that no contender pays for the disk alone."""
    block = bytearray(1 << 20)
    for module in corpus.modules:
        with module.path.open("rb", buffering=0) as file:
            while file.readinto(block):
                pass


def _bare_interpreter(folder: Path) -> int:
    """Return the resident bytes of an interpreter that does nothing."""
    with tempfile.TemporaryDirectory(dir=folder) as inside:
        place = Place(folder=Path(inside), environment=os.environ, limit_seconds=60)
        cost = measure([sys.executable, "-c", _BARE], place)
    if isinstance(cost, Failed):
        sys.exit(f"the interpreter does not start: {cost.reason}")
    return cost.peak_bytes


_HEAD = (
    "\n     rows  contender   × floor  cpu × floor   seconds  worst/best   cpu s   peak MB"
    "  private MB  above bare MB"
)


def _table(corpus: Corpus, results: dict[str, Result | Failed], bare: int) -> Iterator[str]:
    """Yield a line for each contender, and one for what all of them read and wrote."""
    floor = results["floor"]
    for name, result in results.items():
        start = f"{corpus.rows:>9,}  {name:<9}"
        if isinstance(result, Failed):
            yield f"{start}  failed: {result.reason}"
        elif isinstance(floor, Failed):
            yield f"{start} no ratio, the floor failed {_figures(result, bare)}"
        else:
            ratio = result.best.seconds / floor.best.seconds
            cpu_ratio = result.best.cpu_seconds / floor.best.cpu_seconds
            yield f"{start} {ratio:9.2f} {cpu_ratio:12.2f} {_figures(result, bare)}"
    lines = sum(corpus.lines.values())
    yield (
        f"{'':9}  read {corpus.bytes:,} bytes, wrote {lines:,} lines of {corpus.mix_bytes:,} bytes"
        f" before added fields; load {os.getloadavg()[0]:.1f} at the end"
    )


def _figures(result: Result, bare: int) -> str:
    cost = result.best
    above = max(0, cost.peak_bytes - bare)
    return (
        f"{cost.seconds:9.2f} {result.spread:11.2f} {cost.cpu_seconds:7.2f}"
        f" {cost.peak_bytes / _MEGABYTE:9.0f} {cost.private_bytes / _MEGABYTE:11.0f}"
        f" {above / _MEGABYTE:14.0f}"
    )


def _machine() -> str:
    version = ".".join(map(str, sys.version_info[:3]))
    load = os.getloadavg()[0]
    return f"Python {version}, {os.cpu_count()} processors, load {load:.1f} before the first run"


def _parser() -> argparse.ArgumentParser:
    names = [contender.name for contender in CONTENDERS]
    parser = argparse.ArgumentParser(description="Compare ways to make a mix with the floor.")
    parser.add_argument("--rows", type=int, nargs="+", default=[3700, 100_000, 1_000_000])
    parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="NAME",
                        help=f"these beside the floor: {', '.join(names[1:])}")  # fmt: skip
    parser.add_argument("--runs", type=int, default=3, help="of each; the best one counts")
    parser.add_argument("--limit", type=float, default=3600.0, help="seconds a run may take")
    parser.add_argument("--folder", type=Path, help="where corpora and outputs lie",
                        default=Path(tempfile.gettempdir()) / "teapot-benchmark")  # fmt: skip
    return parser


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()

"""The ways to make the mix that are compared, and whether one has made it.

Each runs once in an empty folder, with empty caches, no keys and no network, the corpus in the page
cache. Teapot does its full job: ledger, manifest and a signature by a key that it makes there.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from corpus import Corpus
from goals import FULL_JOB, ONE_WORKER, Goal
from measure import Cap, Cost, Failed, Place, Wrong, measure
from mixcheck import fault_of

_HERE = Path(__file__).resolve().parent
Command = Callable[[Corpus, Path], list[str]]
_BESIDE = ("mix.ledger.parquet", "mix.manifest.json", "mix.manifest.sigstore.json")


@dataclass(frozen=True, kw_only=True, slots=True)
class Contender:
    """One way to make the mix.

    `package` must be installed; `beside` are the files that lie beside the output. One that is
    `prepared` runs once before it is measured, and keeps what that left in its caches.
    """

    name: str
    command: Command
    package: str | None = None
    beside: tuple[str, ...] = ()
    goal: Goal | None = None
    writes_lines: bool = True
    prepared: bool = False


def _script(name: str, *more: str) -> Command:
    """Return the command of a script beside this one."""
    return lambda corpus, output: [
        sys.executable, str(_HERE / name), str(corpus.folder), str(output), *more,
    ]  # fmt: skip


def teapot_compose(workers: int) -> Command:
    """Return the command of a full, signed compose."""
    return lambda corpus, output: [
        sys.executable, "-m", "teapot", "compose", str(corpus.config), "-o", str(output), "--quiet",
        *(["--workers", str(workers)] if has_workers() else []),
    ]  # fmt: skip


@cache
def has_workers() -> bool:
    """Return whether the installed Teapot lets one say how many workers it takes."""
    command = [sys.executable, "-m", "teapot", "compose", "--help"]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    return "--workers" in said


FLOOR = Contender(name="floor", command=_script("floor.py"), writes_lines=False)
SYNCED_FLOOR = Contender(
    name="floor, synced", command=_script("floor.py", "--sync"), writes_lines=False
)
TEAPOT = Contender(
    name="teapot, 2 workers", command=teapot_compose(2), package="teapot", beside=_BESIDE,
    goal=FULL_JOB,
)  # fmt: skip
TEAPOT_ALONE = Contender(
    name="teapot, 1 worker", command=teapot_compose(1), package="teapot", beside=_BESIDE,
    goal=ONE_WORKER,
)  # fmt: skip
TEAPOT_AGAIN = Contender(
    name="teapot, 2 workers, again (cache)", command=teapot_compose(2), package="teapot",
    beside=_BESIDE, prepared=True,
)  # fmt: skip
POLARS = Contender(name="polars, mix only", command=_script("by_polars.py"), package="polars")
POLARS_LINES = Contender(
    name="polars, lines unparsed", command=_script("by_polars.py", "--lines"), package="polars"
)
DUCKDB = Contender(name="duckdb, mix only", command=_script("by_duckdb.py"), package="duckdb")
DUCKDB_FULL = Contender(
    name="duckdb, full as SQL can", command=_script("by_duckdb_full.py"), package="duckdb"
)
DATASETS = Contender(name="datasets, cold", command=_script("by_datasets.py"), package="datasets")
PYTHON = Contender(
    name="python, in memory", command=_script("by_python.py"), package="jsonschema_rs"
)
FLOORS = (FLOOR, SYNCED_FLOOR)
OTHERS = (
    TEAPOT, TEAPOT_ALONE, TEAPOT_AGAIN, POLARS, POLARS_LINES, DUCKDB, DUCKDB_FULL, DATASETS, PYTHON,
)  # fmt: skip


def run(
    contender: Contender, corpus: Corpus, *, limit_seconds: float, cap: Cap | None = None
) -> Cost | Failed:
    """Run a contender once and look at what it wrote."""
    if contender.package and find_spec(contender.package) is None:
        wanted = "-e ." if contender.package == "teapot" else contender.package
        return Failed(f"not installed: pip install {wanted}")
    with new_place(corpus.folder.parent, limit_seconds, cap) as place:
        return _run(contender, corpus, place)


@contextmanager
def new_place(beside: Path, limit_seconds: float, cap: Cap | None = None) -> Iterator[Place]:
    """Give an empty folder in another, with empty caches, for as long as it is needed."""
    folder = Path(tempfile.mkdtemp(prefix="run-", dir=beside))
    try:
        yield Place(
            folder=folder, environment=_environment(folder), limit_seconds=limit_seconds,
            cap=cap,
        )  # fmt: skip
    finally:
        shutil.rmtree(folder)


def _run(contender: Contender, corpus: Corpus, place: Place) -> Cost | Failed:
    if contender.prepared:
        before = place.folder / "before"
        before.mkdir()
        prepared = measure(contender.command(corpus, before / "mix.jsonl"), place)
        if isinstance(prepared, Failed):
            return prepared
    warm(corpus)
    output = place.folder / "mix.jsonl"
    cost = measure(contender.command(corpus, output), place)
    if isinstance(cost, Failed):
        return cost
    return _checked(contender, corpus, output) or cost


def _environment(folder: Path) -> dict[str, str]:
    """Return an environment with empty caches and no keys, in which nothing asks the network."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TEAPOT_")}
    return {
        **kept,
        "XDG_CONFIG_HOME": str(folder / "config"),
        "XDG_CACHE_HOME": str(folder / "cache"),
        "HF_HOME": str(folder / "huggingface"),
        "HF_DATASETS_CACHE": str(folder / "huggingface" / "datasets"),
        "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    }


def _checked(contender: Contender, corpus: Corpus, output: Path) -> Wrong | None:
    """Return what is wrong with an output: all files must be there and hold the mix."""
    wanted = [output, *(output.with_name(name) for name in contender.beside)]
    missing = [path.name for path in wanted if not path.is_file()]
    if missing:
        return Wrong(f"ended well but did not write {', '.join(missing)}")
    if not contender.writes_lines:
        size = output.stat().st_size
        return None if size == corpus.mix_bytes else Wrong(f"wrote {size:,} bytes")
    fault = fault_of(output, corpus)
    return Wrong(fault) if fault else None


def warm(corpus: Corpus) -> None:
    """Read the corpus once, so that no contender pays for the disk alone."""
    block = bytearray(1 << 20)
    for module in corpus.modules:
        with module.path.open("rb", buffering=0) as file:
            while file.readinto(block):
                pass

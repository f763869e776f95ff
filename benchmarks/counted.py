"""What a command takes, in numbers that do not hang on what else the machine does.

    pip install -e . psutil        (and valgrind, for the instructions)
    python benchmarks/counted.py [--folder DIR]

Instructions are those that valgrind's cachegrind counts, with one worker and a fixed hash seed.
`--help` gave the same number in two runs by hand; a compose, which makes a key and a signature, has
differed by 0.3 % between two tables, so that a change of one per cent shows and less may not. They
are not time, and valgrind hides a processor's SHA instructions, so that hashing counts more than it
costs. Bytes are those of all system calls that
read and write, those that start Python among them; what is mapped into memory is not counted.
Compare with the numbers of the same Python on the same kind of processor.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence

from contenders import TEAPOT_ALONE, new_place, run
from corpus import Corpus, find_or_make
from goals import MEDIUM_ROWS
from measure import Failed, Place
from options import Options, machine, read_options, say
from startup import COMMANDS
from table import MEGABYTE, Line, Result, failed_line, print_table

_VALGRIND = (
    "valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null",
)  # fmt: skip
_COUNT = re.compile(r"I\s+refs:\s+([\d,]+)")
_COMPOSE = "teapot compose, 1 worker"


def main() -> None:
    """Print the table."""
    options = read_options((__doc__ or "").splitlines()[0])
    print(machine(), end="\n\n")
    sys.exit(not print_table(counted_lines(options)))


def counted_lines(options: Options) -> Iterator[Line]:
    """Yield bytes and memory of a compose, and the instructions of each command."""
    corpus = find_or_make(options.folder / f"rows-{MEDIUM_ROWS}", MEDIUM_ROWS)
    yield from _byte_lines(corpus, options)
    if not shutil.which("valgrind"):
        yield Line(rows=0, name="instructions", measured="not counted: valgrind is not installed")
        return
    with new_place(options.folder, options.limit_seconds) as place:
        for name, words in COMMANDS.items():
            yield _instruction_line(0, name, words, place)
        words = TEAPOT_ALONE.command(corpus, place.folder / "mix.jsonl")
        yield _instruction_line(MEDIUM_ROWS, _COMPOSE, words, place)


def _byte_lines(corpus: Corpus, options: Options) -> Iterator[Line]:
    say("bytes of a compose")
    cost = run(TEAPOT_ALONE, corpus, limit_seconds=options.limit_seconds)
    if isinstance(cost, Failed):
        yield failed_line(corpus.rows, _COMPOSE, cost)
        return
    if cost.read_bytes is None or cost.written_bytes is None:
        yield Line(rows=corpus.rows, name=_COMPOSE, measured="bytes not counted: no /proc")
        return
    measured = (
        f"reads {cost.read_bytes / MEGABYTE:.2f} MB (corpus {corpus.bytes / MEGABYTE:.2f}), "
        f"writes {cost.written_bytes / MEGABYTE:.2f} MB (mix {corpus.mix_bytes / MEGABYTE:.2f})"
    )
    result = Result(best=cost, spread=1.0)
    yield Line(rows=corpus.rows, name=f"{_COMPOSE}: bytes", measured=measured, result=result)


def _instruction_line(rows: int, name: str, words: Sequence[str], place: Place) -> Line:
    say(f"instructions of {name}")
    environment = {**place.environment, "PYTHONHASHSEED": "0"}
    ended = subprocess.run(
        [*_VALGRIND, *words], env=environment, cwd=place.folder, stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False,
        timeout=place.limit_seconds,
    )  # fmt: skip
    counts = [int(count.replace(",", "")) for count in _COUNT.findall(ended.stderr)]
    name = f"{name}: instructions"
    if ended.returncode or not counts:
        lines = ended.stderr.strip().splitlines() or ["it said nothing"]
        return failed_line(rows, name, Failed(f"exit {ended.returncode}: {lines[-1]}"))
    return Line(rows=rows, name=name, measured=f"{sum(counts) / MEGABYTE:,.1f} M instructions")


if __name__ == "__main__":
    main()

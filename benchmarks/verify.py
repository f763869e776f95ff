"""How much longer than one SHA-256 of the data file does a verification take?

    pip install -e . psutil
    python benchmarks/verify.py [--rows 3700 100000 1000000] [--folder DIR] [--runs 3]

For each size a mix is composed and signed, and moved to a folder of its own, as it is handed to
somebody who has no sources. There are two floors, each a process that hashes the data file and does
nothing else: Python's hashlib (OpenSSL, which uses a processor's SHA instructions) and coreutils'
`sha256sum`, where it is installed. `teapot verify` checks the signature, hashes the file and every
line, builds two Merkle trees and reads the ledger. Rounds alternate, the best of all runs counts;
the claims are the ratios.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from functools import partial

from corpus import find_or_make
from goals import VERIFY
from measure import Failed, measure
from options import Options, machine, read_options, say
from rounds import handed_over, in_turns, required
from table import Line, failed_line, print_table

_HASH = (
    "import hashlib, sys\n"
    "with open(sys.argv[1], 'rb') as file:\n"
    "    print(hashlib.file_digest(file, 'sha256').hexdigest())\n"
)
_NAME, _HASHLIB, _SHA256SUM = "teapot verify", "hashlib of the data", "sha256sum of the data"


def main() -> None:
    """Print the table for every size that the command line asks for."""
    options = read_options((__doc__ or "").splitlines()[0])
    print(machine(), end="\n\n")
    sys.exit(not print_table(verify_lines(options)))


def verify_lines(options: Options) -> Iterator[Line]:
    """Yield the two floors and the verification of every size."""
    for rows in options.rows:
        say(f"{rows:,} rows: verify")
        yield from _lines(rows, options)


def _lines(rows: int, options: Options) -> Iterator[Line]:
    corpus = find_or_make(options.folder / f"rows-{rows}", rows)
    with handed_over(corpus, options.limit_seconds) as given:
        data = str(given.data)
        commands = {
            _HASHLIB: [sys.executable, "-c", _HASH, data],
            _NAME: [sys.executable, "-m", "teapot", "verify", data, "--quiet"],
        }
        if shutil.which("sha256sum"):
            commands[_SHA256SUM] = ["sha256sum", data]
        runs = {name: partial(measure, words, given.place) for name, words in commands.items()}
        results = in_turns(runs, options.runs)
    floor = required(results, _HASHLIB)
    for name, result in results.items():
        goal = VERIFY if name == _NAME else None
        if isinstance(result, Failed):
            yield failed_line(rows, name, result, goal=goal)
            continue
        ratio = result.best.seconds / floor.best.seconds
        measured = f"{ratio:.2f} × hashlib"
        yield Line(rows=rows, name=name, measured=measured, value=ratio, goal=goal, result=result)


if __name__ == "__main__":
    main()

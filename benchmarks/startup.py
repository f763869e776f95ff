"""How long does one command take where there is little to do, beside a bare interpreter?

    pip install -e . psutil
    python benchmarks/startup.py [--folder DIR] [--runs 10]

A bare interpreter, `import teapot`, `teapot --help`, and the whole compose, signed, of 3,700 rows,
which is the size of Karma Electric. Rounds alternate, the best of all runs counts. The goals are in
seconds, as a user feels them, so they hold for the machine; the ratio is what to compare elsewhere.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import partial

from contenders import TEAPOT, new_place, run
from corpus import find_or_make
from goals import HELP, MEDIUM_COMPOSE, MEDIUM_ROWS, Goal
from measure import Failed, measure
from options import Options, machine, read_options, say
from rounds import in_turns, required
from table import Line, failed_line, print_table

_RUNS = 10
_BARE, _IMPORT, _HELP, _COMPOSE = (
    "bare interpreter", "import teapot", "teapot --help", "teapot compose, whole command",
)  # fmt: skip
_GOALS: dict[str, Goal] = {_HELP: HELP, _COMPOSE: MEDIUM_COMPOSE}
COMMANDS = {
    _BARE: [sys.executable, "-c", "pass"],
    _IMPORT: [sys.executable, "-c", "import teapot"],
    _HELP: [sys.executable, "-m", "teapot", "--help"],
}


def main() -> None:
    """Print the table."""
    options = read_options((__doc__ or "").splitlines()[0])
    print(machine(), end="\n\n")
    sys.exit(not print_table(startup_lines(options)))


def startup_lines(options: Options) -> Iterator[Line]:
    """Yield each command, as seconds and as a ratio to the bare interpreter."""
    say("start-up")
    corpus = find_or_make(options.folder / f"rows-{MEDIUM_ROWS}", MEDIUM_ROWS)
    with new_place(options.folder, options.limit_seconds) as place:
        commands = {name: partial(measure, words, place) for name, words in COMMANDS.items()}
        commands[_COMPOSE] = partial(run, TEAPOT, corpus, limit_seconds=options.limit_seconds)
        results = in_turns(commands, max(options.runs, _RUNS))
    bare = required(results, _BARE)
    for name, result in results.items():
        rows, goal = (MEDIUM_ROWS if name == _COMPOSE else 0), _GOALS.get(name)
        if isinstance(result, Failed):
            yield failed_line(rows, name, result, goal=goal)
            continue
        seconds = result.best.seconds
        measured = f"{seconds:.2f} s = {seconds / bare.best.seconds:.1f} × bare interpreter"
        yield Line(rows=rows, name=name, measured=measured, value=seconds, goal=goal, result=result)


if __name__ == "__main__":
    main()

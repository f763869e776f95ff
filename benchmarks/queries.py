"""What do the commands take that answer without writing: `teapot plan` and `teapot explain`?

    pip install -e . psutil
    python benchmarks/queries.py [--rows 3700 100000 1000000] [--folder DIR] [--runs 3]

`plan` reads and judges every row, as pass one of a compose does, and writes nothing. Both start
with an empty cache; a compose that finds the cache of an earlier one has only pass two left, so
what the first compose took longer than the second stands for pass one, without starting up. The
goal is judged against the whole compose, which does not hang on a difference of two times: that it
is met is necessary, not sufficient.
`explain` answers for one id of a composition without its sources, through the ledger.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import partial

from contenders import TEAPOT, TEAPOT_AGAIN, new_place, run, warm
from corpus import Corpus, find_or_make
from goals import EXPLAIN, PLAN
from measure import Cost, Failed, Place, Wrong, measure
from options import Options, machine, read_options, say
from rounds import handed_over, in_turns
from table import Line, Result, failed_line, print_table

_TEAPOT = (sys.executable, "-m", "teapot")
_PLAN, _AGAIN = "teapot plan", "teapot plan, again (cache)"
_COMPOSE, _COMPOSE_AGAIN = "teapot compose", "teapot compose, again (cache)"


def main() -> None:
    """Print the table for every size that the command line asks for."""
    options = read_options((__doc__ or "").splitlines()[0])
    print(machine(), end="\n\n")
    sys.exit(not print_table(query_lines(options)))


def query_lines(options: Options) -> Iterator[Line]:
    """Yield plan and explain of every size."""
    for rows in options.rows:
        say(f"{rows:,} rows: plan and explain")
        corpus = find_or_make(options.folder / f"rows-{rows}", rows)
        yield from _plan_lines(corpus, options)
        yield from _explain_lines(corpus, options)


def _plan_lines(corpus: Corpus, options: Options) -> Iterator[Line]:
    limit = options.limit_seconds
    commands = {
        _PLAN: partial(_plan, corpus, limit, before=0),
        _AGAIN: partial(_plan, corpus, limit, before=1),
        _COMPOSE: partial(run, TEAPOT, corpus, limit_seconds=limit),
        _COMPOSE_AGAIN: partial(run, TEAPOT_AGAIN, corpus, limit_seconds=limit),
    }
    results = in_turns(commands, options.runs)
    compose, again = results[_COMPOSE], results[_COMPOSE_AGAIN]
    for name, goal in ((_PLAN, PLAN), (_AGAIN, None)):
        result = results[name]
        if isinstance(result, Failed):
            yield failed_line(corpus.rows, name, result, goal=goal)
        elif isinstance(compose, Result):
            ratio = result.best.seconds / compose.best.seconds
            measured = f"{ratio:.2f} × compose"
            yield Line(
                rows=corpus.rows, name=name, measured=measured, value=ratio, goal=goal,
                result=result,
            )  # fmt: skip
    if isinstance(compose, Result) and isinstance(again, Result):
        seconds = compose.best.seconds - again.best.seconds
        name = f"{_COMPOSE}, less {_COMPOSE_AGAIN}: pass one"
        yield Line(rows=corpus.rows, name=name, measured=f"{seconds:.2f} s")


def _plan(corpus: Corpus, limit_seconds: float, *, before: int) -> Cost | Failed:
    """Plan in an empty place, after so many runs before it, and look at the sum it shows."""
    with new_place(corpus.folder.parent, limit_seconds) as place:
        command = [*_TEAPOT, "plan", str(corpus.config), "--quiet"]
        for _ in range(before):
            measure(command, place)
        warm(corpus)
        return _said(f"{sum(corpus.lines.values()):,}", measure(command, place), place)


def _explain_lines(corpus: Corpus, options: Options) -> Iterator[Line]:
    module = corpus.modules[0]
    row_id = f"{module.name}-{module.rows // 2:08d}"
    with handed_over(corpus, options.limit_seconds) as given:
        command = [*_TEAPOT, "explain", str(given.data), row_id, "--json", "--quiet"]

        def explain() -> Cost | Failed:
            return _said(f'"id": "{row_id}"', measure(command, given.place), given.place)

        result = in_turns({"explain": explain}, options.runs)["explain"]
    name = "teapot explain, one id"
    if isinstance(result, Failed):
        yield failed_line(corpus.rows, name, result, goal=EXPLAIN)
        return
    seconds = result.best.seconds
    measured = f"{seconds:.2f} s"
    yield Line(
        rows=corpus.rows, name=name, measured=measured, value=seconds, goal=EXPLAIN, result=result
    )


def _said(wanted: str, cost: Cost | Failed, place: Place) -> Cost | Failed:
    """Return the cost of a command that said what it must; the claim is about an answer."""
    if isinstance(cost, Failed):
        return cost
    said = (place.folder / "log").read_text(encoding="utf-8", errors="replace")
    return cost if wanted in said else Wrong(f"did not say {wanted}")


if __name__ == "__main__":
    main()

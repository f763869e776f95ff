"""How many planted leaks does `decontaminate` find, how many records does it accuse, at what cost?

    python benchmarks/decontaminate.py [--rows 20000] [--exam 10000]

Texts of Zipf-distributed words make an evaluation set (80 words a question, 20 an answer) and
records (60 and 140 words); two of a hundred records hold a question of the set, hidden in one of
seven ways in turn. Whatever else is found is a false alarm, for no other record has 13 words in a
row in common with the set but by a chance that is nearly nothing.

The baseline is what people write: the contents of a record, lower-cased and split at white space,
and each 13 words in a row, joined, looked up in a Python set of all those of the questions. The
best of three rounds counts, in processor seconds. What `compose` takes with and without the key is
told last; each compose is a process of its own.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import accumulate
from pathlib import Path
from typing import Any

from teapot.leakindex import EvaluationRow, EvaluationSet, LeakIndex
from teapot.leaks import LeakFinder

RUN, EVERY = 13, 50
_ROUNDS = 3
_VOCABULARY = [f"{chr(97 + n % 26)}{chr(97 + n // 26 % 26)}{n}" for n in range(50_000)]
_WEIGHTS = [*accumulate(1 / (n + 1) for n in range(len(_VOCABULARY)))]
Record = dict[str, Any]


def main() -> None:
    """Print what each method found, and what it took."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--exam", type=int, default=10_000)
    parser.add_argument("--compose", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.compose:
        _compose(options.compose)
        return
    chance = random.Random(1)
    exam = [(_text(chance, 80), _text(chance, 20)) for _ in range(options.exam)]
    planted = [*_records(chance, exam, options.rows)]
    ways, records = [way for way, _ in planted], [record for _, record in planted]
    print(f"{len(records):,} records, {len(exam):,} rows in the evaluation set\n")
    teapot = _timed(_teapot(exam), records)
    plain = _timed(_plain(exam), records)
    print("| method | microseconds a record | ratio | false alarms |")
    print("| --- | ---: | ---: | ---: |")
    for name, (seconds, found) in (("teapot", teapot), ("set of joined runs", plain)):
        alarms = sum(one for one, way in zip(found, ways, strict=True) if way is None)
        each, ratio = seconds / len(records) * 1e6, seconds / plain[0]
        print(f"| {name} | {each:.0f} | {ratio:.2f} | {alarms:,} |")
    print("\n| leak | planted | teapot | set of joined runs |\n| --- | ---: | ---: | ---: |")
    counts = Counter(ways)
    hits = [Counter(w for one, w in zip(f, ways, strict=True) if one) for _, f in (teapot, plain)]
    for way in WAYS:
        shares = " | ".join(f"{100 * found[way] / max(counts[way], 1):.1f}%" for found in hits)
        print(f"| {way} | {counts[way]:,} | {shares} |")
    _print_compose(exam, records)


def _text(chance: random.Random, words: int) -> str:
    return " ".join(chance.choices(_VOCABULARY, cum_weights=_WEIGHTS, k=words))


def _chat(question: str, answer: str) -> Record:
    return {
        "messages": [
            {"role": "user", "content": question},
            {"role": "assistant", "content": answer},
        ]
    }


def _cut(question: str, answer: str, _: str) -> Record:
    words = question.split()
    made = _chat(" ".join(words[:12]), " ".join(words[12:24]))
    made["messages"] += _chat("And then?", answer)["messages"]
    return made


def _called(question: str, answer: str, asked: str) -> Record:
    made = _chat(asked, answer)
    function = {"name": "ask", "arguments": json.dumps({"q": f"č{question}"[1:]})}
    made["messages"][1:1] = [
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"type": "function", "function": function}],
        },
        {"role": "tool", "content": "none"},
    ]
    return made


def _disguised(text: str) -> str:
    return ",\u00a0 ".join(f"{word[:1]}\u200b{word[1:]}".upper() for word in text.split())


WAYS: dict[str, Callable[[str, str, str], Record]] = {
    "word for word": lambda question, answer, _: _chat(question, answer),
    "disguised": lambda question, answer, _: _chat(_disguised(question), answer),
    "inside a longer text": lambda question, answer, own: _chat(f"{own} {question} {own}", answer),
    "a part of 20 words": lambda question, answer, own: _chat(
        f"{own} {' '.join(question.split()[:20])}", answer
    ),
    "in a thought": lambda question, answer, own: _chat(
        own, f"<think>{question}</think>\n\n{answer}"
    ),
    "in a tool call": _called,
    "cut over two turns": _cut,
}


def _records(
    chance: random.Random, exam: list[tuple[str, str]], rows: int
) -> Iterator[tuple[str | None, Record]]:
    ways = list(WAYS)
    for number in range(rows):
        own, answer = _text(chance, 60), _text(chance, 140)
        if number % EVERY:
            yield None, {"id": str(number), **_chat(own, answer)}
            continue
        way = ways[number // EVERY % len(ways)]
        question = exam[chance.randrange(len(exam))][0]
        yield way, {"id": str(number), **WAYS[way](question, answer, own)}


def _teapot(exam: list[tuple[str, str]]) -> Callable[[Record], bool]:
    rows = [EvaluationRow(number, texts) for number, texts in enumerate(exam, start=1)]
    start = time.perf_counter()
    finder = LeakFinder(LeakIndex.of([EvaluationSet(name="exam", rows=rows)]))
    print(f"the index was made in {time.perf_counter() - start:.1f} seconds")
    return lambda record: finder.find(record["messages"]) is not None


def _plain(exam: list[tuple[str, str]]) -> Callable[[Record], bool]:
    known = {run for texts in exam for text in texts for run in _runs(text)}
    return lambda record: any(
        run in known for message in record["messages"] for run in _runs(message["content"])
    )


def _runs(text: str) -> list[str]:
    words = text.lower().split()
    return [" ".join(words[n : n + RUN]) for n in range(len(words) - RUN + 1)]


def _timed(is_leak: Callable[[Record], bool], records: list[Record]) -> tuple[float, list[bool]]:
    """Return the processor seconds of the best of some rounds, and what was found."""
    best = float("inf")
    for _ in range(_ROUNDS):
        start = time.process_time()
        found = [is_leak(record) for record in records]
        best = min(best, time.process_time() - start)
    return best, found


def _print_compose(exam: list[tuple[str, str]], records: list[Record]) -> None:
    """Print what a whole compose takes with and without the evaluation set."""
    print("\n| compose | processor seconds |\n| --- | ---: |")
    with tempfile.TemporaryDirectory(prefix="teapot-bench-") as name:
        folder = Path(name)
        _write(folder / "rows.jsonl", records)
        _write(folder / "exam.jsonl", [{"question": q, "answer": a} for q, a in exam])
        module = {
            "name": "b/rows", "version": "1", "description": "rows", "license": "MIT",
            "sources": [{"id": "rows", "kind": "jsonl", "path": "../../rows.jsonl"}],
        }  # fmt: skip
        (folder / "modules/b").mkdir(parents=True)
        (folder / "modules/b/rows.yaml").write_text(json.dumps(module))
        config: dict[str, Any] = {"modules": {"b/rows": True}, "license": {"allowed": "all"}}
        for label, more in (("without", {}), ("with", {"decontaminate": ["exam.jsonl"]})):
            (folder / "mix.config").write_text(json.dumps({**config, **more}))
            command = [sys.executable, __file__, "--compose", name]
            ran = subprocess.run(command, check=True, capture_output=True, text=True)
            print(f"| {label} decontaminate | {float(ran.stdout):.2f} |")


def _compose(folder: Path) -> None:
    import teapot

    start = time.process_time()
    options = teapot.MixOptions(keep_parts=False)
    teapot.compose(folder / "mix.config", options, output=folder / "out.jsonl")
    print(time.process_time() - start)


def _write(path: Path, rows: list[Record]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


if __name__ == "__main__":
    main()

"""Makes a corpus of chat rows for the benchmarks: the same bytes on every machine.

Every row is a function of its module and row number alone, drawn from SHAKE-128, so that no
random-number library decides what it holds. A row has 1.5 to 3 KB, an id, a category and one or two
exchanges; in every second row the answers open with a thought, and one sentence in three is not
ASCII. Four modules of unequal sizes, their module files and a mix of them lie in one folder:

    python benchmarks/corpus.py DIR ROWS
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from hashlib import shake_128
from pathlib import Path

VERSION = 1  # of the rows; raise it when the generator makes other bytes
LICENSE, SEED = "Apache-2.0", 42
_FACTS = "corpus.json"
_BLOCK_ROWS = 4096
_SENTENCES = 4096
_PICKS = 128  # more sentences than the longest row can hold
_SHORTEST_BYTES, _SPREAD_BYTES = 1380, 1200
_CATEGORIES = ("workplace", "health", "science", "craft", "travel", "family", "law", "software")

_SUBJECTS = (
    "the nurse", "a careful neighbour", "my older brother", "the night baker", "this small company",
    "a tired student", "the village council", "our new translator", "the harbour pilot", "a critic",
)  # fmt: skip
_VERBS = (
    "forgot", "measured", "explained", "repaired", "postponed", "questioned", "copied", "praised",
    "weighed", "translated", "refused", "delivered", "tested", "labelled", "returned", "counted",
)  # fmt: skip
_OBJECTS = (
    "the broken pump", "a long letter", "seven boxes of seed", "the winter budget", "two keys",
    "the second draft", "the warning signs", "a borrowed tool", "the safety report", "a promise",
)  # fmt: skip
_ENDINGS = (
    "before the meeting began", "because nobody else would", "without telling the others",
    "after the storm had passed", "and wrote down the reasons", "so that others could check it",
    "while the rest were asleep", "although it cost a whole day", "as the rules had asked",
)  # fmt: skip
_FOREIGN = (
    "příliš žluťoučký kůň úpěl ďábelské ódy", "Zwölf Boxkämpfer jagen Viktor über den Deich",
    "съешь ещё этих мягких французских булок", "το πρωί έβρεχε πάνω από τη θάλασσα",
    "今日は図書館で古い地図を読みました", "l’été, la mer était déjà très calme 🌊",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class CorpusModule:
    """One module: `rows` rows of `bytes` bytes in the file `path`, wanted `weight` times."""

    name: str
    path: Path
    rows: int
    bytes: int
    weight: Decimal

    @property
    def whole(self) -> int:
        """Return how many full copies the mix holds."""
        return int(self.weight)

    @property
    def drawn(self) -> int:
        """Return how many rows the mix holds once more."""
        return self.lines - self.whole * self.rows

    @property
    def lines(self) -> int:
        """Return floor(weight x rows)."""
        return int(self.weight * self.rows)


@dataclass(frozen=True, kw_only=True, slots=True)
class Corpus:
    """The modules of one folder, and what a mix of them must come to."""

    folder: Path
    modules: tuple[CorpusModule, ...]

    @property
    def config(self) -> Path:
        """Return the mix, as Teapot reads it."""
        return self.folder / "mix.config"

    @property
    def rows(self) -> int:
        """Return how many rows all modules have."""
        return sum(module.rows for module in self.modules)

    @property
    def bytes(self) -> int:
        """Return how many bytes all modules have."""
        return sum(module.bytes for module in self.modules)

    @property
    def mix_bytes(self) -> int:
        """Return the bytes of the modules times their weights: the size of the mix."""
        return sum(int(module.weight * module.bytes) for module in self.modules)

    @property
    def lines(self) -> dict[str, int]:
        """Return how many lines of the mix each module gives."""
        return {module.name: module.lines for module in self.modules}


@dataclass(frozen=True, kw_only=True, slots=True)
class _Part:
    """The share of all rows that a module has, in percent, and its weight in the mix."""

    name: str
    percent: int
    weight: str


_PARTS = (
    _Part(name="a", percent=40, weight="1.0"),
    _Part(name="b", percent=30, weight="0.3"),
    _Part(name="c", percent=10, weight="2.5"),
    _Part(name="d", percent=20, weight="1.0"),
)


def find_or_make(folder: Path, rows: int) -> Corpus:
    """Return the corpus in `folder`, made anew where it is missing, unfinished or another one."""
    facts = folder / _FACTS
    if facts.is_file():
        found = json.loads(facts.read_text(encoding="utf-8"))
        if (found["version"], found["rows"]) == (VERSION, rows):
            return read_corpus(folder)
    return make_corpus(folder, rows)


def read_corpus(folder: Path) -> Corpus:
    """Return the corpus that was made in `folder`."""
    facts = json.loads((folder / _FACTS).read_text(encoding="utf-8"))
    modules = tuple(
        CorpusModule(
            name=name, path=folder / f"{name}.jsonl", rows=found["rows"], bytes=found["bytes"],
            weight=Decimal(found["weight"]),
        )
        for name, found in facts["modules"].items()
    )  # fmt: skip
    return Corpus(folder=folder, modules=modules)


def make_corpus(folder: Path, rows: int) -> Corpus:
    """Write all files of a corpus; its facts come last and say that it is whole."""
    (folder / "modules" / "bench").mkdir(parents=True, exist_ok=True)
    (folder / _FACTS).unlink(missing_ok=True)
    modules = {}
    for part, count in zip(_PARTS, _row_counts(rows), strict=True):
        size = _write_rows(folder / f"{part.name}.jsonl", part.name, count)
        modules[part.name] = {"rows": count, "bytes": size, "weight": part.weight}
        module_file = folder / "modules" / "bench" / f"{part.name}.yaml"
        module_file.write_text(_module_yaml(part, count), encoding="utf-8")
    (folder / "mix.config").write_text(_mix_config(), encoding="utf-8")
    facts = {"version": VERSION, "rows": rows, "modules": modules}
    (folder / _FACTS).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    return read_corpus(folder)


def row_line(module: str, number: int) -> bytes:
    """Return one row as a line with its LF; `number` counts from 1."""
    drawn = shake_128(f"{module}/{number}".encode()).digest(2 * _PICKS + 4)
    picks = [int.from_bytes(drawn[at : at + 2], "big") for at in range(0, 2 * _PICKS, 2)]
    left = _SHORTEST_BYTES + int.from_bytes(drawn[-4:], "big") % _SPREAD_BYTES
    row = {
        "id": f"{module}-{number:08d}",
        "category": _CATEGORIES[picks[-1] % len(_CATEGORIES)],
        "conversations": _turns(number, _texts(picks, left)),
    }
    return json.dumps(row, ensure_ascii=False).encode() + b"\n"


def _turns(number: int, sentences: list[str]) -> list[dict[str, str]]:
    """Return one exchange, in every third row two; in even rows answers open with a thought."""
    exchanges = 2 if number % 3 == 0 else 1
    share = len(sentences) // exchanges
    turns = []
    for start in range(0, share * exchanges, share):
        part = sentences[start : start + share]
        asked, thought, answer = part[:2], part[2 : 2 + share // 3], part[2 + share // 3 :]
        content = " ".join(answer)
        if number % 2 == 0:
            content = f"<think>\n{' '.join(thought)}\n</think>\n\n{content}"
        else:
            content = " ".join(thought) + "\n\n" + content
        turns.append({"role": "user", "content": f"Case {number}: " + " ".join(asked)})
        turns.append({"role": "assistant", "content": content})
    return turns


def _texts(picks: Sequence[int], left: int) -> list[str]:
    """Return the sentences picked, as many as `left` bytes need."""
    sentences = _sentences()
    texts = []
    for pick in picks:
        text, size = sentences[pick % _SENTENCES]
        texts.append(text)
        left -= size
        if left <= 0:
            break
    return texts


@lru_cache(maxsize=1)
def _sentences() -> list[tuple[str, int]]:
    """Return the sentences that rows are made of, each with its size in bytes."""
    texts = [_sentence(number) for number in range(_SENTENCES)]
    return [(text, len(text.encode()) + 1) for text in texts]


def _sentence(number: int) -> str:
    drawn = shake_128(f"sentence {number}".encode()).digest(6)
    words = [
        choices[byte % len(choices)]
        for choices, byte in zip((_SUBJECTS, _VERBS, _OBJECTS, _ENDINGS), drawn, strict=False)
    ]
    text = " ".join(words)
    if number % 3 == 0:
        text = f'{text} and said: "{_FOREIGN[drawn[4] % len(_FOREIGN)]}"'
    return f"{text[0].upper()}{text[1:]}, {drawn[5]} in all."


def _row_counts(rows: int) -> list[int]:
    """Return the rows of each module; the last one takes what rounding left."""
    counts = [rows * part.percent // 100 for part in _PARTS]
    counts[-1] += rows - sum(counts)
    return counts


def _write_rows(path: Path, module: str, count: int) -> int:
    """Write a module's rows in blocks and return their bytes."""
    with path.open("wb") as file:
        return sum(file.write(block) for block in _blocks(module, count))


def _blocks(module: str, count: int) -> Iterator[bytes]:
    for start in range(1, count + 1, _BLOCK_ROWS):
        stop = min(start + _BLOCK_ROWS, count + 1)
        yield b"".join([row_line(module, number) for number in range(start, stop)])


def _module_yaml(part: _Part, count: int) -> str:
    return f"""\
name: bench/{part.name}
version: "1.0"
description: Made-up rows for the benchmarks.
license: {LICENSE}
maintainer: The Teapot authors
sources:
  - id: bench-{part.name}
    kind: jsonl
    path: ../../{part.name}.jsonl
    examples: {count}
fields:
  messages: conversations
reasoning: allow
"""


def _mix_config() -> str:
    modules = "".join(f"  bench/{part.name}: true\n" for part in _PARTS)
    weights = "".join(f"    bench/{part.name}: {part.weight}\n" for part in _PARTS)
    return f"""\
modules:
{modules}
license:
  allowed: [{LICENSE}]

training:
  seed: {SEED}
  weights:
{weights}"""


def main() -> None:
    """Make the corpus that the command line asks for."""
    parser = argparse.ArgumentParser(description="Make a corpus of chat rows for the benchmarks.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("rows", type=int)
    arguments = parser.parse_args()
    if arguments.rows < 10:
        parser.error("ROWS must be at least 10, so that no module is empty")
    corpus = find_or_make(arguments.folder, arguments.rows)
    print(f"{corpus.folder}: {corpus.rows:,} rows of {corpus.bytes:,} bytes")
    print(f"{corpus.config}: a mix of {sum(corpus.lines.values()):,} lines")


if __name__ == "__main__":
    main()

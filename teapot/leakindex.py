"""The runs of words of evaluation sets, sorted, with where each comes from. Pure.

A text of `ngram` words or more is known by every run of so many words, a shorter one by its runs of
`short` words. A text that is shorter still is known only as a whole, and only where it is the
longest of its row or what the row asks: what every row says (`yes`, `B`) tells of none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256

import numpy
from numpy.typing import NDArray

from teapot.barewords import bare_ids
from teapot.canonical import dumps
from teapot.model.config import Overlap, WholeRow
from teapot.words import Hashes, ngram_hashes

FORMAT = "teapot/leaks/v1"
Numbers = NDArray[numpy.int64]
_END = numpy.zeros(1, dtype=numpy.uint64)
STRENGTH = {"fail": 0, "drop": 1, "report": 2, "keep": 2}


@dataclass(frozen=True, slots=True)
class EvaluationRow:
    """One row of an evaluation set; what lies `beside` its texts is no part of the row itself.

    `asks` tells that its first text is the question.
    """

    number: int
    texts: tuple[str, ...]
    beside: tuple[str, ...] = ()
    asks: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluationSet:
    """The rows of an evaluation set, and what becomes of records that hold them."""

    name: str
    rows: Sequence[EvaluationRow]
    overlap: Overlap = "drop"
    on_row: WholeRow = "fail"
    ngram: int = 13
    short: int = 8

    @property
    def strength(self) -> tuple[int, int]:
        """Return a key that puts the sets first that forbid the most."""
        return STRENGTH[self.overlap], STRENGTH[self.on_row]


@dataclass(frozen=True, slots=True)
class Runs:
    """The distinct hashes of runs of `length` words, sorted, with where the first of each is."""

    length: int
    hashes: Hashes
    starts: Numbers


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Corpus:
    """All texts of the sets as ids of words, each text followed by a 0, which is no word's.

    Of each text there are its start and its row, of each row its number and its set. `heads` are
    the texts that tell of their row where they are a whole text of a record. `is_own` tells the
    texts that are part of their row.
    """

    words: Hashes
    starts: Numbers
    rows: Numbers
    is_own: NDArray[numpy.bool_]
    numbers: Numbers
    owners: Numbers
    heads: Numbers

    def text(self, number: int) -> Hashes:
        """Return the words of a text."""
        return self.words[self.starts[number] : self.starts[number + 1] - 1]

    def texts_of(self, row: int) -> range:
        """Return the texts of a row, and those that lie beside it."""
        first, stop = numpy.searchsorted(self.rows, (row, row + 1)).tolist()
        return range(first, stop)

    def texts_at(self, starts: Numbers) -> Numbers:
        """Return the texts that places of the corpus are in."""
        return numpy.searchsorted(self.starts, starts, side="right") - 1


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class LeakIndex:
    """What is looked for in records."""

    sets: tuple[EvaluationSet, ...]
    corpus: Corpus
    runs: tuple[Runs, ...]

    @classmethod
    def of(cls, sets: Iterable[EvaluationSet]) -> LeakIndex:
        """Return the index of some sets; those that forbid the most come first."""
        ordered = sorted(sets, key=lambda one: one.strength)
        made = _Texts()
        for place, one in enumerate(ordered):
            for row in one.rows:
                made.add(place, row)
        corpus = made.corpus()
        return cls(
            sets=tuple(replace(one, rows=()) for one in ordered), corpus=corpus,
            runs=tuple(_runs(ordered, corpus)),
        )  # fmt: skip

    def sha256(self) -> str:
        """Return the SHA-256 of what is looked for: the runs by their lengths, and whole texts."""
        digest = sha256(dumps({"format": FORMAT, "lengths": [runs.length for runs in self.runs]}))
        for runs in self.runs:
            digest.update(dumps([runs.length, len(runs.hashes)]))
            digest.update(runs.hashes.astype("<u8").tobytes())
        heads = map(self.corpus.text, self.corpus.heads.tolist())
        for text in sorted({text.astype("<u8").tobytes() for text in heads}):
            digest.update(sha256(text).digest())
        return digest.hexdigest()


@dataclass(slots=True)
class _Texts:
    """The texts of all sets while they are put together."""

    words: list[Hashes] = field(default_factory=list)
    starts: list[int] = field(default_factory=lambda: [0])
    rows: list[int] = field(default_factory=list)
    is_own: list[bool] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    owners: list[int] = field(default_factory=list)
    heads: list[int] = field(default_factory=list)

    def add(self, owner: int, row: EvaluationRow) -> None:
        """Add the texts of a row that have a word; a row without any adds nothing."""
        own = [ids for ids in bare_ids(row.texts) if len(ids)]
        if not own:
            return
        sizes = [len(ids) for ids in own]
        heads = {sizes.index(max(sizes)), *([0] if row.asks else [])}
        self.heads.extend(len(self.rows) + place for place in sorted(heads))
        beside = [ids for ids in bare_ids(row.beside) if len(ids)]
        for ids in (*own, *beside):
            self.words.extend((ids, _END))
            self.starts.append(self.starts[-1] + len(ids) + 1)
            self.rows.append(len(self.numbers))
        self.is_own.extend([True] * len(own) + [False] * len(beside))
        self.numbers.append(row.number)
        self.owners.append(owner)

    def corpus(self) -> Corpus:
        """Return all of it as arrays."""
        whole = numpy.int64
        return Corpus(
            words=numpy.concatenate(self.words or [_END]),
            starts=numpy.array(self.starts, dtype=whole), rows=numpy.array(self.rows, dtype=whole),
            is_own=numpy.array(self.is_own, dtype=numpy.bool_),
            numbers=numpy.array(self.numbers, dtype=whole),
            owners=numpy.array(self.owners, dtype=whole),
            heads=numpy.array(self.heads, dtype=whole),
        )  # fmt: skip


def _runs(sets: Sequence[EvaluationSet], corpus: Corpus) -> Iterator[Runs]:
    """Yield the runs of each length that a text is known by."""
    owners, sizes = corpus.owners[corpus.rows], numpy.diff(corpus.starts) - 1
    ngrams = numpy.array([one.ngram for one in sets], dtype=numpy.int64)[owners]
    shorts = numpy.array([one.short for one in sets], dtype=numpy.int64)[owners]
    lengths = numpy.where(sizes >= ngrams, ngrams, numpy.where(sizes >= shorts, shorts, 0))
    for length in sorted({*lengths.tolist()} - {0}):
        texts = numpy.flatnonzero(lengths == length)
        counts = sizes[texts] - length + 1
        begins = corpus.starts[texts] - numpy.cumsum(counts) + counts
        starts = numpy.repeat(begins, counts) + numpy.arange(counts.sum())
        found, first = numpy.unique(ngram_hashes(corpus.words, length)[starts], return_index=True)
        yield Runs(length, found, starts[first])

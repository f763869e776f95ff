"""Finds what a record has in common with evaluation sets, and says what becomes of it. Pure.

The record is taken as one text: all its turns in order, with thoughts, tool results, the texts in
tool calls and tool definitions, and once more the turns of each role by themselves, so that a
question that was cut in two is whole again. What a hash finds is compared word by word,
by 64 bits of each.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any
from unicodedata import category

import numpy

from teapot.barewords import bare_ids, bare_spans
from teapot.leakindex import STRENGTH, LeakIndex, Runs
from teapot.model.record import Message
from teapot.texts import texts_of, texts_of_turn
from teapot.words import Hashes, ngram_hashes

QUOTED = 200
_TOOLS = "tools"


@dataclass(frozen=True, slots=True)
class Leak:
    """What a record has of an evaluation set: a `row` of it, or a run of words; `policy` decides.

    `quote` is the record's own words, cut to some 200 characters.
    """

    policy: str
    set: str
    row: int
    quote: str
    is_row: bool

    def __str__(self) -> str:
        if self.is_row:
            return f'is row {self.row} of {self.set}: "{self.quote}"'
        return f'in row {self.row} of {self.set}: "{self.quote}"'


@dataclass(frozen=True, slots=True)
class _Found:
    """A leak that is not told yet: where it is in the record's words."""

    owner: int
    row: int
    start: int
    size: int
    is_row: bool


class LeakFinder:
    """Compares records with an index; may be used by several threads."""

    def __init__(self, index: LeakIndex) -> None:
        self._index, self._corpus = index, index.corpus
        self._lookups = [_Lookup(index, runs) for runs in index.runs]
        self._rows: dict[bytes, list[int]] = {}
        for text in index.corpus.heads.tolist():
            row = int(index.corpus.rows[text])
            self._rows.setdefault(index.corpus.text(text).tobytes(), []).append(row)

    def find(self, messages: Sequence[Message], tools: Sequence[Any] | None = None) -> Leak | None:
        """Return the leak that decides what becomes of a record: of several, the most forbidden."""
        words = RecordWords(messages, tools)
        whole = [one for text in range(len(words.keys)) for one in self._whole(words, text)]
        allowed = {one.owner for one in whole if one.is_row and self._policy(one) == "keep"}
        found = [one for one in whole if one.is_row or one.owner not in allowed]
        for lookup in self._lookups:
            found.extend(lookup.find(words.ids, allowed))
        return self._told(min(found, key=self._order), words) if found else None

    def _order(self, found: _Found) -> tuple[int, bool, int, int]:
        return STRENGTH[self._policy(found)], not found.is_row, found.owner, found.start

    def _whole(self, words: RecordWords, text: int) -> Iterator[_Found]:
        """Yield the rows that a text of the record tells of."""
        corpus, start, key = self._corpus, words.starts[text], words.keys[text]
        size = len(key) // corpus.words.itemsize
        for row in self._rows.get(key, ()):
            owner = int(corpus.owners[row])
            own = [corpus.text(number) for number in corpus.texts_of(row) if corpus.is_own[number]]
            short = self._index.sets[owner].short
            if sum(map(len, own)) >= short and words.has_all(own):
                yield _Found(owner, row, start, size, is_row=True)
            elif size < short:
                yield _Found(owner, row, start, size, is_row=False)

    def _policy(self, found: _Found) -> str:
        one = self._index.sets[found.owner]
        return one.on_row if found.is_row else one.overlap

    def _told(self, found: _Found, words: RecordWords) -> Leak:
        return Leak(
            policy=self._policy(found), set=self._index.sets[found.owner].name,
            row=int(self._corpus.numbers[found.row]), is_row=found.is_row,
            quote=_cut(words.quoted(found.start, found.size)),
        )  # fmt: skip


class RecordWords:
    """The ids of a record's words, with the texts that they stand in; 0 is between two orders."""

    def __init__(self, messages: Sequence[Message], tools: Sequence[Any] | None) -> None:
        turns = [(message["role"], [*texts_of_turn(message)]) for message in messages]
        turns.append((_TOOLS, [*texts_of(tools or ())]))
        self._texts = [text for _, texts in turns for text in texts]
        parts = bare_ids(self._texts)
        self.keys = [part.tobytes() for part in parts]
        order = [*range(len(parts)), *_by_role(turns)]
        parts.append(numpy.zeros(1, dtype=numpy.uint64))
        pieces = [parts[place] for place in order]
        self._order = order
        self.ids = numpy.concatenate(pieces) if pieces else parts[-1]
        self.starts = [0, *accumulate(map(len, pieces))]

    def has_all(self, texts: Iterable[Hashes]) -> bool:
        """Tell whether each of some texts is a whole text of the record."""
        return all(text.tobytes() in self.keys for text in texts)

    def quoted(self, start: int, size: int) -> str:
        """Return some words as they stand in the record; ` / ` is where another text begins."""
        parts = []
        for place, (first, stop) in zip(self._order, pairwise(self.starts), strict=True):
            begin, end = max(start, first) - first, min(start + size, stop) - first
            if begin < end and place >= 0:
                text = self._texts[place]
                spans = bare_spans(text)
                parts.append(text[spans[begin][0] : spans[end - 1][1]])
        return " / ".join(map(_seen, parts))


def _by_role(turns: Sequence[tuple[str, Sequence[str]]]) -> list[int]:
    """Return the texts of each role that has several turns, by place, with -1 before each role."""
    counts = Counter([role for role, _ in turns])
    if max(counts.values()) == 1:
        return []
    places: dict[str, list[int]] = {}
    first = 0
    for role, texts in turns:
        places.setdefault(role, []).extend(range(first, first + len(texts)))
        first += len(texts)
    return [place for role, own in places.items() if counts[role] > 1 for place in (-1, *own)]


def _seen(text: str) -> str:
    """Return a text in one line, without what cannot be seen or would move a terminal's cursor."""
    shown = "".join(one if one.isprintable() else " " for one in text if category(one) != "Cf")
    return " ".join(shown.split())


def _cut(text: str) -> str:
    return text if len(text) <= QUOTED else f"{text[: QUOTED - 1]}…"


class _Lookup:
    """The runs of one length; a table of bits by their first bits tells most strangers at once."""

    def __init__(self, index: LeakIndex, runs: Runs) -> None:
        self._corpus, self._runs = index.corpus, runs
        self._texts = index.corpus.texts_at(runs.starts)
        self._owners = index.corpus.owners[index.corpus.rows[self._texts]]
        bits = min(26, max(10, len(runs.hashes).bit_length() + 4))
        self._shift = numpy.uint64(64 - bits)
        self._may_be = numpy.zeros(1 << bits, dtype=numpy.bool_)
        self._may_be[runs.hashes >> self._shift] = True

    def find(self, words: Hashes, allowed: Set[int]) -> Iterator[_Found]:
        """Yield, of each set that is not allowed, the first run that a record has of it."""
        hashes = ngram_hashes(words, self._runs.length)
        maybe = numpy.flatnonzero(self._may_be[hashes >> self._shift])
        if not len(maybe):
            return
        runs, seen = self._runs, set(allowed)
        places = numpy.searchsorted(runs.hashes, hashes[maybe])
        places[places == len(runs.hashes)] = 0
        is_found = runs.hashes[places] == hashes[maybe]
        for start, place in zip(maybe[is_found].tolist(), places[is_found].tolist(), strict=True):
            owner = int(self._owners[place])
            size = 0 if owner in seen else self._common(words, start, place)
            if size >= runs.length:
                seen.add(owner)
                row = int(self._corpus.rows[self._texts[place]])
                yield _Found(owner, row, start, size, is_row=False)

    def _common(self, words: Hashes, start: int, place: int) -> int:
        """Return how many words the record and a text of the index have in common from there."""
        stop = int(self._corpus.starts[self._texts[place] + 1]) - 1
        theirs = self._corpus.words[int(self._runs.starts[place]) : stop]
        ours = words[start : start + len(theirs)]
        unlike = numpy.flatnonzero(ours != theirs[: len(ours)])
        return int(unlike[0]) if len(unlike) else len(ours)

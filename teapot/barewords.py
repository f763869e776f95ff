"""The words of a text without the marks on their letters, which leaks are looked for by. Pure.

They are coarser than those of `words`: accents and other marks go too, so that a question cannot
be hidden under them. In scripts whose vowels are marks, words fall together that differ in
vowels; a run of many still tells. Each character becomes what it would become alone, so where
words stand in the text can be told.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from hashlib import shake_256
from itertools import accumulate, chain, pairwise
from unicodedata import category, normalize

import numpy

from teapot.words import Hashes

_ALONE = re.compile(
    "[\u0e01-\u0e5b\u0e81-\u0edf\u1000-\u109f\u1780-\u17ff\u2e80-\u2fdf\u3005\u3007\u3021-\u3029"
    "\u3040-\u312f\u31a0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\ua9e0-\ua9ff\uaa60-\uaa7f\uf900-\ufaff"
    "\U0001b000-\U0001b16f\U00020000-\U0003ffff]"
)
"""The letters of scripts that put no space between words."""
_PLACES, _BYTES, _AT_ONCE = 64, 256, 1 << 16
_TABLE = numpy.frombuffer(
    shake_256(b"teapot/barewords/v1").digest(8 * _PLACES * _BYTES), dtype="<u8"
).astype(numpy.uint64)
"""64 random bits for each byte at each place of a word."""
_ONE = numpy.uint64(1)
_SPACE = re.compile(r"\S+")
_UNSEEN = frozenset(map(chr, (0x115F, 0x1160, 0x2065, *range(0xFFF0, 0xFFF9))))


class _Folded(dict[int, str]):
    """What becomes of each code point after NFKD: letters and digits, a space, or nothing."""

    def __missing__(self, point: int) -> str:
        character = chr(point)
        made = character.casefold() if character.isalnum() else " "
        if _is_dropped(character):
            made = ""
        elif _ALONE.match(character):
            made = f" {made} "
        self[point] = made
        return made


_FOLDED = _Folded()


def bare_words(text: str) -> list[str]:
    """Return the words of a text, folded."""
    return folded(text).split()


def bare_ids(texts: Sequence[str]) -> list[Hashes]:
    """Return, for each text, 64 bits for each of its bare words; none of them is 0.

    Tabulation hashing: the sum of random bits for each byte of the word in UTF-8 at its place, the
    space behind it included; places go round after 64.
    """
    words = [bare_words(text) for text in texts]
    stops = [0, *accumulate(map(len, words))]
    every = [*chain.from_iterable(words)]
    blocks = [_ids(every[n : n + _AT_ONCE]) for n in range(0, len(every), _AT_ONCE)]
    ids = numpy.concatenate(blocks) if blocks else numpy.empty(0, dtype=numpy.uint64)
    return [ids[start:stop] for start, stop in pairwise(stops)]


def _ids(words: Sequence[str]) -> Hashes:
    data = numpy.frombuffer(f"{' '.join(words)} ".encode(), dtype=numpy.uint8)
    ends = numpy.flatnonzero(data == ord(" ")) + 1
    starts = numpy.zeros_like(ends)
    starts[1:] = ends[:-1]
    places = numpy.arange(len(data)) - numpy.repeat(starts, ends - starts)
    places &= _PLACES - 1
    places *= _BYTES
    places += data
    return numpy.maximum(numpy.add.reduceat(_TABLE.take(places), starts), _ONE)


def folded(text: str) -> str:
    """Return a text by NFKD as folded words with spaces around them.

    Each character becomes what it would become alone, so words can be found again in the text.
    """
    if text.isascii():
        return text.translate(_ASCII)
    return normalize("NFKD", text).translate(_FOLDED)


def bare_spans(text: str) -> list[tuple[int, int]]:
    """Return where each of `bare_words(text)` begins and ends in the text."""
    parts = [folded(character) for character in text]
    owners = [place for place, part in enumerate(parts) for _ in part]
    return [
        (owners[found.start()], owners[found.end() - 1] + 1)
        for found in _SPACE.finditer("".join(parts))
    ]


def _is_dropped(character: str) -> bool:
    """Tell whether a character is a mark on another, or is not seen at all."""
    return (
        category(character) in ("Mn", "Mc", "Me", "Cf")
        or character in _UNSEEN
        or "\U000e0000" <= character <= "\U000e0fff"
    )


_ASCII = {point: _FOLDED[point] for point in range(128)}

"""The words of a text, as duplicates and leaks are told by: not by case, punctuation or spaces.

A text is brought to its compatibility form and case-folded (Unicode NFKC and its default case
folding), characters that only format are taken out, and a word is a run of letters, marks and
digits. Chinese, Japanese, Thai, Lao, Khmer and Burmese put no spaces between words, so each
character of those scripts is a word of its own, with the marks that follow it.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from unicodedata import category, normalize

import numpy
from numpy.typing import NDArray

from teapot.canonical import CanonicalError, loads
from teapot.jsonleaves import leaves
from teapot.model.record import Message

Hashes = NDArray[numpy.uint64]
_FACTOR = numpy.uint64(0x9E3779B97F4A7C15)
_KNOWN_WORDS = 1 << 18
_ALONE = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uf900-\ufaff\U00020000-\U0003ffff"
)
_PLAIN = re.compile("[a-z0-9]+")
_PLAIN_SIGNS = re.compile("[a-z0-9]+|[$+<=>^`|~]")


def words_of(text: str) -> list[str]:
    """Return the words of a text, in order."""
    if text.isascii():
        return _PLAIN.findall(text.lower())
    return _unicode().words.findall(_normal(text))


def words_and_signs_of(text: str) -> list[str]:
    """Return the words of a text, and its signs but for punctuation: `2+2` is not `2<2`."""
    if text.isascii():
        return _PLAIN_SIGNS.findall(text.lower())
    return _unicode().words_and_signs.findall(_normal(text))


def texts_of(message: Message) -> Iterator[str]:
    """Yield the texts of a turn: its content, and what the arguments of tool calls say."""
    yield message["content"]
    for call in message.get("tool_calls", ()):
        yield call["function"]["name"]
        yield from texts_in_json(call["function"]["arguments"])


def texts_in_json(text: str) -> Iterator[str]:
    """Yield the texts in a JSON text, keys and numbers too; what is no JSON is one text."""
    try:
        value = loads(text.encode())
    except (CanonicalError, UnicodeEncodeError):
        yield text
        return
    yield from (str(leaf.value) for leaf in leaves(value) if leaf.value is not None)


def word_ids(words: Sequence[str]) -> Hashes:
    """Return 64 bits for each word, by which words are told apart, shape (n,)."""
    return numpy.fromiter(map(_word_id, words), dtype=numpy.uint64, count=len(words))


def ngram_hashes(ids: Hashes, size: int) -> Hashes:
    """Return 64 bits for each run of `size` words, shape (max(n - size + 1, 0),).

    A polynomial in the ids of the words modulo 2⁶⁴; its factor is odd, so that no word is lost.
    """
    count = max(len(ids) - size + 1, 0)
    hashes = numpy.zeros(count, dtype=numpy.uint64)
    for place in range(size if count else 0):
        hashes *= _FACTOR
        hashes += ids[place : place + count]
    return hashes


@lru_cache(maxsize=_KNOWN_WORDS)
def _word_id(word: str) -> int:
    return int.from_bytes(blake2b(word.encode(), digest_size=8).digest(), "little")


def _normal(text: str) -> str:
    return _unicode().formats.sub("", normalize("NFKC", text).casefold())


@dataclass(frozen=True, slots=True)
class _Patterns:
    """A word; a word or a sign that is no punctuation; characters that are taken out before."""

    words: re.Pattern[str]
    words_and_signs: re.Pattern[str]
    formats: re.Pattern[str]


@lru_cache(maxsize=1)
def _unicode() -> _Patterns:
    kinds: dict[str, list[int]] = {"M": [], "S": [], "Cf": []}
    for code in range(sys.maxunicode + 1):
        kind = category(chr(code))
        kinds.get(kind, kinds.get(kind[0], [])).append(code)
    mark, sign, formats = ("".join(_ranges(codes)) for codes in kinds.values())
    # no underscore: it is punctuation, which Python's \w counts among letters
    word = f"[{_ALONE}][{mark}]*|(?:[^\\W_{_ALONE}]+|[{mark}]+)+"
    return _Patterns(re.compile(word), re.compile(f"{word}|[{sign}]"), re.compile(f"[{formats}]+"))


def _ranges(codes: Sequence[int]) -> Iterator[str]:
    """Yield ascending code points as ranges of a character class."""
    first = last = codes[0]
    for code in [*codes[1:], -1]:
        if code == last + 1:
            last = code
            continue
        yield f"{re.escape(chr(first))}-{re.escape(chr(last))}"
        first = last = code

"""Sketches: what of a record is enough to tell its duplicates, in some hundred bytes.

A sketch holds a digest of the words and signs of all turns, and where near duplicates are asked for
a MinHash signature (Broder 1997) of the runs of words that the turns say, without system turns:
those are the same in many records that say unlike things. Signatures are datasketch's, by its
scheme `affine32`.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy
from numpy.typing import NDArray

from teapot.canonical import dumps, loads
from teapot.errors import MissingExtraError
from teapot.index import NO_RECORD, Numbers
from teapot.model.likeness import Likeness, Near
from teapot.model.record import Message
from teapot.parts import Part
from teapot.words import ngram_hashes, texts_of, word_ids, words_and_signs_of

SCHEME = "affine32"
TEXT_BYTES = 16
_MISSED_WEIGHS = 0.95
"""How much a missed pair weighs against one looked at in vain, in the choice of bands."""
_CHUNK_ROWS = 1 << 13
_FACTOR = numpy.uint64(0x9E3779B97F4A7C15)

Sketch = NDArray[Any]


def sketch_type(likeness: Likeness) -> numpy.dtype[Any]:
    """Return what a sketch holds: `text`, (16,) bytes, and where asked `minima`, (n,) numbers."""
    columns: list[Any] = [("text", "u1", (TEXT_BYTES,))]
    if likeness.match == "near":
        columns.append(("minima", "<u4", (likeness.near.permutations,)))
    return numpy.dtype(columns)


class Sketcher:
    """Makes the sketches of parts; may be used by several threads.

    Raises:
        MissingExtraError: near duplicates are asked for, and datasketch is not installed.
    """

    def __init__(self, likeness: Likeness) -> None:
        self.type, self._near = sketch_type(likeness), likeness.near
        self._minhash = _minhash(likeness.near) if likeness.match == "near" else None

    def of_part(self, part: Part) -> Part:
        """Return a part with the sketches of its usable records, whose lines must be in it."""
        sketches = numpy.zeros(len(part.entries), dtype=self.type)
        places = (part.entries["state"] != NO_RECORD).nonzero()[0]
        starts = part.entries["offset"][places].tolist()
        sizes = part.entries["length"][places].tolist()
        lines = (part.lines[at : at + size] for at, size in zip(starts, sizes, strict=True))
        sketches[places] = self.of_lines(lines, len(places))
        return replace(part, sketches=sketches)

    def of_lines(self, lines: Iterable[bytes], count: int) -> Sketch:
        """Return the sketches of so many records, given by their lines."""
        sketches = numpy.zeros(count, dtype=self.type)
        minhash = self._minhash.copy() if self._minhash is not None else None
        for place, line in enumerate(lines):
            record = loads(line)
            turns = [(turn["role"], _said(turn)) for turn in record["messages"]]
            text = _digest(turns, record.get("tools"))
            sketches["text"][place] = numpy.frombuffer(text, dtype=numpy.uint8)
            if minhash is not None:
                minhash.clear()
                minhash.update_batch(_shingles(turns, text, self._near.ngram))
                sketches["minima"][place] = minhash.hashvalues
        return sketches


class Sketches:
    """The sketches of all rows, in a file without a name in `folder`; of other rows they are 0."""

    def __init__(self, likeness: Likeness, folder: Path | None = None) -> None:
        self.likeness, self.type = likeness, sketch_type(likeness)
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  # see close

    def add(self, part: Part) -> None:
        """Append the sketches of a part."""
        assert part.sketches is not None  # noqa: S101 - whoever made it was told to
        self._file.write(part.sketches.astype(self.type, copy=False).tobytes())

    def chunks(self) -> Iterator[tuple[int, Sketch]]:
        """Yield all sketches, some thousands at a time, after the number of the first row."""
        self._file.flush()
        start = 0
        while data := os.pread(
            self._file.fileno(), _CHUNK_ROWS * self.type.itemsize, start * self.type.itemsize
        ):
            sketches = numpy.frombuffer(data, dtype=self.type)
            yield start, sketches
            start += len(sketches)

    def close(self) -> None:
        """Close the file, which removes it."""
        self._file.close()


@lru_cache(maxsize=16)
def bands_of(near: Near) -> tuple[int, int]:
    """Return into how many bands signatures are cut, and of how many minima each is.

    Raises:
        MissingExtraError: datasketch is not installed.
    """
    lsh = _datasketch().MinHashLSH(
        threshold=float(near.threshold), num_perm=near.permutations,
        weights=(1 - _MISSED_WEIGHS, _MISSED_WEIGHS),
    )  # fmt: skip
    return lsh.b, lsh.r


def band_keys(sketches: Sketch, bands: tuple[int, int] | None) -> Numbers:
    """Return 64 bits for the words of each sketch and for each band, shape (1 + bands, n)."""
    text = numpy.ascontiguousarray(sketches["text"]).view("<u8")[:, 0]
    if bands is None:
        return text[numpy.newaxis]
    count, size = bands
    minima = sketches["minima"][:, : count * size].astype(numpy.uint64)
    cut = minima.reshape(len(sketches), count, size)
    return numpy.vstack([text, *(_mixed(cut[:, band]) for band in range(count))])


def _mixed(values: Numbers) -> Numbers:
    """Return 64 bits for each row of numbers, by which rows are told apart but for chance."""
    mixed = numpy.zeros(len(values), dtype=numpy.uint64)
    for column in values.T:
        mixed = (mixed ^ column) * _FACTOR
        mixed ^= mixed >> numpy.uint64(29)
    return mixed


def _said(turn: Message) -> list[str]:
    return [word for text in texts_of(turn) for word in words_and_signs_of(text)]


def _digest(turns: list[tuple[str, list[str]]], tools: Any) -> bytes:
    """Return what tells the words and signs of all turns, and the tools, from another record's."""
    said = "\0".join(" ".join((role, *words)) for role, words in turns)  # no word holds either
    offered = dumps(tools) if tools is not None else b""
    return blake2b(said.encode() + b"\0\0" + offered, digest_size=TEXT_BYTES).digest()


def _shingles(turns: list[tuple[str, list[str]]], text: bytes, size: int) -> list[int]:
    """Return 32 bits for each run of words; of a record with fewer words, for all of them."""
    words = [word for role, said in turns if role != "system" for word in said]
    if not words:  # it is like nothing but what has the same words in all turns
        return [int.from_bytes(text[:4], "little")]
    hashes = ngram_hashes(word_ids(words), min(size, len(words)))
    found: list[int] = numpy.unique(hashes >> numpy.uint64(32)).tolist()
    return found


def _minhash(near: Near) -> Any:
    return _datasketch().MinHash(
        num_perm=near.permutations, seed=near.seed, scheme=SCHEME, hashfunc=_itself
    )


def _itself(value: int) -> int:
    return value


def _datasketch() -> Any:
    try:
        import datasketch
    except ImportError as error:
        raise MissingExtraError("telling near duplicates", "near") from error
    return datasketch

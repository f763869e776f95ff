"""A part as bytes and back: what a block made, to be kept for the next run or sent to another one.

    magic, SHA-256 of the rest (32 bytes), size of the head (u64, little-endian), head, body

The head is canonical JSON; the body holds entries, scanned ids, where each ends, lines and
sketches, end to end. A file that was cut or altered by accident is told by its digest, and is no
part.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

import numpy

from teapot.canonical import CanonicalError, dumps, loads
from teapot.digest import DIGEST_BYTES, sha256
from teapot.index import ENTRY
from teapot.model.record import Dropped
from teapot.parts import Ids, Part, Repaired, Reviewed

_MAGIC = b"teapot part 2\n"
_SIZE = struct.Struct("<Q")
_START = len(_MAGIC) + DIGEST_BYTES


def part_bytes(part: Part) -> bytes:
    """Return a part as one file's bytes."""
    body = [
        part.entries.tobytes(), part.ids.scanned, part.ids.bounds.tobytes(), part.lines,
        b"" if part.sketches is None else part.sketches.tobytes(),
    ]  # fmt: skip
    head = dumps(
        {
            "sketches": None if part.sketches is None else _columns(part.sketches.dtype),
            "sizes": [len(piece) for piece in body],
            "licenses": part.licenses,
            "said": part.said,
            "ids": {str(place): identity for place, identity in part.ids.others.items()},
            "odd": {str(place): _odd_value(odd) for place, odd in part.odd.items()},
        }
    )
    rest = b"".join((_SIZE.pack(len(head)), head, *body))
    return _MAGIC + sha256(rest) + rest


def part_of(data: bytes) -> Part:
    """Return the part that a file holds.

    Raises:
        ValueError: it is no part, or another than was written.
    """
    rest = data[_START:]
    if not data.startswith(_MAGIC) or sha256(rest) != data[len(_MAGIC) : _START]:
        raise ValueError("is no part, or was altered")
    try:
        return _part_of(rest)
    except (CanonicalError, LookupError, TypeError, struct.error) as error:
        raise ValueError(f"is no part: {error}") from error


def _part_of(rest: bytes) -> Part:
    (size,) = _SIZE.unpack_from(rest)
    head: Mapping[str, Any] = loads(rest[_SIZE.size : _SIZE.size + size])
    at, pieces = _SIZE.size + size, []
    for length in head["sizes"]:
        pieces.append(rest[at : at + length])
        at += length
    entries, scanned, bounds, lines, sketches = pieces
    columns = head["sketches"]
    return Part(
        entries=numpy.frombuffer(bytearray(entries), dtype=ENTRY),
        licenses=tuple(head["licenses"]),
        ids=Ids(
            scanned,
            numpy.frombuffer(bounds, dtype=numpy.uint32),
            {int(place): identity for place, identity in head["ids"].items()},
        ),
        odd={int(place): _odd_of(value) for place, value in head["odd"].items()},
        lines=lines,
        said=head["said"],
        sketches=None if columns is None else numpy.frombuffer(sketches, _type_of(columns)),
    )


def _columns(kind: numpy.dtype[Any]) -> list[list[Any]]:
    """Return the columns of a sketch: name, kind of number, how many."""
    return [[name, kind[name].base.str, list(kind[name].shape)] for name in kind.names or ()]


def _type_of(columns: list[list[Any]]) -> numpy.dtype[Any]:
    return numpy.dtype([(name, base, tuple(shape)) for name, base, shape in columns])


def _odd_value(odd: Dropped | Repaired | Reviewed) -> list[Any]:
    if isinstance(odd, Reviewed):
        digests = (odd.digest_before, odd.decided, odd.read)
        told = [None if digest is None else digest.hex() for digest in digests]
        return ["reviewed", odd.detail, list(odd.repairs), list(odd.counted), *told]
    if isinstance(odd, Repaired):
        return ["repaired", list(odd.repairs), odd.digest_before.hex()]
    content = odd.content_digest.hex() if odd.content_digest is not None else None
    return ["dropped", odd.reason, odd.detail, odd.shown, odd.id, odd.license, content, odd.bad]


def _odd_of(value: list[Any]) -> Dropped | Repaired | Reviewed:
    if value[0] == "reviewed":
        before, decided, read = (None if one is None else bytes.fromhex(one) for one in value[4:])
        return Reviewed(value[1], tuple(value[2]), before, decided, read, tuple(value[3]))
    if value[0] == "repaired":
        return Repaired(tuple(value[1]), bytes.fromhex(value[2]))
    reason, detail, shown, identity, license_text, content, bad = value[1:]
    return Dropped(
        reason=reason, detail=detail, shown=shown, id=identity, license=license_text,
        content_digest=None if content is None else bytes.fromhex(content), bad=bad,
    )  # fmt: skip

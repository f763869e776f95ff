"""The metadata in the header of a safetensors file, read with bounds and written in one order.

Source: the format's description in huggingface/safetensors. A file begins with the header's length
(8 bytes, little-endian) and the header, a JSON object; `__metadata__` in it maps text to text.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, BinaryIO

from teapot.canonical import CanonicalError, dumps, kind_of, loads

MAX_HEADER_BYTES = 100_000_000
"""What the library itself reads at most."""
_LENGTH_BYTES = 8
_ALIGNMENT_BYTES = 8
_METADATA = "__metadata__"


class SafetensorsError(ValueError):
    """A file has no header as safetensors files have; the message says what it has instead."""


def read_metadata(file: BinaryIO) -> dict[str, str]:
    """Return the metadata of a file that stands at its start; empty where it has none.

    Raises:
        SafetensorsError: the header is cut, too long, or not strict JSON of the form.
    """
    found = _read_header(file).get(_METADATA, {})
    if not isinstance(found, dict) or not all(isinstance(text, str) for text in found.values()):
        raise SafetensorsError(f"has a {_METADATA} that is no object of texts")
    return found


def header_with(file: BinaryIO, metadata: Mapping[str, str]) -> bytes:
    """Return the start of a file with other metadata; what the file has left is the tensors.

    Keys are sorted, so that equal tensors make equal files: the library itself writes metadata in
    an order that it draws anew in each process.

    Raises:
        SafetensorsError: the file has no header as safetensors files have.
    """
    header = dumps({**_read_header(file), _METADATA: dict(metadata)})
    header += b" " * (-len(header) % _ALIGNMENT_BYTES)
    return len(header).to_bytes(_LENGTH_BYTES, "little") + header


def _read_header(file: BinaryIO) -> dict[str, Any]:
    start = file.read(_LENGTH_BYTES)
    size = int.from_bytes(start, "little")
    if len(start) < _LENGTH_BYTES:
        raise SafetensorsError("ends before its header")
    if size > MAX_HEADER_BYTES:
        told = f"states a header of {size:,} bytes, expected {MAX_HEADER_BYTES:,} at most"
        raise SafetensorsError(told)
    header = file.read(size)
    if len(header) < size:
        raise SafetensorsError(f"ends in its header, after {len(header):,} of {size:,} bytes")
    try:
        value = loads(header)
    except CanonicalError as error:
        raise SafetensorsError(f"has a header that is not strict JSON: {error}") from error
    if not isinstance(value, dict):
        raise SafetensorsError(f"has {kind_of(value)} as header, expected an object")
    return value

"""The metadata in the header of a safetensors file, read with bounds and without any tensor.

Source: the format's description in huggingface/safetensors. A file begins with the header's length
(8 bytes, little-endian) and the header, a JSON object; `__metadata__` in it maps text to text.
"""

from __future__ import annotations

from typing import BinaryIO

from teapot.canonical import CanonicalError, kind_of, loads

MAX_HEADER_BYTES = 100_000_000
"""What the library itself reads at most."""
_LENGTH_BYTES = 8
_METADATA = "__metadata__"


class SafetensorsError(ValueError):
    """A file has no header as safetensors files have; the message says what it has instead."""


def read_metadata(file: BinaryIO) -> dict[str, str]:
    """Return the metadata of a file that stands at its start; empty where it has none.

    Raises:
        SafetensorsError: the header is cut, too long, or not strict JSON of the form.
    """
    start = file.read(_LENGTH_BYTES)
    size = int.from_bytes(start, "little")
    if len(start) < _LENGTH_BYTES or size > MAX_HEADER_BYTES:
        told = f"states a header of {size:,} bytes, expected {MAX_HEADER_BYTES:,} at most"
        raise SafetensorsError(told if len(start) == _LENGTH_BYTES else "ends before its header")
    header = file.read(size)
    if len(header) < size:
        raise SafetensorsError(f"ends in its header, after {len(header):,} of {size:,} bytes")
    try:
        value = loads(header)
    except CanonicalError as error:
        raise SafetensorsError(f"has a header that is not strict JSON: {error}") from error
    if not isinstance(value, dict):
        raise SafetensorsError(f"has {kind_of(value)} as header, expected an object")
    found = value.get(_METADATA, {})
    if not isinstance(found, dict) or not all(isinstance(text, str) for text in found.values()):
        raise SafetensorsError(f"has a {_METADATA} that is no object of texts")
    return found

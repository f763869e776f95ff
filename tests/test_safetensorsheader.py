"""The header of a safetensors file: read with bounds, and written in one order."""

from __future__ import annotations

import io
from pathlib import Path

import numpy
import pytest
from safetensors import safe_open
from safetensors.numpy import load, save

from teapot.safetensorsheader import SafetensorsError, header_with, read_metadata


def header(data: bytes, size: int | None = None) -> io.BytesIO:
    return io.BytesIO((len(data) if size is None else size).to_bytes(8, "little") + data)


def test_the_metadata_of_a_header_is_read() -> None:
    assert read_metadata(header(b'{"__metadata__":{"a":"b"},"t":{}}' + b" " * 8)) == {"a": "b"}
    assert read_metadata(header(b"{}")) == {}


@pytest.mark.parametrize(
    ("file", "told"),
    [
        (io.BytesIO(b"1234567"), "ends before its header"),
        (header(b"{}", 100_000_001), "states a header of 100,000,001 bytes, expected 100,000,000"),
        (header(b"{}", 2**64 - 1), "states a header of 18,446,744,073,709,551,615 bytes"),
        (header(b"{}", 3), "ends in its header, after 2 of 3 bytes"),
        (header(b"[]"), "has a list as header, expected an object"),
        (header(b'{"a":1,"a":2}'), "has a header that is not strict JSON"),
        (header(b'{"__metadata__":{"a":1}}'), "has a __metadata__ that is no object of texts"),
        (header(b'{"__metadata__":[]}'), "has a __metadata__ that is no object of texts"),
    ],
)
def test_what_is_no_header_is_refused(file: io.BytesIO, told: str) -> None:
    with pytest.raises(SafetensorsError, match=told):
        read_metadata(file)


def test_other_metadata_leaves_the_tensors_and_is_written_in_one_order(tmp_path: Path) -> None:
    tensors = {
        "b": numpy.arange(3, dtype=numpy.float32),
        "a": numpy.arange(6, dtype=numpy.int16).reshape(2, 3),
    }
    metadata = {"z": "1", "format": "pt", "ž": "\n"}
    made = []
    for given in ({"format": "pt"}, {"format": "np", "old": "x"}):
        file = io.BytesIO(save(tensors, metadata=given))
        made.append(header_with(file, metadata) + file.read())
    assert made[0] == made[1]
    assert read_metadata(io.BytesIO(made[0])) == metadata
    found = load(made[0])
    assert found.keys() == tensors.keys()
    assert all(numpy.array_equal(found[name], tensors[name]) for name in tensors)
    path = tmp_path / "model.safetensors"
    path.write_bytes(made[0])
    with safe_open(path, framework="numpy") as opened:
        assert opened.metadata() == metadata

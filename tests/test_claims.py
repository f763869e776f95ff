"""Claims of lines, in whatever order they come, lie in the order of the lines."""

from __future__ import annotations

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from teapot.claims import Claims
from teapot.index import DIGEST


def _digest(number: int) -> bytes:
    return number.to_bytes(32, "big")


def _put(claims: Claims, lines: list[int], digests: list[bytes]) -> None:
    held = numpy.frombuffer(b"".join(digests), dtype=DIGEST)
    claims.put(numpy.array(lines, dtype=numpy.int64), held)


@given(
    batches=st.lists(st.lists(st.integers(-1, 24), max_size=9), max_size=5),
    lines=st.integers(0, 20),
    bucket=st.sampled_from([1, 3, 4, 1 << 16]),
)
def test_each_slot_holds_the_last_digest_claimed_for_its_line(
    batches: list[list[int]], lines: int, bucket: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path, expected, number = tmp_path_factory.mktemp("claims") / "claimed", bytearray(32 * lines), 1
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("teapot.claims._BUCKET_LINES", bucket)
        patch.setattr("teapot.claims._MAX_BUCKETS", 8)
        with Claims(path, lines) as claims:
            for batch in batches:
                digests = [_digest(number + at) for at in range(len(batch))]
                number += len(batch)
                _put(claims, batch, digests)
                for line, digest in zip(batch, digests, strict=True):
                    if 1 <= line <= lines:
                        expected[32 * (line - 1) : 32 * line] = digest
            claims.finish()
            assert claims.made == number - 1
    assert path.read_bytes() == (bytes(expected) or bytes(32))

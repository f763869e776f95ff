from __future__ import annotations

from hashlib import sha256

import pytest

from teapot.ordering import DRAW_LABEL, ORDER_LABEL, Ranker

DIGEST = sha256(b"content").digest()


@pytest.mark.parametrize(
    ("label", "seed", "module", "occurrence", "copy", "preimage"),
    [
        (DRAW_LABEL, 42, "safety/consequence", 0, 0,
         b"teapot/draw/v1\x0042\x00safety/consequence\x00" + DIGEST + bytes(8)),
        (ORDER_LABEL, 42, "safety/consequence", 0, 0,
         b"teapot/order/v1\x0042\x00safety/consequence\x00" + DIGEST + bytes(8)),
        (DRAW_LABEL, 0, "lang/čeština", 258, 3,
         b"teapot/draw/v1\x000\x00lang/\xc4\x8de\xc5\xa1tina\x00" + DIGEST
         + b"\x00\x00\x01\x02\x00\x00\x00\x03"),
        (ORDER_LABEL, 2**63 - 1, "m", 2**32 - 1, 999,
         b"teapot/order/v1\x009223372036854775807\x00m\x00" + DIGEST
         + b"\xff\xff\xff\xff\x00\x00\x03\xe7"),
    ],
)  # fmt: skip
def test_rank_is_the_documented_hash(
    label: bytes, seed: int, module: str, occurrence: int, copy: int, preimage: bytes
) -> None:
    assert Ranker(label, seed, module).rank(DIGEST, occurrence, copy) == sha256(preimage).digest()


def test_released_ranks_never_change() -> None:
    rank = Ranker(DRAW_LABEL, 42, "safety/consequence").rank(DIGEST)
    assert rank.hex() == "9458de8a81a0a3594f92e85abb58354452a13f110a74823e2b8a59534d1aeb7d"
    rank = Ranker(ORDER_LABEL, 42, "capability/reward-evaluator").rank(DIGEST, 1, 2)
    assert rank.hex() == "3e6ee6e5bfb604db6197bf4c6add3a9698b42f70a8bb5e1deae579e8e3ba4a11"


def test_one_ranker_serves_any_number_of_records() -> None:
    ranker = Ranker(ORDER_LABEL, 1, "m")
    first = ranker.rank(DIGEST)
    assert ranker.rank(DIGEST, 1) != first
    assert ranker.rank(DIGEST) == first

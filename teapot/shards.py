"""How a data file is cut into shards: which names they have, and which lines each holds.

An order of an epoch lies beside the data under a name of its own, however the data is cut.

A shard holds a run of lines. Where `count` does not divide the lines, the first shards hold one
more, as `datasets` cuts contiguous shards. The shards end to end are the data file, byte for byte.
"""

from __future__ import annotations

import re
from itertools import pairwise

MAX_SHARDS = 10_000
MAX_ORDERS = 1000
_NAME = re.compile(r"(.+)-[0-9]{5}-of-[0-9]{5}\.jsonl")


def shard_name(stem: str, number: int, count: int) -> str:
    """Return the name of a shard, whose numbers begin at 0."""
    return f"{stem}-{number:05}-of-{count:05}.jsonl"


def order_name(stem: str, epoch: int) -> str:
    """Return the name of the order of an epoch, which are counted from 1."""
    return f"{stem}.epoch-{epoch}.order"


def stem_of(name: str) -> str | None:
    """Return the stem of the data file that a shard of this name would be of; None for others."""
    found = _NAME.fullmatch(name)
    return found[1] if found else None


def shard_spans(lines: int, count: int) -> list[range]:
    """Return the lines of each shard, from 0."""
    size, longer = divmod(lines, count)
    starts = [number * size + min(number, longer) for number in range(count + 1)]
    return [range(start, stop) for start, stop in pairwise(starts)]

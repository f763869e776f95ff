"""Which examples an epoch has, and in which order: compared with the rule said slowly."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from hashlib import sha256
from itertools import pairwise
from typing import NamedTuple

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from teapot import scratch
from teapot.amounts import Usable, unique_lines
from teapot.epochs import MAX_LINES, EpochOrders, UniqueRecords
from teapot.errors import DataError
from teapot.ordering import DRAW_LABEL, ORDER_LABEL, Ranker

SEED = 42
Key = tuple[str, int]


class Asked(NamedTuple):
    """How many usable records a module has, and how many lines it gives an epoch."""

    usable: int
    lines: int


Modules = Mapping[str, Asked]
MODULES = st.dictionaries(
    st.sampled_from(["a", "b/c", "č", "d"]),
    st.builds(Asked, st.integers(1, 12), st.integers(0, 40)),
    min_size=1,
)
COUNTS = st.integers(1, 5)


def content(module: str, number: int) -> bytes:
    """Return the content digest of a record; every third one repeats the one before."""
    number -= number % 3 == 2
    return sha256(f"{module} {number}".encode()).digest()


def occurrence(number: int) -> int:
    return int(number % 3 == 2)


def drawn(module: str, asked: Asked, count: int) -> list[int]:
    """Return the records that `count` epochs use: all, or those of lowest draw rank."""
    order = sorted(range(asked.usable), key=lambda number: rank(DRAW_LABEL, module, number, 0))
    return sorted(order[: asked.lines * count])


def rank(label: bytes, module: str, number: int, copy: int) -> bytes:
    return Ranker(label, SEED, module).rank(content(module, number), occurrence(number), copy)


def slowly(modules: Modules, count: int) -> list[list[Key]]:
    """Return the records of each epoch in order, as the rule is written."""
    epochs: list[list[tuple[bytes, Key]]] = [[] for _ in range(count)]
    for module, (usable, lines) in modules.items():
        sequence: list[tuple[int, int]] = []
        copy = 0
        while len(sequence) < lines * count:
            ranked = sorted(range(usable), key=lambda n: rank(DRAW_LABEL, module, n, copy))
            sequence += [(number, copy) for number in ranked]
            copy += 1
        for epoch in range(count):
            for number, copy in sequence[epoch * lines : (epoch + 1) * lines]:
                epochs[epoch].append((rank(ORDER_LABEL, module, number, copy), (module, number)))
    return [[key for _, key in sorted(epoch)] for epoch in epochs]


def planned(modules: Modules, count: int) -> list[list[Key]]:
    """Return the records of each epoch in order, as they are planned."""
    used = [(name, n) for name, asked in modules.items() for n in drawn(name, asked, count)]
    records = UniqueRecords(len(used))
    for name in modules:
        numbers = [(line, n) for line, (module, n) in enumerate(used) if module == name]
        digests = b"".join(content(name, n) for _, n in numbers)
        records.add(
            name, numpy.frombuffer(digests, dtype=numpy.uint8).reshape(-1, 32),
            numpy.array([occurrence(n) for _, n in numbers], dtype=numpy.uint32),
            numpy.array([line for line, _ in numbers], dtype=numpy.int64),
        )  # fmt: skip
    lines = {name: asked.lines for name, asked in modules.items()}
    orders = EpochOrders(records, lines, count=count, seed=SEED)
    return [
        [used[line] for block in orders.order(epoch) for line in block.tolist()]
        for epoch in range(count)
    ]


@given(MODULES, COUNTS)
def test_epochs_are_what_the_rule_says(modules: Modules, count: int) -> None:
    assert planned(modules, count) == slowly(modules, count)


@given(MODULES, COUNTS)
def test_no_record_is_used_two_times_more_than_another(modules: Modules, count: int) -> None:
    uses = Counter(key for epoch in planned(modules, count) for key in epoch)
    for name, (usable, lines) in modules.items():
        numbers = [uses[name, number] for number in range(usable)]
        assert sum(numbers) == lines * count
        assert max(numbers) - min(numbers) <= 1


@given(MODULES, COUNTS, st.integers(1, 5))
def test_more_epochs_change_none_of_the_first(modules: Modules, count: int, more: int) -> None:
    assert planned(modules, count + more)[:count] == planned(modules, count)


@given(MODULES, COUNTS)
def test_modules_decide_nothing_about_each_other(modules: Modules, count: int) -> None:
    together = planned(modules, count)
    assert planned(dict(reversed(modules.items())), count) == together
    for name in modules:
        alone = planned({name: modules[name]}, count)
        assert alone == [[key for key in epoch if key[0] == name] for epoch in together]


@settings(deadline=None, max_examples=20)
@given(MODULES, COUNTS)
def test_what_is_too_much_for_memory_makes_the_same_orders(modules: Modules, count: int) -> None:
    expected = planned(modules, count)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scratch, "ROWS_IN_MEMORY", 2)
        patch.setattr("teapot.epochs._CHUNK_RECORDS", 3)
        assert planned(modules, count) == expected


def test_an_epoch_that_uses_less_than_all_meets_no_record_again_before_all_were_used() -> None:
    epochs = planned({"m": Asked(usable=10, lines=3)}, 3)
    assert len({key for epoch in epochs for key in epoch}) == 9
    for one, other in pairwise(epochs):
        assert not set(one) & set(other)


def test_the_records_that_epochs_use_are_counted_once() -> None:
    usable = {"a": Usable(records=10), "b": Usable(records=10), "c": Usable(records=0)}
    assert unique_lines({"a": 3, "b": 20, "c": 0}, 3, usable) == {"a": 9, "b": 10, "c": 0}


def test_more_lines_than_an_order_can_number_are_refused() -> None:
    with pytest.raises(DataError, match=r"4,294,967,297 lines are more than the 4,294,967,296"):
        UniqueRecords(MAX_LINES + 1)


def test_records_of_a_module_that_come_in_two_runs_are_refused() -> None:
    records = UniqueRecords(3)
    one = numpy.zeros((1, 32), dtype=numpy.uint8), numpy.zeros(1, dtype=numpy.uint32)
    for name in ("a", "b"):
        records.add(name, *one, numpy.zeros(1, dtype=numpy.int64))
    with pytest.raises(DataError, match="in one run"):
        records.add("a", *one, numpy.zeros(1, dtype=numpy.int64))

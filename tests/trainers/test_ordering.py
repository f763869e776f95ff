"""Which rows come in which step: drawn, or as the orders of epochs say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from teapot.digest import sha256_hex
from teapot.errors import DataError, DigestError
from teapot.model.fitjob import WORK, FitJob
from teapot.model.trainplan import PlannedOrder, TrainPlan
from teapot_trainers.ordering import DrawnSteps, OrderedSteps, read_orders
from tests.support.fitjobs import plan_for
from tests.support.models import write_model

ORDERS = ([0, 2, 2, 5, 1], [5, 4, 3, 1, 0])
"""Lines of the data, from 0."""


@pytest.fixture
def job(tmp_path: Path) -> FitJob:
    """A job whose two epochs have orders, of all lines."""
    write_model(tmp_path / "model", "apertus")
    work = tmp_path / WORK
    work.mkdir()
    planned = []
    for epoch, lines in enumerate(ORDERS, start=1):
        written = numpy.array(lines, dtype="<u4").tobytes()
        (work / f"epoch-{epoch}.order").write_bytes(written)
        planned.append(PlannedOrder(sha256=sha256_hex(written), examples=len(lines)))
    plan = replace(plan_for("apertus", tmp_path / "model"), orders=tuple(planned))
    return FitJob(
        plan=plan, rows=work / "rows.arrow", rows_sha256="", folder=tmp_path, work=work,
        tokenizer=tmp_path, weights="",
    )  # fmt: skip


@given(st.lists(st.lists(st.integers(0, 99), max_size=30), min_size=1, max_size=4), st.data())
def test_steps_are_the_orders_cut_at_the_end_of_each_epoch(
    orders: list[list[int]], data: st.DataObject
) -> None:
    examples = data.draw(st.integers(1, 8))
    sampler = OrderedSteps([numpy.array(order, dtype=int) for order in orders], examples=examples)
    steps = list(sampler)
    assert len(steps) == len(sampler)
    left = [line for order in orders for line in order]
    assert [line for step in steps for line in step] == left
    for order in orders:
        own = [steps.pop(0) for _ in range(-(-len(order) // examples))]
        assert [line for step in own for line in step] == order
        assert all(len(step) == examples for step, _ in pairwise(own))


def test_an_ordered_epoch_is_not_drawn_anew() -> None:
    sampler = OrderedSteps([numpy.array([3, 1, 2])], examples=2)
    sampler.set_epoch(1)
    assert list(sampler) == list(sampler) == [[3, 1], [2]]


def test_without_orders_each_epoch_is_drawn_and_has_every_row_once() -> None:
    sampler = DrawnSteps(10, examples=4, seed=1)
    first = list(sampler)
    sampler.set_epoch(1)
    second = list(sampler)
    assert first != second
    for steps in (first, second):
        assert sorted(row for step in steps for row in step) == list(range(10))


def test_orders_name_rows_by_their_places(job: FitJob) -> None:
    found = read_orders(job, range(1, 7))
    assert [order.tolist() for order in found] == [list(order) for order in ORDERS]


def test_lines_that_were_left_out_are_in_no_step(job: FitJob) -> None:
    kept = [1, 3, 4, 5]  # the lines 1 and 5, from 0, are not encoded
    orders = tuple(
        replace(order, examples=examples)
        for order, examples in zip(job.plan.orders, (3, 3), strict=True)
    )
    found = read_orders(replace(job, plan=replace(job.plan, orders=orders)), kept)
    assert [order.tolist() for order in found] == [[0, 1, 1], [3, 2, 0]]
    with pytest.raises(DataError, match=r"epoch-1\.order: has 3 examples, the plan is for 5"):
        read_orders(job, kept)


@pytest.mark.parametrize(
    ("change", "error", "told"),
    [
        (lambda path: path.unlink(), DataError, "cannot be read: No such file"),
        (lambda path: path.write_bytes(b"\0" * 20), DigestError, "the plan is for"),
        (lambda path: path.write_bytes(path.read_bytes()[:-4]), DigestError, "the plan is for"),
    ],
)
def test_an_order_that_was_not_planned_with_is_refused(
    change: Callable[[Path], object], error: type[DataError], told: str, job: FitJob
) -> None:
    change(job.orders[1])
    with pytest.raises(error, match=rf"epoch-2\.order: .*{told}"):
        read_orders(job, range(1, 7))


def test_a_plan_with_orders_comes_back_and_one_without_has_no_such_key(job: FitJob) -> None:
    value = job.plan.to_dict()
    assert value["orders"][0] == {"sha256": job.plan.orders[0].sha256, "examples": 5}
    assert TrainPlan.from_dict(value) == job.plan
    assert "orders" not in replace(job.plan, orders=()).to_dict()

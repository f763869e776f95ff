"""Which rows come in which step: an order that the plan has of each epoch, or a new one drawn.

Rows are named by their places among the encoded ones. A line of the data that was left out, which
the plan has counted, is in no step.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy
import torch
from numpy.typing import NDArray
from torch.utils.data import Sampler

from teapot.digest import sha256_hex
from teapot.errors import DataError, DigestError, Problem
from teapot.files import open_regular
from teapot.model.fitjob import FitJob

Places = NDArray[Any]


class DrawnSteps(Sampler):  # type: ignore[misc]  # its types are not read
    """The places of the rows of each step, in a new order each epoch, the same in every process.

    The last step of an epoch has what is left. Trainer sets the epoch through this object where it
    skips the steps before a checkpoint.
    """

    def __init__(self, rows: int, *, examples: int, seed: int) -> None:
        self._rows, self._examples, self._seed, self._epoch = rows, examples, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order comes next."""
        self._epoch = epoch

    def __iter__(self) -> Iterator[list[int]]:
        """Yield the places of each step's rows; every row comes once."""
        drawn = torch.Generator().manual_seed(self._seed + self._epoch)
        order = torch.randperm(self._rows, generator=drawn).tolist()
        for start in range(0, self._rows, self._examples):
            yield order[start : start + self._examples]

    def __len__(self) -> int:
        """Return how many steps an epoch has."""
        return (self._rows + self._examples - 1) // self._examples


class OrderedSteps(Sampler):  # type: ignore[misc]  # its types are not read
    """The places of the rows of each step, through all epochs, each in its own order.

    The last step of an epoch has what is left. To Trainer they are one epoch: it counts on epochs
    of equal steps, which they are not where lines were left out, and skips steps within one.
    """

    def __init__(self, orders: Sequence[Places], *, examples: int) -> None:
        self._orders, self._examples = orders, examples

    def set_epoch(self, epoch: int) -> None:
        """Change nothing: nothing is drawn."""

    def __iter__(self) -> Iterator[list[int]]:
        """Yield the places of each step's rows."""
        for order in self._orders:
            for start in range(0, len(order), self._examples):
                yield order[start : start + self._examples].tolist()

    def __len__(self) -> int:
        """Return how many steps all epochs have."""
        return sum(-(-len(order) // self._examples) for order in self._orders)


def read_orders(job: FitJob, lines: Sequence[int]) -> tuple[Places, ...]:
    """Return the places of rows in the order of each epoch; `lines` are theirs, ascending, from 1.

    Raises:
        DataError: an order is missing, or has not the examples that the plan counts.
        DigestError: it is not the one that was planned with.
    """
    of_rows = numpy.array(lines, dtype=numpy.int64)
    orders = []
    for path, planned in zip(job.orders, job.plan.orders, strict=True):
        try:
            with open_regular(path) as file:
                data = file.read()
        except OSError as error:
            raise DataError(Problem(str(path), f"cannot be read: {error.strerror}")) from error
        if sha256_hex(data) != planned.sha256:
            told = f"has sha256 {sha256_hex(data)}, the plan is for {planned.sha256}"
            raise DigestError(Problem(str(path), told))
        wanted = numpy.frombuffer(data, dtype="<u4").astype(numpy.int64) + 1
        places = numpy.searchsorted(of_rows, wanted)
        is_there = places < len(of_rows)
        is_there[is_there] = of_rows[places[is_there]] == wanted[is_there]
        orders.append(places[is_there])
        if len(orders[-1]) != planned.examples:
            told = f"has {len(orders[-1]):,} examples, the plan is for {planned.examples:,}"
            raise DataError(Problem(str(path), told))
    return tuple(orders)

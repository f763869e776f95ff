"""Orders of epochs on their way into a fine-tune: how many are trained, and what of each."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import numpy

from teapot.configfile import ConfigFile
from teapot.errors import ConfigError
from teapot.model.fitjob import FitJob
from teapot.model.manifest import Manifest
from teapot.model.trainplan import Hyperparameters, PlannedOrder
from teapot.usecases.verify import Verified


def with_epochs(
    numbers: Hyperparameters, file: ConfigFile | None, manifest: Manifest
) -> Hyperparameters:
    """Return numbers whose epochs have an order each: those asked for, else all there are.

    Raises:
        ConfigError: more are asked for than have an order, or a part of one.
    """
    count = len(manifest.orders)
    asked = None if file is None else file.config.training.epochs
    if not count:
        return numbers
    if file is None or asked is None:
        return replace(numbers, epochs=str(count))
    if asked % 1:
        told = f"found {asked}, expected a whole number, as each epoch has an order of its own"
        raise ConfigError(file.problem(("training", "epochs"), told))
    if asked > count:
        told = f"found {asked}, the composition has orders of {count}; compose again with more"
        raise ConfigError(file.problem(("training", "epochs"), told))
    return numbers


def planned_orders(
    composition: Verified, epochs: int, dropped: Collection[int]
) -> tuple[PlannedOrder, ...]:
    """Return the orders of the first epochs, without the lines, from 1, that are left out.

    Raises:
        DigestError: an order is no longer what was verified.
    """
    left_out = numpy.array(sorted(dropped), dtype=numpy.int64) - 1
    planned = []
    for epoch, stated in enumerate(composition.manifest.orders[:epochs]):
        gone = sum(int(numpy.isin(part, left_out).sum()) for part in composition.epoch(epoch))
        planned.append(PlannedOrder(sha256=stated.sha256, examples=stated.examples - gone))
    return tuple(planned)


def tokens_an_epoch(manifest: Manifest, tokens: dict[str, tuple[int, int]]) -> int:
    """Return the tokens of an epoch at each module's mean; `tokens` has rows and tokens of each."""
    lines = {module.name: module.examples for module in manifest.report.modules}
    return sum(lines[name] * count // rows for name, (rows, count) in tokens.items())


def write_orders(composition: Verified, job: FitJob) -> None:
    """Write the orders of a job's epochs into its working folder, hashed while they are read.

    Raises:
        DigestError: an order is no longer what was verified.
    """
    for epoch, path in enumerate(job.orders):
        with Path(path).open("wb") as file:
            for lines in composition.epoch(epoch):
                file.write(lines.tobytes())

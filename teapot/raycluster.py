"""Tasks on Ray, which runs a task again when the process or the machine that ran it is lost."""

from __future__ import annotations

import logging
import os
import re
import secrets
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from functools import partial
from typing import Any

from teapot.cluster import Cluster, Engine, Ref, guarded, value_of
from teapot.errors import MissingExtraError, OutputError, Problem, UsageError

RETRIES = 8
_TIMEOUT_SECONDS = 10.0
_ADDRESS = re.compile(r"(?:ray://)?([^/\s]+):([0-9]+)")
_SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",  # it would tell its makers
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # it would warn of what does not concern us
}


def ray_engine(address: str | None = None, *, workers: int | None = None, **sizes: int) -> Engine:
    """Return the engine of a Ray cluster: the one at an address, else one of our own, here.

    `workers` are the processors of our own; `sizes` are those of `Engine`.
    """
    return Engine(start=partial(ray_cluster, address, workers), **sizes)


@contextmanager
def ray_cluster(address: str | None, workers: int | None) -> Iterator[Cluster]:
    """Give a Ray cluster; one that this process is connected to already is used, and stays.

    Raises:
        MissingExtraError: Ray is not installed.
        UsageError: there is no cluster at the address.
    """
    with _own_settings(address), redirect_stdout(sys.stderr):
        # Ray tells on stdout of workers that were lost, where results are expected.
        try:
            import ray
        except ImportError as error:
            raise MissingExtraError("--engine ray", "ray") from error
        if ray.is_initialized():
            yield _RayCluster(ray)
            return
        _connect(ray, address, workers)
        try:
            yield _RayCluster(ray)
        finally:
            ray.shutdown()


def _connect(ray: Any, address: str | None, workers: int | None) -> None:
    if address is not None:
        _refuse_unreachable(address)
    with _own_signals():
        try:
            ray.init(
                address=address or "local", num_cpus=None if address else workers,
                include_dashboard=None if address else False, log_to_driver=False,
                logging_level=logging.ERROR,
            )  # fmt: skip
        except (ConnectionError, ValueError, RuntimeError) as error:
            told = f"no Ray cluster can be reached: {error}"
            raise UsageError(Problem(f"--ray-address {address or 'local'}", told)) from error


@contextmanager
def _own_settings(address: str | None) -> Iterator[None]:
    """Set what the environment leaves open, as long as this lasts.

    A cluster of our own gets a token of its own; Ray would leave one in the user's home.
    """
    settings = dict(_SETTINGS)
    if address is None:
        settings |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    added = {name: value for name, value in settings.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)


def _refuse_unreachable(address: str) -> None:
    """Refuse an address at which nobody answers, of which Ray itself would try to make sure long.

    Raises:
        UsageError: nobody does.
    """
    found = _ADDRESS.fullmatch(address)
    if found is None:
        return  # such as `auto`, which Ray knows how to read
    try:
        socket.create_connection((found[1].strip("[]"), int(found[2])), _TIMEOUT_SECONDS).close()
    except (OSError, OverflowError) as error:
        told = f"no Ray cluster can be reached: {error}"
        raise UsageError(Problem(f"--ray-address {address}", told)) from error


class _RayCluster:
    def __init__(self, ray: Any) -> None:
        self._ray = ray
        self._guarded = ray.remote(_call)

    @property
    def workers(self) -> int:
        """Return how many tasks run at once."""
        return max(int(self._ray.cluster_resources().get("CPU", 1)), 1)

    def submit(self, task: Callable[..., Any], *given: object, returns: int = 1) -> list[Ref]:
        """Have a task run; what it returns is one result, or a list of so many."""
        run = self._guarded.options(num_returns=returns, max_retries=RETRIES, name=task.__name__)
        made = run.remote(task, returns, *given)
        return [made] if returns == 1 else list(made)

    def wait(self, ref: Ref) -> None:
        """Wait until a result is made."""
        self._ray.wait([ref], fetch_local=False)

    def result(self, ref: Ref) -> Any:
        """Return a result when it is made.

        Raises:
            TeapotError: what the task has raised.
            OutputError: its workers died again and again.
        """
        try:
            return value_of(self._ray.get(ref))
        except (self._ray.exceptions.RayTaskError, self._ray.exceptions.TaskUnschedulableError):
            raise  # a fault of the program, with its own traceback
        except self._ray.exceptions.RayError as error:
            told = f"a task was lost {RETRIES + 1} times: {type(error).__name__}: {error}"
            raise OutputError(Problem("ray", told)) from error


def _call(task: Callable[..., Any], returns: int, *given: object) -> Any:
    return guarded(task, returns, given)


@contextmanager
def _own_signals() -> Iterator[None]:
    """Keep what this process does when it is asked to end, for which Ray has its own mind."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

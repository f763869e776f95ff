"""Where tasks run that need nothing but what they are given: in other processes, on other machines.

A task is a function of a module and values that can be pickled. It may run more than once, and only
what one of the runs returned counts; so it changes nothing that anybody else sees.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from teapot import errors
from teapot.errors import Problem, TeapotError

RANGE_BYTES = 64 << 20
BUCKET_BYTES = 64 << 20
MOST_TASKS = 2048
Ref = Any
"""What stands for a result that may not be made yet; a task may be given it."""


class Cluster(Protocol):
    """Runs tasks on `workers` processors."""

    @property
    def workers(self) -> int:
        """Return how many tasks run at once."""
        ...

    def submit(self, task: Callable[..., Any], *given: object, returns: int = 1) -> list[Ref]:
        """Have a task run; what it returns is one result, or a list of so many."""
        ...

    def wait(self, ref: Ref) -> None:
        """Wait until a result is made."""
        ...

    def result(self, ref: Ref) -> Any:
        """Return a result when it is made.

        Raises:
            TeapotError: what the task has raised, or that its workers died again and again.
        """
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Engine:
    """A cluster to be started, and how much a task takes on: neither changes a byte of a mix.

    A range is parsed by one task, a bucket is a run of output lines that one task puts in order.
    Both grow where there would be more than `most_tasks` of a kind.
    """

    start: Callable[[], AbstractContextManager[Cluster]]
    range_bytes: int = RANGE_BYTES
    bucket_bytes: int = BUCKET_BYTES
    most_tasks: int = MOST_TASKS


@dataclass(frozen=True, slots=True)
class Failure:
    """An error of Teapot's that a task ended with, fit to be sent."""

    kind: str
    problems: tuple[Problem, ...]

    def error(self) -> TeapotError:
        """Return the error, to be raised again."""
        kind = getattr(errors, self.kind, TeapotError)
        error: TeapotError = kind.__new__(kind)  # some are made of other things than problems
        TeapotError.__init__(error, *self.problems)
        return error


def guarded(task: Callable[..., Any], returns: int, given: tuple[object, ...]) -> Any:
    """Return what a task returns, or the failure it ends with or was given, as often as asked."""
    failure = next((one for one in given if isinstance(one, Failure)), None)
    if failure is None:
        try:
            return task(*given)
        except TeapotError as error:
            failure = Failure(type(error).__name__, error.problems)
    return failure if returns == 1 else [failure] * returns


def value_of(result: Any) -> Any:
    """Return a result.

    Raises:
        TeapotError: it is a failure.
    """
    if isinstance(result, Failure):
        raise result.error()
    return result

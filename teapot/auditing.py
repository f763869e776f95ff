"""The audit of a ledger beside other work, in a process of its own where the ledger is large.

Whoever reads Parquet stands open to whoever wrote it, and nothing vouches for a ledger's bytes; so
the end of such a process is a fault and not a crash. What reads Parquet is loaded there only.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path

from teapot import processes
from teapot.errors import DataError, Problem
from teapot.model.ledgeraccount import LedgerAccount, LedgerSizes
from teapot.processes import OwnProcesses


@contextmanager
def reader_of(path: Path) -> Iterator[OwnProcesses | None]:
    """Give the process that is to read a large ledger, which loads meanwhile what reads Parquet.

    Nothing of the ledger is read: whether to do so may yet have to be found out.
    """
    if not _is_large(path):
        yield None
        return
    with OwnProcesses(1) as pool:
        pool.submit(_load)
        yield pool


@contextmanager
def auditing(
    path: Path, claimed: Path, stated: LedgerSizes, *, reader: OwnProcesses | None = None
) -> Iterator[Future[LedgerAccount]]:
    """Give the future account of a ledger, made beside other work where the ledger is large.

    The digest that a ledger row claims for a line is put into the scratch file `claimed`, and for
    one of a validation file into `held_beside(claimed)`. `reader` is a process that `reader_of` has
    begun.
    """
    if reader is not None:
        yield reader.submit(_bounded_audit, path, claimed, stated)
        return
    if not needs_own_process(path):
        yield _done(path, claimed, stated)
        return
    with OwnProcesses(1) as pool:
        yield pool.submit(_bounded_audit, path, claimed, stated)


def account_of(future: Future[LedgerAccount], path: Path) -> LedgerAccount:
    """Return an account when it is made.

    Raises:
        DataError: the file is no ledger, or its reader broke down over it.
    """
    try:
        return future.result()
    except BrokenProcessPool as error:
        told = "broke the process that read it as Parquet; it is damaged or made to do harm"
        raise DataError(Problem(str(path), told)) from error


def needs_own_process(path: Path) -> bool:
    """Tell whether a ledger is to be read elsewhere: it is large, or could unpack to much."""
    if not path.is_file():
        return False
    if _is_large(path):
        return True
    from teapot.ledgerguard import unpacks_to_much

    return unpacks_to_much(path)


def _is_large(path: Path) -> bool:
    return path.is_file() and path.stat().st_size > processes.OWN_PROCESS_BYTES


def _load() -> None:
    import teapot.ledgeraudit  # noqa: F401 - so that it is there when it is wanted


def _bounded_audit(path: Path, claimed: Path, stated: LedgerSizes) -> LedgerAccount:
    from teapot.ledgeraudit import audit_ledger
    from teapot.ledgerguard import bound_memory

    bound_memory()
    return audit_ledger(path, claimed, stated.rows, stated.lines, stated.held)


def _done(path: Path, claimed: Path, stated: LedgerSizes) -> Future[LedgerAccount]:
    from teapot.ledgeraudit import audit_ledger

    future: Future[LedgerAccount] = Future()
    try:
        account = audit_ledger(path, claimed, stated.rows, stated.lines, stated.held)
        future.set_result(account)
    except DataError as error:
        future.set_exception(error)
    return future

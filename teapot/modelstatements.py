"""Reading what a model folder's statements say: strict JSON, safe names, one way to write it."""

from __future__ import annotations

from collections.abc import Iterable

from teapot.errors import DataError, Problem
from teapot.model.exportstatement import ExportStatement
from teapot.model.trainstatement import TrainStatement
from teapot.names import file_fault
from teapot.statementfile import read_object, refuse_other_form

MAX_BYTES = 4 << 20


def read_train_statement(data: bytes, where: str) -> TrainStatement:
    """Return the train statement in a file's bytes; `where` is shown in errors.

    Raises:
        DataError: it is not strict JSON, does not fit the schema, names a file that is not beside
            it, or is not written as Teapot writes it.
    """
    value = read_object(data, where, schema="train", max_bytes=MAX_BYTES)
    statement = TrainStatement.from_dict(value)
    composed = statement.composed
    orders = (order.name for order in composed.orders)
    held = [] if statement.run.validation is None else [statement.run.validation.name]
    names = (*statement.weights, composed.manifest, composed.data, *orders, *held)
    _refuse_names(names, where)
    told = "is not written as Teapot writes a train statement"
    refuse_other_form(data, statement.to_bytes(), where, told)
    return statement


def read_export_statement(data: bytes, where: str) -> ExportStatement:
    """Return the export statement in a file's bytes; `where` is shown in errors.

    Raises:
        DataError: as `read_train_statement` does.
    """
    value = read_object(data, where, schema="export", max_bytes=MAX_BYTES)
    statement = ExportStatement.from_dict(value)
    _refuse_names(statement.weights, where)
    told = "is not written as Teapot writes an export statement"
    refuse_other_form(data, statement.to_bytes(), where, told)
    return statement


def _refuse_names(names: Iterable[str], where: str) -> None:
    for name in names:
        fault = file_fault(name)
        if fault is not None:
            raise DataError(Problem(where, f"the file name {name!a} {fault}"))

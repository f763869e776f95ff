"""Reading a train statement: strict JSON, its schema, safe names, and one way to write it."""

from __future__ import annotations

from teapot.canonical import CanonicalError, check_numbers, loads
from teapot.errors import DataError, Problem
from teapot.manifestfile import other_line
from teapot.model.trainstatement import TrainStatement
from teapot.names import file_fault
from teapot.schemas import schema_faults
from teapot.strictyaml import YamlDocument

MAX_BYTES = 4 << 20
_SHOWN_FAULTS = 5


def read_statement(data: bytes, where: str) -> TrainStatement:
    """Return the train statement in a file's bytes; `where` is shown in errors.

    Raises:
        DataError: it is not strict JSON, does not fit the schema, names a file that is not beside
            it, or is not written as Teapot writes it.
    """
    if len(data) > MAX_BYTES:
        raise DataError(Problem(where, f"has {len(data):,} bytes, expected {MAX_BYTES:,} at most"))
    try:
        value = loads(data)
        check_numbers(value)
    except CanonicalError as error:
        raise DataError(Problem(where, f"is not strict JSON: {error}")) from error
    document = YamlDocument(where, value, {})
    faults = list(schema_faults("train", document))
    if faults or not isinstance(value, dict):
        raise DataError(*document.problems(faults[:_SHOWN_FAULTS]))
    statement = TrainStatement.from_dict(value)
    for name in (*statement.weights, statement.composed.manifest, statement.composed.data):
        fault = file_fault(name)
        if fault is not None:
            raise DataError(Problem(where, f"the file name {name!a} {fault}"))
    written = statement.to_bytes()
    if written != data:
        told = "is not written as Teapot writes a train statement: "
        raise DataError(Problem(where, told + other_line(data, written)))
    return statement

"""The use case `attribution`: whose data a composition is, from its manifest alone."""

from __future__ import annotations

from pathlib import Path

from teapot.attribution import attribution_of
from teapot.errors import DataError, Problem, UsageError
from teapot.files import open_regular
from teapot.manifestfile import MAX_BYTES, number_faults, read_manifest, recipe_faults
from teapot.usecases.targets import compositions_of


def attribution(target: str | Path) -> str:
    """Return the text of a composition's attribution, as its manifest states it.

    It is the same as in the file that was composed with it, by the same version of Teapot. The
    manifest is read, and not verified.

    Raises:
        UsageError: the target names no composition, or several, or its manifest cannot be read.
        DataError: the manifest is none, or contradicts itself.
    """
    found = compositions_of([Path(target)])
    if len(found) != 1:
        raise UsageError(Problem(str(target), f"names {len(found)} compositions, expected one"))
    path = found[0].manifest
    try:
        with open_regular(path) as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(Problem(str(path), f"cannot be read: {error.strerror}")) from error
    manifest = read_manifest(data, str(path))
    faults = [*number_faults(manifest), *recipe_faults(manifest)]
    if faults:
        raise DataError(*(Problem(str(path), fault) for fault in faults))
    return attribution_of(manifest)

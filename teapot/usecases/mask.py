"""The use case `mask`: one line of a verified data file as a base is trained on it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from teapot.canonical import loads
from teapot.errors import DataError, Problem, UsageError, counted
from teapot.interfaces import Trainer
from teapot.model.masked import MaskedRow
from teapot.usecases.verify import Verified, VerifyOptions, verified


@dataclass(frozen=True, kw_only=True, slots=True)
class MaskOptions:
    """What a line is shown with: the base's tokenizer and system prompt, and how it is verified."""

    tokenizer: Path | None = None
    system_prompt: str | None = None
    verify: VerifyOptions = field(default_factory=VerifyOptions)


def mask_line(
    target: str | Path, line: int, trainer: Trainer, options: MaskOptions | None = None
) -> MaskedRow:
    """Return a line of a composition, counted from 1, in pieces that say what is trained.

    Raises:
        DataError, UnsignedError, UntrustedError: the composition does not verify, or the line
            cannot be trained on this base.
        UsageError: there is no such line, no such composition or no such tokenizer.
    """
    options = options or MaskOptions()
    composition = verified(target, options.verify)
    record = loads(_line(composition, line))
    try:
        pieces = trainer.mask(
            record["messages"], record.get("tools"), options.system_prompt, options.tokenizer
        )
    except DataError as error:
        where = f"{composition.paths.data}:{line}"
        told = [replace(problem, where=problem.where or where) for problem in error.problems]
        raise DataError(*told) from error
    return MaskedRow(line, trainer.base.name, pieces)


def _line(composition: Verified, wanted: int) -> bytes:
    """Return a line after all of them were hashed again, so that it is one that was verified."""
    found = None
    for number, line in enumerate(composition.lines(), start=1):
        if number == wanted:
            found = line
    if found is None:
        lines = counted(composition.manifest.data.records, "line")
        problem = Problem(str(composition.paths.data), f"has no line {wanted}, it has {lines}")
        raise UsageError(problem)
    return found

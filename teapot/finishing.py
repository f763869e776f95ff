"""What follows judging, on every engine and for every kind of source: edits, screens, sketches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from teapot.editing import Editor, Edits, edits_of
from teapot.interfaces import Block
from teapot.model.likeness import Likeness
from teapot.model.record import Fault, Row
from teapot.partmaker import PartMaker
from teapot.parts import Part
from teapot.resolve import ModuleInMix, ResolvedMix
from teapot.screening import Screener
from teapot.screens import ScreenSpec
from teapot.sketches import Sketcher


@dataclass(frozen=True, kw_only=True, slots=True)
class Finishing:
    """What is done to the records of one module after they were judged; a value that can be sent.

    `screens` are run in their order, on records as reviewers left them. `likeness` says what is
    kept of a record to tell its duplicates by.
    """

    edits: Edits | None = None
    screens: tuple[ScreenSpec, ...] = ()
    likeness: Likeness = field(default_factory=Likeness)

    @property
    def needs_lines(self) -> bool:
        """Tell whether the lines of all records must be at hand."""
        return bool(self.screens) or not self.likeness.is_exact


def finishing_of(mix: ResolvedMix, module: ModuleInMix) -> Finishing:
    """Return what is done to the records of a module of a mix."""
    return Finishing(
        edits=edits_of(module.curation), screens=module.screens,
        likeness=mix.config.sketched,
    )  # fmt: skip


class Finisher:
    """Finishes parts that one maker has made; may be used by several threads."""

    def __init__(self, maker: PartMaker, finishing: Finishing, *, again: bool = False) -> None:
        """With `again`, for lines that are made once more, do only what changes records."""
        self._editor = Editor(maker, finishing.edits)
        self._screener = Screener(maker, finishing.screens, again=again)
        sketches = not finishing.likeness.is_exact and not again
        self._sketcher = Sketcher(finishing.likeness) if sketches else None

    def of_block(self, part: Part, block: Block) -> Part:
        """Return the finished part of a block."""
        return self._finished(self._editor.of_block(part, block))

    def of_rows(self, part: Part, rows: Sequence[Row | Fault]) -> Part:
        """Return the finished part of rows."""
        return self._finished(self._editor.of_rows(part, rows))

    def _finished(self, part: Part) -> Part:
        screened = self._screener.of_part(part)
        return screened if self._sketcher is None else self._sketcher.of_part(screened)

"""A difference as tables of texts, and these on a terminal or in Markdown.

What comes from data sets or names is nobody's word: control characters are shown as escapes, and in
Markdown such text stands in code, where it is no link, no mention and no HTML.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from teapot.cli.app import harmless
from teapot.cli.show import cell, plain_table, print_table

if TYPE_CHECKING:
    from teapot.model.difference import Difference, DiffSide, RowFound

_SHOWN_CHARACTERS = 72
_SUMMARY = "a summary, from what the manifests state: not every row could be compared, because"
_COMPARED = {
    "rows": "every row, from both ledgers",
    "configs": "two configs as they are resolved, their modules included; no source was read",
    "locks": "two locks, pin by pin",
    "recipes": "what both tell: the recipe, without what was read of the sources",
    "sources": "what both tell: the sources, as pinned and as read",
}
_ROW_HEADINGS = (
    "module", ">same", ">changed", ">added", ">removed", ">entered", ">left", ">recounted",
    ">relicensed",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Page:
    """A table; a heading that starts with > is of numbers, every other of texts."""

    title: str
    headings: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


def print_text(found: Difference) -> None:
    """Print a difference for a terminal."""
    for name, side in (("a", found.a), ("b", found.b)):
        first, *others = _told(side)
        click.echo(harmless(f"{name}         {side.target}: {first}"))
        for line in others:
            click.echo(harmless(f"          {line}"))
    click.echo(harmless(f"compared  {_compared(found)}"))
    for page in _pages(found):
        table = plain_table(page.headings[0], *page.headings[1:])
        for row in page.rows:
            table.add_row(*map(cell, row))
        print_table(table)
    click.echo(_verdict(found))


def print_markdown(found: Difference) -> None:
    """Print a difference for a comment on a pull request."""
    click.echo(f"### teapot diff: {_verdict(found)}\n")
    for name, side in (("a", found.a), ("b", found.b)):
        click.echo(f"- {name}: {', '.join(map(_code, (side.target, *_told(side))))}")
    click.echo(f"- compared: {_code(_compared(found))}")
    for page in _pages(found):
        names = [heading.removeprefix(">") for heading in page.headings]
        marks = ["---:" if heading.startswith(">") else "---" for heading in page.headings]
        click.echo(f"\n**{page.title}**\n")
        for row in (names, marks):
            click.echo(f"| {' | '.join(row)} |")
        for texts in page.rows:
            pairs = zip(page.headings, texts, strict=True)
            row = [text if heading.startswith(">") else _code(text) for heading, text in pairs]
            click.echo(f"| {' | '.join(row)} |")


def _pages(found: Difference) -> Iterator[Page]:
    """Yield the tables that have anything to say."""
    everything = (_modules, _rows, _dropped, _licenses, _sources, _settings, _examples)
    yield from (page for page in (make(found) for make in everything) if page.rows)


def _modules(found: Difference) -> Page:
    sides = [side for module in found.modules for side in (module.a, module.b) if side]
    is_counted = bool(sides) and all(side.tokens is not None for side in sides)
    size = "tokens" if is_counted else "characters"
    headings = (
        "module",
        ">asked",
        ">read",
        ">usable",
        ">lines",
        ">asked %",
        ">rows %",
        ">" + size,
    )
    names = ("asked", "read", "usable", "lines", "share_asked", "share", size)
    rows = [
        (module.name, *(_change(_of(module.a, name), _of(module.b, name)) for name in names))
        for module in found.modules
        if module.a != module.b
    ]
    return Page("Modules", headings, rows)


def _rows(found: Difference) -> Page:
    rows = [
        (module.name, *(f"{getattr(module.rows, name[1:]):,}" for name in _ROW_HEADINGS[1:]))
        for module in found.modules
        if module.rows is not None and not module.rows.is_none
    ]
    return Page("Rows read", _ROW_HEADINGS, rows)


def _dropped(found: Difference) -> Page:
    rows = []
    for module in found.modules:
        for word in ("dropped", "repaired"):
            of_a, of_b = (getattr(side, word, {}) for side in (module.a, module.b))
            rows += [
                (word, module.name, reason, f"{of_a.get(reason, 0):,}", f"{of_b.get(reason, 0):,}")
                for reason in sorted({*of_a, *of_b})
                if of_a.get(reason, 0) != of_b.get(reason, 0)
            ]
    return Page("Dropped and repaired", ("fate", "module", "reason", ">a", ">b"), rows)


def _licenses(found: Difference) -> Page:
    rows = [
        (part.license, _change(*(_of(side, "lines") for side in (part.a, part.b))))
        for part in found.licenses
    ]
    return Page("Licences", ("licence", ">lines"), rows)


def _sources(found: Difference) -> Page:
    rows = []
    for source in found.sources:
        for name in ("uri", "revision", "sha256", "rows"):
            of_a, of_b = (getattr(side, name, None) for side in (source.a, source.b))
            if of_a != of_b:
                rows.append((f"{source.module} {source.id}", name, _value(of_a), _value(of_b)))
    return Page("Sources", ("source", "what", "a", "b"), rows)


def _settings(found: Difference) -> Page:
    rows = [(s.path, _value(s.a), _value(s.b)) for s in found.settings]
    return Page("Settings", ("setting", "a", "b"), rows)


def _examples(found: Difference) -> Page:
    rows = [
        (kind, module.name, *_example(example.a, example.b))
        for module in found.modules
        if module.rows is not None
        for kind, examples in module.rows.examples.items()
        for example in examples
    ]
    return Page("Examples", ("change", "module", "id", "row", ">lines"), rows)


def _example(a: RowFound | None, b: RowFound | None) -> tuple[str, str, str]:
    """Return id, place and lines of a row, of both sides where they differ."""
    there = [row for row in (a, b) if row is not None]
    ids = dict.fromkeys(_short(row.id or "(no id)") for row in there)
    places = dict.fromkeys(f"{row.source}:{row.row}" for row in there)
    lines = _change(*(None if row is None else f"{row.lines:,}" for row in (a, b)))
    return " → ".join(ids), " → ".join(places), lines


def _of(side: object, name: str) -> str | None:
    """Return a number or a decimal of a side as it is shown; None where there is no side."""
    if side is None:
        return None
    value = getattr(side, name)
    return f"{value:,}" if isinstance(value, int) else value


def _change(a: str | None, b: str | None) -> str:
    return str(a) if a == b else f"{a or '–'} → {b or '–'}"


def _value(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, dict) and "weight" in value:  # a module that only one side has
        return f"weight {value['weight']}"
    if isinstance(value, dict) and value.get("amount"):  # the same, by another amount
        return _short(", ".join(f"{key} {text}" for key, text in value["amount"].items()))
    is_text = isinstance(value, str)
    return _short(value if is_text else json.dumps(value, ensure_ascii=False, sort_keys=True))


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[: _SHOWN_CHARACTERS - 1]}…"


def _code(text: str) -> str:
    """Return text as code in a cell: what would end either is shown as its number."""
    shown = harmless(text).replace("|", "\\x7c").replace("`", "\\x60").strip()
    return f"`{shown}`" if shown else ""


def _told(side: DiffSide) -> tuple[str, ...]:
    """Return what a side is, and who vouches for it."""
    told = [side.kind]
    if side.manifest_sha256 is not None:
        told.append(f"manifest sha256 {side.manifest_sha256[:16]}…")
    if side.ledger != "none":
        told.append(f"ledger {side.ledger}")
    line = ", ".join(told)
    if side.trust == "none":
        return (line,)
    if side.trust == "signed":
        return line, f"signed by {side.trust_told}"
    return line, f"{side.trust.upper()}: {side.trust_told}"


def _compared(found: Difference) -> str:
    if found.compared in _COMPARED:
        return _COMPARED[found.compared]
    without = [name for name, side in (("a", found.a), ("b", found.b)) if side.ledger == "absent"]
    return f"{_SUMMARY} the ledger of {' and '.join(without)} is not here"


def _verdict(found: Difference) -> str:
    if found.is_same:
        return "the same"
    counts = {
        "module": sum(not module.is_none for module in found.modules),
        "licence": len(found.licenses),
        "source": len(found.sources),
        "setting": len(found.settings),
    }
    told = [f"{n} {what}{'' if n == 1 else 's'}" for what, n in counts.items() if n]
    return f"they differ in {', '.join(told) or 'the bytes of the data file or the ledger'}"

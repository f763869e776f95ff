"""How values look on a terminal: tables and plain lines on stdout, JSON where it was asked for."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import click

from teapot.cli.app import harmless
from teapot.errors import counted

if TYPE_CHECKING:
    from rich.table import Table

    from teapot.model.report import CurationReport, MixReport, ModuleReport
    from teapot.model.verification import CheckResult, Verification

_WIDTH_IN_A_PIPE = 120
_ANY_WIDTH = 10_000


def print_json(value: Any) -> None:
    """Print one JSON value."""
    click.echo(json.dumps(value, ensure_ascii=False, indent=2))


def print_report(report: MixReport) -> None:
    """Print the tables of a mix: modules, dropped rows, licences."""
    print_table(_modules(report))
    print_table(_licenses(report))
    for module in report.modules:
        if module.dropped:
            told = ", ".join(f"{count} {reason}" for reason, count in module.dropped.items())
            click.echo(harmless(f"dropped   {module.name}: {told}"))
        if module.repaired:
            told = ", ".join(f"{count} {repair}" for repair, count in module.repaired.items())
            click.echo(harmless(f"repaired  {module.name}: {told}"))
        if module.curation:
            click.echo(harmless(f"reviewed  {module.name}: {_reviewed(module.curation)}"))
    if report.split is not None:
        click.echo(f"split     {report.split_told}")
    if report.epochs is not None:
        click.echo(
            f"epochs    {report.epochs:,} of {report.examples:,} examples each, of "
            f"{report.total.lines:,} unique lines"
        )
    if report.duplicate_groups:
        click.echo(
            f"duplicates: {report.duplicate_records} records repeat the content of "
            f"{report.duplicate_groups} others"
        )
    if report.near_duplicates is not None:
        told = counted(report.near_duplicates, "record")
        click.echo(f"near duplicates: {told} like another that is kept")


def _reviewed(curation: CurationReport) -> str:
    rows = ", ".join(f"{count} {word}" for word, count in curation.rows.items())
    return f"{rows}; {curation.matched} of {curation.matched + curation.orphans} verdicts matched"


def print_warnings(report: MixReport, *, quiet: bool) -> None:
    """Print the warnings to stderr."""
    for warning in () if quiet else report.warnings:
        click.echo(harmless(f"warning: {warning}"), err=True)


def plain_table(*headings: str) -> Table:
    """Return an empty table in the house's style; headings that start with > are for numbers."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for heading in headings:
        number = heading.startswith(">")
        table.add_column(
            heading.removeprefix(">"),
            justify="right" if number else "left",
            no_wrap=number,
            overflow="fold",
        )
    return table


def print_table(table: Table) -> None:
    """Print one table, over the terminal's edge where it must be: a cut number is another one."""
    from rich.console import Console
    from rich.measure import Measurement

    width = None if sys.stdout.isatty() else _WIDTH_IN_A_PIPE
    console = Console(width=width, highlight=False)
    least = Measurement.get(console, console.options.update(width=_ANY_WIDTH), table).minimum
    console.width = max(console.width, least)
    console.print(table)


def cell(text: object) -> str:
    """Return a cell's text with nothing in it that a terminal or rich would act on."""
    from rich.markup import escape

    return escape(harmless(str(text)))


def print_verification(verification: Verification) -> None:
    """Print each check of a verification, and what it comes to."""
    click.echo(harmless(verification.target))
    for result in verification.results:
        for line in result_lines(result):
            click.echo(harmless(line))
    click.echo(harmless(_summary(verification)))


def _summary(verification: Verification) -> str:
    from teapot.model.verification import Status

    of = {status: [r.name for r in verification.results if r.status == status] for status in Status}
    if verification.is_ok:
        left = f", {len(of[Status.SKIPPED])} skipped" if of[Status.SKIPPED] else ""
        return f"verified: {len(of[Status.OK])} checks hold{left}"
    wrong = [
        f"{status} in {', '.join(dict.fromkeys(names))}" for status, names in of.items()
        if names and status not in (Status.OK, Status.NOTE, Status.SKIPPED)
    ]  # fmt: skip
    return f"NOT VERIFIED: {'; '.join(wrong)} (exit code {verification.exit_code})"


def result_lines(result: CheckResult) -> list[str]:
    """Return one check as it is shown: what was compared, what was expected and found."""
    lines = [f"  {result.status.upper():<11} {result.name}: {result.compared}"]
    indent = " " * 14
    if result.expected is not None and result.expected == result.found:
        lines.append(f"{indent}both {result.found}")
    elif result.found is not None:
        if result.expected is not None:
            lines.append(f"{indent}expected {result.expected}")
        lines.append(f"{indent}found    {result.found}")
    return lines + [f"{indent}{detail}" for detail in result.details]


def _modules(report: MixReport) -> Table:
    from teapot.reporting import share_of

    tokens = report.total.tokens
    last = ">tokens %" if tokens is not None else ">chars %"
    asked = ("asked", "realised") if report.has_amounts else (">weight",)
    lines = (">lines",) if report.epochs is None else (">unique", ">an epoch")
    table = plain_table("module", *asked, ">read", ">dropped", ">usable", *lines, ">rows %",
                        last, ">unused")  # fmt: skip
    for module in report.modules:
        part, whole = module.characters, report.total.characters
        if module.tokens is not None and tokens is not None:
            part, whole = module.tokens, tokens
        table.add_row(
            cell(module.name), *_asked(report, module), f"{module.read:,}",
            f"{sum(module.dropped.values()):,}", f"{module.usable:,}",
            *_lines(report, module.lines, module.examples),
            str(share_of(module.examples, report.examples)), str(share_of(part, whole)),
            f"{module.unused:,}",
        )  # fmt: skip
    table.add_section()
    sums = [sum(getattr(module, key) for module in report.modules) for key in ("read", "usable")]
    dropped = sum(sum(module.dropped.values()) for module in report.modules)
    unused = sum(module.unused for module in report.modules)
    table.add_row("all", *("" for _ in asked), f"{sums[0]:,}", f"{dropped:,}", f"{sums[1]:,}",
                  *_lines(report, report.total.lines, report.examples), "100.0", "100.0",
                  f"{unused:,}")  # fmt: skip
    return table


def _lines(report: MixReport, lines: int, examples: int) -> tuple[str, ...]:
    """Return the lines of the data, beside them the examples of an epoch where that is another."""
    return (f"{lines:,}",) if report.epochs is None else (f"{lines:,}", f"{examples:,}")


def _asked(report: MixReport, module: ModuleReport) -> tuple[str, ...]:
    """Return what was asked of a module, beside it what it came to where it may be no weight."""
    if report.has_amounts:
        return cell(module.asked), cell(report.realised(module))
    return (module.weight_text,)


def _licenses(report: MixReport) -> Table:
    from teapot.reporting import share_of

    counted = report.total.tokens is not None
    table = plain_table("licence", ">lines", ">rows %", ">tokens" if counted else ">characters")
    for name, amount in report.licenses.items():
        size = amount.tokens if amount.tokens is not None else amount.characters
        table.add_row(cell(name), f"{amount.lines:,}",
                      str(share_of(amount.lines, report.total.lines)), f"{size:,}")  # fmt: skip
    return table

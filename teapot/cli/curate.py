"""`teapot curate`: reviewers' verdicts, from a review in the terminal to a published file."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from teapot.cli.app import harmless
from teapot.cli.options import common
from teapot.cli.show import plain_table, print_json, print_table
from teapot.errors import counted

if TYPE_CHECKING:
    from teapot.usecases.curate import Stats, Written
    from teapot.usecases.modulerecords import ModuleRecords

_config = click.option(
    "--config", type=click.Path(path_type=Path), metavar="CONFIG",
    help="Read the module as this config does; verdicts then lie beside it.",
)  # fmt: skip
_version = click.option(
    "--version", default="v1", show_default=True, metavar="NAME",
    help="The name behind the colon of published: and local:.",
)  # fmt: skip
_reviewer = click.option(
    "--reviewer", envvar="TEAPOT_REVIEWER", metavar="NAME",
    help="Who you are; else $TEAPOT_REVIEWER.",
)  # fmt: skip
_files = click.argument(
    "files", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True)
)


@click.group()
def curate() -> None:
    """Review a module's records, and keep, merge and publish the verdicts.

    Local verdicts lie in .curations, published ones beside the module's file. A config applies them
    with curations: {MODULE: local:v1} or published:v1.
    """


@curate.command("import")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--module", required=True, metavar="MODULE", help="The module they speak of.")
@_config
@_version
@_reviewer
@common
def import_(
    file: Path, module: str, config: Path | None, version: str, reviewer: str | None,
    quiet: bool, as_json: bool,
) -> None:  # fmt: skip
    """Append the verdicts of FILE to the local ones of a module.

    Lines by id, as the prototype has them, are bound to the contents that the ids stand on now.
    """
    from teapot.usecases.curate import import_verdicts

    made = import_verdicts(
        file, _records(module, config), version=version, reviewer=reviewer, time=_now()
    )
    if as_json:
        print_json(made.to_dict())
        return
    held = f" ({made.known:,} stood there already)" if made.known else ""
    click.echo(f"{counted(made.verdicts, 'verdict')} appended to {made.path}{held}")
    if made.by_id and not quiet:
        bound = made.by_id - len(made.unmatched) - len(made.ambiguous)
        click.echo(f"warning: by id: {bound} bound to contents", err=True)
        for name in made.unmatched:
            click.echo(harmless(f"warning: {name}: no record has this id"), err=True)
        for name in made.ambiguous:
            click.echo(harmless(f"warning: {name}: stands on unlike records; left out"), err=True)


@curate.command()
@click.argument("module")
@_config
@_version
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE",
              help="Another file than the one beside the module.")  # fmt: skip
@common
def export(
    module: str, config: Path | None, version: str, output: Path | None, quiet: bool, as_json: bool
) -> None:
    """Publish the local verdicts on MODULE: those that stand, sorted, beside its file."""
    from teapot.usecases.curate import export_verdicts

    made = export_verdicts(_records(module, config), version=version, output=output)
    if as_json:
        print_json(made.to_dict())
        return
    click.echo(f"{made.path}  {_amount(made)}")


@curate.command()
@_files
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), metavar="FILE",
              help="Where the merged verdicts go.")  # fmt: skip
@click.option("--prefer", metavar="NAME", help="Settle conflicts by the verdicts of this reviewer.")
@_reviewer
@common
def merge(
    files: tuple[Path, ...], output: Path, prefer: str | None, reviewer: str | None,
    quiet: bool, as_json: bool,
) -> None:  # fmt: skip
    """Merge FILES of verdicts into one; verdicts that differ are named, and nothing is written."""
    from teapot.usecases.curate import merge_verdicts

    made = merge_verdicts(files, output, prefer=prefer, reviewer=reviewer, time=_now())
    if as_json:
        print_json(made.to_dict())
        return
    click.echo(f"{made.path}  {_amount(made)}")


@curate.command()
@_files
@click.option("--module", metavar="MODULE", help="Say how much of this module is reviewed.")
@_config
@common
def stats(
    files: tuple[Path, ...], module: str | None, config: Path | None, quiet: bool, as_json: bool
) -> None:
    """Count what FILES of verdicts say, and how far their reviewers agree."""
    from teapot.usecases.curate import stats_of

    found = stats_of(files, _records(module, config) if module else None)
    if as_json:
        print_json(found.to_dict())
        return
    _show(found)


@curate.command()
@click.argument("module")
@_config
@_version
@_reviewer
@common
def review(
    module: str, config: Path | None, version: str, reviewer: str | None, quiet: bool, as_json: bool
) -> None:
    """Show the records of MODULE one by one and write your verdicts to .curations.

    Records that you have given a verdict are not shown again. Needs the extra `review`.
    """
    from teapot.curationplaces import local_path
    from teapot.errors import MissingExtraError, Problem, UsageError
    from teapot.usecases.review import Review

    if not reviewer:
        raise UsageError(Problem("--reviewer", "who reviews? say a name, or set $TEAPOT_REVIEWER"))
    try:
        from teapot.cli.reviewscreen import show
    except ImportError as error:
        raise MissingExtraError("reviewing in the terminal", "review") from error
    records = _records(module, config)
    where = records.config.path if records.config is not None else None
    path = local_path(records.module.module.name, version, where)
    session = Review(records, path, reviewer=reviewer, now=_now)
    show(session)
    found = {"path": str(path), "reviewed": session.reviewed, "records": session.total}
    if as_json:
        print_json(found)
        return
    click.echo(f"{session.reviewed} of {session.total} records have a verdict of {reviewer}")
    click.echo(f"verdicts  {path}")


def _show(found: Stats) -> None:
    kinds = ", ".join(f"{count} {kind}" for kind, count in found.verdicts.items())
    click.echo(f"{counted(found.decided, 'record')} decided: {kinds or 'none'}")
    if found.records is not None:
        click.echo(
            f"{found.reviewed} of {counted(found.records, 'record')} reviewed; "
            f"{counted(found.orphans or 0, 'verdict')} on contents that no record has"
        )
    if found.by_id:
        click.echo(f"{counted(found.by_id, 'verdict')} by id; `teapot curate import` binds them")
    for name, count in found.reviewers.items():
        click.echo(harmless(f"  {name}: {count}"))
    if found.agreements:
        table = plain_table("reviewers", ">shared", ">agreed", ">kappa")
        for one in found.agreements:
            names = harmless(" and ".join(one.reviewers))
            table.add_row(names, str(one.shared), str(one.agreed), one.kappa or "-")
        print_table(table)
    for conflict in found.conflicts:
        click.echo(harmless(f"conflict: {conflict}"))


def _amount(made: Written) -> str:
    return f"{counted(made.verdicts, 'verdict')} on {counted(made.records, 'record')}"


def _records(module: str, config: Path | None) -> ModuleRecords:
    from teapot.usecases.modulerecords import ModuleRecords

    return ModuleRecords.find(module, config)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")

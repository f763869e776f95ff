"""`teapot modules list|show|check`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from teapot.cli.app import harmless
from teapot.cli.options import common, module_places
from teapot.cli.show import cell, plain_table, print_json, print_table


@click.group()
def modules() -> None:
    """List, show and check modules."""


@modules.command("list")
@module_places
@common
def list_(modules: tuple[Path, ...], quiet: bool, as_json: bool) -> int:
    """List every module that can be found."""
    from teapot.modulefile import ModulePlaces
    from teapot.usecases.catalog import list_modules

    found, problems = list_modules(_places(ModulePlaces, modules))
    if as_json:
        print_json([{"path": str(file.path), **_json(file.module)} for file in found])
    else:
        table = plain_table("module", "version", "licence", ">rows", "description")
        for file in found:
            module = file.module
            rows = [source.examples for source in module.sources if source.examples is not None]
            table.add_row(cell(module.name), cell(module.version), cell(module.license),
                          f"{sum(rows):,}" if rows else "?", cell(module.description))  # fmt: skip
        print_table(table)
    for problem in problems:
        click.echo(harmless(f"error: {problem}"), err=True)
    return 2 if problems else 0


@modules.command("show")
@click.argument("name")
@module_places
@common
def show(name: str, modules: tuple[Path, ...], quiet: bool, as_json: bool) -> None:
    """Show one module: its file, and everything it declares."""
    from teapot.modulefile import ModulePlaces

    file = _places(ModulePlaces, modules).find(name)
    if as_json:
        print_json({"path": str(file.path), **_json(file.module)})
        return
    click.echo(f"# {file.path}")
    for line in file.path.read_text(encoding="utf-8").splitlines():
        click.echo(harmless(line))


@modules.command("check")
@click.argument("names", nargs=-1)
@module_places
@common
def check(names: tuple[str, ...], modules: tuple[Path, ...], quiet: bool, as_json: bool) -> int:
    """Check modules (all, where none is named): their files, plug-ins and the data beside them."""
    from teapot.errors import counted
    from teapot.modulefile import ModulePlaces
    from teapot.usecases.catalog import check_modules

    sound, problems = check_modules(_places(ModulePlaces, modules), names)
    if as_json:
        print_json({"sound": sound, "problems": [asdict(problem) for problem in problems]})
    else:
        for problem in problems:
            click.echo(harmless(f"error: {problem}"), err=True)
        click.echo(f"{len(sound)} sound, {counted(len(problems), 'problem')}")
    return 2 if problems else 0


def _places(kind: Any, modules: tuple[Path, ...]) -> Any:
    return kind.around(Path("configs") / "x", [Path("modules"), *modules])


def _json(module: Any) -> dict[str, Any]:
    return {
        key: str(value) if key == "suggested_weight" and value is not None else value
        for key, value in asdict(module).items()
    }

"""Finds plug-ins by entry point: only the one that is named is loaded, and a name has one provider.

Groups: `teapot.sources`, `teapot.checks`, `teapot.exporters`, `teapot.trainers`.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any, cast

from teapot.errors import PluginError
from teapot.interfaces import Check, Exporter, Source, Trainer


@dataclass(frozen=True, slots=True)
class Plugin:
    """A loaded plug-in with the package that provides it."""

    name: str
    package: str
    version: str
    value: Any


def load_source(kind: str) -> tuple[Source, Plugin]:
    """Return the source plug-in for a `kind`, and who provides it.

    Raises:
        PluginError: none, or more than one, provides it, or it cannot be loaded.
    """
    plugin = _load("teapot.sources", kind)
    return cast(Source, plugin.value()), plugin


def load_check(name: str) -> tuple[Check, Plugin]:
    """Return the check plug-in of this name, and who provides it.

    Raises:
        PluginError: none, or more than one, provides it, or it cannot be loaded.
    """
    plugin = _load("teapot.checks", name)
    return cast(Check, plugin.value()), plugin


def load_exporter(name: str) -> tuple[Exporter, Plugin]:
    """Return the exporter plug-in of this name, and who provides it.

    Raises:
        PluginError: none, or more than one, provides it, or it cannot be loaded.
    """
    plugin = _load("teapot.exporters", name)
    return cast(Exporter, plugin.value()), plugin


def load_trainer(name: str) -> tuple[Trainer, Plugin]:
    """Return the trainer of the base of this name, and who provides it.

    Raises:
        PluginError: none, or more than one, provides it, it cannot be loaded, or it is of a base
            with another name.
        ConfigError: its base file is not one.
    """
    plugin = _load("teapot.trainers", name)
    trainer = cast(Trainer, plugin.value())
    if trainer.base.name != name:
        raise PluginError(
            f"the trainer plug-in {name!r} of {plugin.package} is of the base "
            f"{trainer.base.name!r}; give the entry point that name"
        )
    return trainer, plugin


def trainer_names() -> list[str]:
    """Return the name of every base that an installed package provides; loads none of them."""
    return sorted({point.name for point in entry_points(group="teapot.trainers")})


def plugin_versions(plugins: Mapping[str, Plugin]) -> dict[str, str]:
    """Return the version of each package that took part."""
    return {plugin.package: plugin.version for plugin in plugins.values()}


def _load(group: str, name: str) -> Plugin:
    found = list(entry_points(group=group, name=name))
    packages = sorted({_package(point) for point in found})
    kind = group.removeprefix("teapot.").removesuffix("s")
    if not found:
        known = sorted(point.name for point in entry_points(group=group))
        near = difflib.get_close_matches(name, known, n=1)
        listed = f"known are {', '.join(known)}" if known else "no installed package has one"
        hint = f"did you mean {near[0]}?" if near else listed
        raise PluginError(f"no {kind} plug-in named {name!r}; {hint}")
    if len(packages) > 1:
        raise PluginError(
            f"the {kind} plug-in {name!r} is provided by {' and '.join(packages)}; "
            "uninstall all but one"
        )
    try:
        value = found[0].load()
    except (ImportError, AttributeError) as error:
        message = f"the {kind} plug-in {name!r} of {packages[0]} cannot be loaded: {error}"
        raise PluginError(message) from error
    distribution = found[0].dist
    version = distribution.version if distribution else "0"
    return Plugin(name=name, package=packages[0], version=version, value=value)


def _package(point: EntryPoint) -> str:
    return point.dist.name if point.dist else point.value

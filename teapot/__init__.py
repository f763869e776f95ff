"""Teapot mixes licensed datasets into one training file and proves what went in.

    import teapot

    composition = teapot.compose("configs/demo.config")
    print(composition.data.sha256, composition.report.total.lines)

The functions take a config's path and `MixOptions`, and return frozen values; every error is a
`TeapotError`. Nothing heavy is imported before it is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from teapot.version import __version__

if TYPE_CHECKING:
    from teapot.configfile import ConfigFile, load_config
    from teapot.errors import TeapotError
    from teapot.resolve import MixOptions
    from teapot.usecases.checkfile import CheckReport, check_file
    from teapot.usecases.compose import Composition, Plan, compose, plan
    from teapot.usecases.explain import Explanation, explain

__all__ = [
    "CheckReport",
    "Composition",
    "ConfigFile",
    "Explanation",
    "MixOptions",
    "Plan",
    "TeapotError",
    "__version__",
    "check_file",
    "compose",
    "explain",
    "load_config",
    "plan",
]

_HOMES = {
    "CheckReport": "teapot.usecases.checkfile",
    "check_file": "teapot.usecases.checkfile",
    "Composition": "teapot.usecases.compose",
    "Plan": "teapot.usecases.compose",
    "compose": "teapot.usecases.compose",
    "plan": "teapot.usecases.compose",
    "ConfigFile": "teapot.configfile",
    "load_config": "teapot.configfile",
    "TeapotError": "teapot.errors",
    "Explanation": "teapot.usecases.explain",
    "explain": "teapot.usecases.explain",
    "MixOptions": "teapot.resolve",
}


def __getattr__(name: str) -> Any:
    """Import a public name from its home when it is first asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module 'teapot' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)

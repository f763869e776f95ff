"""A real browser that shows pages: what a reader sees of them, and what they try to do.

The browser is the machine's own Chromium. Where there is none, root gets one by apt-get and anyone
else is told. What drives it is installed by npm, at an exact version, into a folder that is kept.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

DRIVER = Path(__file__).parents[1] / "conformance" / "browser"
_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_MAX_SECONDS = 600


@dataclass(frozen=True, slots=True)
class ShownPiece:
    """An element of the page's `pre`: its own text, the id below it, and how it looks.

    Colours are as browsers compute them, `rgb(…)`; `ground` is what the text stands on.
    """

    text: str
    id: int | None
    colour: str
    ground: str
    is_seen: bool

    @property
    def contrast(self) -> float:
        """Return how well the text can be told from its ground, 1 to 21 (WCAG 2.2)."""
        dark, light = sorted((_luminance(self.colour), _luminance(self.ground)))
        return (light + 0.05) / (dark + 0.05)


@dataclass(frozen=True, slots=True)
class Shown:
    """A page as it was shown.

    `page` is all its visible text, `text` that of its `pre` without ids. `requests` are all that it
    asked for beside itself, whether or not it was let.
    """

    page: str
    text: str
    pieces: list[ShownPiece]
    elements: list[str]
    scripts: int
    requests: list[str]
    dialogs: list[str]
    complaints: list[str]


def show(folder: Path, pages: Sequence[Path]) -> list[Shown]:
    """Return pages as a browser shows them; `folder` keeps what drives it from run to run."""
    _install_driver(folder)
    command = [_tool("node"), DRIVER / "show.mjs", folder, _browser(), *pages]
    shown = json.loads(_output_of(command))
    return [
        Shown(**{**page, "pieces": [ShownPiece(**piece) for piece in page["pieces"]]})
        for page in shown
    ]


def channels(colour: str) -> tuple[int, int, int]:
    """Return red, green and blue of `rgb(…)`, 0 to 255."""
    red, green, blue = colour.removeprefix("rgb(").removesuffix(")").split(",")
    return int(red), int(green), int(blue)


def _browser() -> str:
    """Return the path of a browser, after installing one if it must be and can be."""
    if not _found() and os.geteuid() == 0 and shutil.which("apt-get"):
        _output_of(["apt-get", "update"])
        install = [
            "install",
            "--yes",
            "--no-install-recommends",
            "--option=DPkg::Lock::Timeout=300",
        ]
        _output_of(["apt-get", *install, "chromium"])
    path = _found()
    if path is None:
        pytest.fail("chromium is not installed; as root, run: apt-get install chromium")
    return path


def _found() -> str | None:
    return next(filter(None, map(shutil.which, _BROWSERS)), None)


def _install_driver(folder: Path) -> None:
    wanted = json.loads((DRIVER / "package.json").read_bytes())["dependencies"]["playwright-core"]
    installed = folder / "node_modules" / "playwright-core" / "package.json"
    if installed.exists() and json.loads(installed.read_bytes())["version"] == wanted:
        return
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(DRIVER / "package.json", folder / "package.json")
    flags = ("--no-package-lock", "--ignore-scripts", "--no-audit", "--no-fund")
    _output_of([_tool("npm"), "install", *flags, "--loglevel=error", "--prefix", folder])


def _tool(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        pytest.fail(f"{name} is not installed; the conformance tests need Node.js 20.17 or newer")
    return path


def _output_of(command: Sequence[str | Path]) -> str:
    """Return what a command prints, or fail with all that it said."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, env=environment, timeout=_MAX_SECONDS
    )
    if done.returncode != 0:
        name = Path(command[0]).name
        pytest.fail(f"{name} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def _luminance(colour: str) -> float:
    """Return the relative luminance of `rgb(…)` (WCAG 2.2)."""
    linear = [
        share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4
        for share in (part / 255 for part in channels(colour))
    ]
    return sum(
        factor * share for factor, share in zip((0.2126, 0.7152, 0.0722), linear, strict=True)
    )

"""Packages that provide a base, as a third party would lay them out and pip would install them."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs" / "bases.md"
_FILE = re.compile(r"^`([^`]+)`:\n\n```\w+\n(.*?)```", re.DOTALL | re.MULTILINE)


def documented_files() -> dict[str, str]:
    """Return the files of the package that docs/bases.md shows, by their names."""
    return dict(_FILE.findall(DOCS.read_text(encoding="utf-8")))


def write_package(folder: Path, package: str, *, facts: str = "", template: str = "") -> Path:
    """Lay out the documented package under another name, with other contents where given."""
    place = folder / package
    place.mkdir(parents=True)
    for name, text in documented_files().items():
        if name.startswith("tea_base/"):
            (place / Path(name).name).write_text(text, encoding="utf-8")
    if facts:
        (place / "base.yaml").write_text(facts, encoding="utf-8")
    if template:
        (place / "training.jinja").write_text(template, encoding="utf-8")
    return place


def install(folder: Path, package: str, name: str = "tea") -> None:
    """Write the metadata that pip would, with the entry points of the documented project file."""
    project = tomllib.loads(documented_files()["pyproject.toml"])["project"]
    points = project["entry-points"]["teapot.trainers"]
    assert points == {"tea": "tea_base:trainer"}
    metadata = folder / f"{package}-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[teapot.trainers]\n{name} = {package}:trainer\n")

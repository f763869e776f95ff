"""The oldest and the newest transformers that Teapot admits give the same token ids and labels.

Rendering calls two functions that transformers does not document, so a version could change them
without a word. Each version lives in a virtual environment of its own, without torch, below
`$TEAPOT_CONFORMANCE_VENVS` or in `build/conformance` of the repository; every run asks pip again,
so that the newest version is the newest of that day.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from array import array
from dataclasses import replace
from functools import lru_cache
from importlib.metadata import requires
from pathlib import Path

import pytest

from teapot.model.encoded import IGNORED, Encoded
from tests.support.encoded_digests import (
    BASES,
    DRAWN_CONVERSATIONS,
    Digest,
    conversations,
    digest_of,
)

pytestmark = pytest.mark.conformance

REPOSITORY = Path(__file__).parents[2]
VECTORS = 47
# Read here, since a fixture of conftest.py hides TEAPOT_… from every test.
_VENVS = Path(os.environ.get("TEAPOT_CONFORMANCE_VENVS") or REPOSITORY / "build" / "conformance")
_MAX_SECONDS = 600


def admitted(package: str) -> str:
    """Return the versions of a package that Teapot admits, as pip is asked for them."""
    for line in requires("teapot") or ():
        requirement = line.partition(";")[0].strip()
        if re.match(rf"{package}\b", requirement):
            return requirement
    pytest.fail(f"Teapot does not require {package}")


def lowest(requirement: str) -> str:
    """Return the lowest version that a requirement admits."""
    found = re.search(r">=([0-9.]+)", requirement)
    assert found is not None, requirement
    return found[1]


def numbers(version: str) -> tuple[int, ...]:
    """Return a version as numbers that can be compared."""
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


@lru_cache
def environment(name: str, requirement: str) -> Path:
    """Return the Python of an environment with this checkout and what pip takes for newest."""
    python_version = f"{sys.version_info.major}.{sys.version_info.minor}"
    folder = _VENVS / f"transformers-{name}-python{python_version}"
    python = folder / "bin" / "python"
    finished = folder / "finished"
    if not finished.exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    wanted = ["--editable", f"{REPOSITORY}[tokens]", admitted("jinja2"), requirement]
    install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--upgrade"]
    subprocess.run([str(python), *install, *wanted], check=True, timeout=_MAX_SECONDS)
    finished.touch()
    return python


def said(python: Path | str) -> dict[str, Digest]:
    """Return the digest of each base in an environment."""
    done = subprocess.run(
        [str(python), "-m", "tests.support.encoded_digests"],
        cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=_MAX_SECONDS,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    digests = [Digest(**json.loads(line)) for line in done.stdout.splitlines()]
    return {digest.base: digest for digest in digests}


@pytest.fixture(scope="module")
def oldest() -> dict[str, Digest]:
    requirement = f"transformers=={lowest(admitted('transformers'))}"
    return said(environment("oldest", requirement))


@pytest.fixture(scope="module")
def newest() -> dict[str, Digest]:
    return said(environment("newest", admitted("transformers")))


@pytest.fixture(scope="module")
def own() -> dict[str, Digest]:
    """What the environment says that the other tests run in."""
    return said(sys.executable)


def test_the_versions_are_the_two_ends_of_what_is_admitted(
    oldest: dict[str, Digest], newest: dict[str, Digest]
) -> None:
    (low,) = {digest.transformers for digest in oldest.values()}
    (high,) = {digest.transformers for digest in newest.values()}
    floor = numbers(lowest(admitted("transformers")))
    assert numbers(low)[: len(floor)] == floor
    assert numbers(high) > numbers(low)
    assert numbers(high)[0] == floor[0]


@pytest.mark.parametrize("base", BASES)
def test_all_conversations_are_encoded(base: str, oldest: dict[str, Digest]) -> None:
    found = oldest[base]
    assert found.rows == VECTORS + DRAWN_CONVERSATIONS == len(conversations())
    assert found.refused == 0
    assert found.tokens > found.trained > found.rows


@pytest.mark.parametrize("base", BASES)
def test_ids_and_labels_are_the_same_with_every_version(
    base: str, oldest: dict[str, Digest], newest: dict[str, Digest], own: dict[str, Digest]
) -> None:
    made = [replace(digests[base], transformers="") for digests in (oldest, newest, own)]
    assert made == [made[0]] * 3


def test_one_id_and_one_label_change_the_digest() -> None:
    def digest(ids: list[int], labels: list[int]) -> str:
        return digest_of("tea", [Encoded(array("i", ids), array("i", labels))]).sha256

    made = {digest([1, 2], [IGNORED, 2]), digest([1, 3], [IGNORED, 2]), digest([1, 2], [1, 2])}
    assert len(made) == 3

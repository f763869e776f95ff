"""Files of a git revision, read through the `git` command as they were committed.

Only objects are read (`git cat-file`, `git ls-tree`): no filter, no textconv and no hook of the
repository is run, and nothing is fetched.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from teapot.errors import Problem, UsageError

MAX_BYTES = 16 << 20
MODULES = "modules"
_ENDINGS = (".yaml", ".yml")
_LINK = "120000"


def is_revision(target: str) -> bool:
    """Tell whether a target is written REV:PATH, and no file of that very name lies here."""
    revision, colon, path = target.partition(":")
    return bool(revision and colon and path) and not os.path.lexists(target)


def write_revision(target: str, folder: Path) -> Path:
    """Write the file of REV:PATH into a folder with the module files beside it; return its path.

    As in git, PATH counts from the repository's root, and with ./ from here.

    Raises:
        UsageError: git is not installed, or the revision or the file is not there.
    """
    revision, _, path = target.partition(":")
    commit = _commit(target, revision)
    data = _git(target, f"there is no {path} at {revision}", "cat-file", "blob", f"{commit}:{path}")
    place = folder / PurePosixPath(path).name
    place.write_bytes(data)
    beside = PurePosixPath(path).parent / MODULES
    root = f"./{beside}" if path.startswith("./") else str(beside)
    for name, blob in _files(f"{commit}:{root}"):
        if name.endswith(_ENDINGS) and _is_below(name):
            module = folder / MODULES / name
            module.parent.mkdir(parents=True, exist_ok=True)
            module.write_bytes(_git(target, f"{name} cannot be read", "cat-file", "blob", blob))
    return place


def _is_below(name: str) -> bool:
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts


def _commit(target: str, revision: str) -> str:
    """Return a revision's commit, whose name no command takes for an option."""
    if revision.startswith("-"):
        raise UsageError(Problem(target, f"{revision!r} is no git revision"))
    found = _git(
        target, f"there is no git revision {revision} here", "rev-parse", "--verify", "--quiet",
        "--end-of-options", f"{revision}^{{commit}}",
    )  # fmt: skip
    return found.decode("ascii", "replace").strip()


def _files(tree: str) -> Iterator[tuple[str, str]]:
    """Yield name and object of each file below a folder of a commit, if there is such a folder."""
    found = _run("rev-parse", "--verify", "--quiet", "--end-of-options", tree)
    if found.returncode:
        return
    name = found.stdout.decode("ascii").strip()
    listed = _run("ls-tree", "-r", "-z", "--full-tree", name).stdout.decode("utf-8", "replace")
    for entry in filter(None, listed.split("\0")):
        facts, _, path = entry.partition("\t")
        mode, kind, blob = facts.split(" ")
        if kind == "blob" and mode != _LINK:
            yield path, blob


def _git(target: str, missing: str, *arguments: str) -> bytes:
    try:
        ran = _run(*arguments)
    except FileNotFoundError as error:
        told = "is no file here, and git, which would read a revision, is not installed"
        raise UsageError(Problem(target, told)) from error
    if ran.returncode:
        said = " ".join(ran.stderr.decode("utf-8", "replace").split())
        told = f"is no file here, and {missing}" + (f" (git: {said[:200]})" if said else "")
        raise UsageError(Problem(target, told))
    if len(ran.stdout) > MAX_BYTES:
        raise UsageError(Problem(target, f"has over {MAX_BYTES:,} bytes, expected a config"))
    return ran.stdout


def _run(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    environment = {**os.environ, "GIT_NO_LAZY_FETCH": "1", "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}
    command = ["git", *arguments]  # whichever the user has; no argument can be an option
    return subprocess.run(command, capture_output=True, check=False, env=environment)  # noqa: S603

"""The use case `push`: a model folder that verifies goes to the Hub, as one commit.

What is sent is exactly what was verified: the files that `model.sig` covers, and itself. A folder
with more in it, or less, does not verify. What the Hub holds in the end is compared once more.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from teapot.digest import sha256_file
from teapot.errors import DataError, OutputError, Problem, UsageError, counted
from teapot.files import open_regular
from teapot.hubfiles import HeldFile, LoadedFile, SentFile
from teapot.hubrepo import MAIN, HubRepo, RepoState, check_name
from teapot.manifestchecks import ALLOWED
from teapot.model.fitjob import WORK
from teapot.model.trainstatement import CARD, STATEMENT
from teapot.model.verification import Verification
from teapot.model_signing import GIT_NAMES, SIGNATURE_NAME, ancestor_in
from teapot.signed_folder import signable_files, walk_folder
from teapot.usecases.verify import VerifyOptions
from teapot.usecases.verifymodel import ExaminedModel, examine_model

_OF_THE_HUB = frozenset((".gitattributes",))
_COMMIT = re.compile("[0-9a-f]{40}")
_PICKLES = (".bin", ".ckpt", ".joblib", ".pickle", ".pkl", ".pt", ".pth")
_PICKLED = re.compile(rb"\x80[\x02-\x05]|PK\x03\x04")
"""How a pickle begins since protocol 2, and how the archive of one that torch saves."""
_MAX_NAMES = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class PushOptions:
    """Where a model goes, and how; a new repository is private unless `is_public`.

    `replace` lets a repository be overwritten that holds something else, and removes from it what
    is not in the folder.

    Raises:
        UsageError: the name is none, the branch is a commit, or the message is empty.
    """

    name: str
    branch: str = MAIN
    message: str | None = None
    is_public: bool = False
    replace: bool = False

    def __post_init__(self) -> None:
        """Check the values."""
        check_name(self.name)
        if not self.branch or _COMMIT.fullmatch(self.branch):
            told = f"{self.branch!r} is no branch; a push goes to a branch, by default {MAIN}"
            raise UsageError(Problem("--revision", told))
        if self.message is not None and not self.message.strip():
            raise UsageError(Problem("--message", "is empty; leave it out, or say what was done"))


@dataclass(frozen=True, kw_only=True, slots=True)
class PushPlan:
    """The files of a model folder that was verified; `left_out` are those that nothing covers.

    `is_allowed_unsigned` tells that a lack of trust was waived.
    """

    folder: Path
    files: tuple[SentFile, ...]
    left_out: tuple[str, ...]
    statement_sha256: str
    is_allowed_unsigned: bool

    @property
    def bytes(self) -> int:
        """Return the size of all files."""
        return sum(file.bytes for file in self.files)

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as JSON values, without paths."""
        return {
            "folder": str(self.folder),
            "train_statement_sha256": self.statement_sha256,
            "bytes": self.bytes,
            "files": [
                {"name": file.name, "bytes": file.bytes, "sha256": file.sha256}
                for file in self.files
            ],
            "left_out": list(self.left_out),
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Pushed:
    """A model that lies on the Hub as it was verified; `is_new` tells that the commit is of now.

    `verify` is the command with which anyone who may read it verifies it.
    """

    repository: str
    url: str
    branch: str
    commit: str
    is_private: bool
    is_new: bool
    removed: tuple[str, ...]
    verify: str

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self)


def plan_push(
    folder: Path, options: VerifyOptions | None = None
) -> tuple[Verification, PushPlan | None]:
    """Verify a model folder, and return what of it would be sent; nothing where it does not hold.

    Raises:
        UsageError: it is no model folder, or its run has not ended.
        DataError: it holds a pickle, or what cannot be read.
        TrustError: a trust file is missing or cannot be read.
    """
    if os.path.lexists(folder / WORK):
        told = "holds a run that has not ended; say teapot train --resume or --finish first"
        raise UsageError(Problem(str(folder), told))
    examined = examine_model(folder, options)
    verification = examined.verification
    if not verification.is_ok or examined.statement is None:
        return verification, None
    files = _sent(folder, _digests(folder, examined))
    _refuse_pickles(files)
    names = {file.name for file in files}
    others = [name for name in walk_folder(folder).files if name not in names]
    return verification, PushPlan(
        folder=folder, files=files,
        left_out=tuple(dict.fromkeys(ancestor_in(name, GIT_NAMES) or name for name in others)),
        statement_sha256=examined.statement.sha256(),
        is_allowed_unsigned=any(
            (result.found or "").endswith(ALLOWED) for result in verification.results
        ),
    )  # fmt: skip


def push(plan: PushPlan, options: PushOptions, token: str) -> Pushed:
    """Send a verified folder as one commit, and compare what the Hub then holds.

    Where the branch holds the very files already, no commit is made.

    Raises:
        UsageError: the repository is public and `is_public` was not said, or the token is no good.
        DataError: a file has changed since, the Hub does not take the card, or holds other bytes.
        OutputError: the repository holds something else, or the Hub refuses or is not reached.
    """
    files = [LoadedFile.of(file) for file in plan.files]
    repo = HubRepo(options.name, options.branch, token)
    repo.check_card(_card(files))
    state = _opened(repo, options)
    removed = _to_remove(state, plan, options)
    is_new = bool(removed or _differences(state.files, files))
    if not state.has_branch:
        repo.branch_off(state.commit)
    commit = state.commit
    if is_new:
        message = options.message or f"Push model, train statement {plan.statement_sha256}"
        commit = repo.commit(files, removed, message=message, parent=state.commit)
        _refuse_other_bytes(repo, commit, files)
    return Pushed(
        repository=repo.name, url=repo.url, branch=repo.branch, commit=commit,
        is_private=state.is_private, is_new=is_new, removed=removed,
        verify=_command(repo.name, commit, plan),
    )  # fmt: skip


def _digests(folder: Path, examined: ExaminedModel) -> Mapping[str, str]:
    """Return the digest of each file to send: the signed ones, else all that could be signed."""
    if examined.files is not None:
        return examined.files
    names = signable_files(folder)
    if os.path.lexists(folder / SIGNATURE_NAME):
        names.append(SIGNATURE_NAME)
    try:
        return {name: sha256_file(folder / name) for name in names}
    except OSError as error:
        raise _unreadable(folder, error) from error


def _sent(folder: Path, digests: Mapping[str, str]) -> tuple[SentFile, ...]:
    try:
        return tuple(
            SentFile(name=name, path=folder / name, bytes=size, sha256=digests[name])
            for name in sorted(digests)
            for size in [(folder / name).lstat().st_size]
        )
    except OSError as error:
        raise _unreadable(folder, error) from error


def _refuse_pickles(files: Sequence[SentFile]) -> None:
    """Refuse what runs code where it is loaded, by its name or its first bytes."""
    problems = []
    for file in files:
        try:
            with open_regular(file.path) as opened:
                is_pickled = _PICKLED.match(opened.read(4)) is not None
        except OSError as error:
            raise _unreadable(file.path, error) from error
        if is_pickled or file.name.lower().endswith(_PICKLES):
            told = "is a pickle, which can run code where it is loaded; save it as safetensors"
            problems.append(Problem(str(file.path), f"{told}, or take it out and sign again"))
    if problems:
        raise DataError(*problems)


def _unreadable(path: Path, error: OSError) -> DataError:
    told = f"cannot be read: {error.strerror or error}; nothing was sent"
    return DataError(Problem(str(error.filename or path), told))


def _card(files: Sequence[LoadedFile]) -> str:
    content = next(loaded.content for loaded in files if loaded.file.name == CARD)
    return (content or b"").decode("utf-8")


def _opened(repo: HubRepo, options: PushOptions) -> RepoState:
    """Return what the repository holds, made where it was not there, and never public unasked."""
    state = repo.state()
    if state is None:
        repo.create(private=not options.is_public)
        state = repo.state()
    if state is None:
        told = "is there, but the token may not see it; take another token or another name"
        raise OutputError(Problem(repo.name, told))
    if not state.is_private and not options.is_public:
        told = "is public on the Hub, so everyone would see the model; nothing was sent"
        raise UsageError(Problem(repo.name, f"{told}; say --public, or make it private there"))
    return state


def _to_remove(state: RepoState, plan: PushPlan, options: PushOptions) -> tuple[str, ...]:
    """Return what the commit removes, where the repository may be overwritten at all."""
    held = frozenset(state.files) - _OF_THE_HUB
    others = sorted(held.difference(file.name for file in plan.files))
    is_empty, is_model = held <= {CARD}, STATEMENT in held
    if options.replace or is_empty or (is_model and not others):
        return tuple(others)
    if is_model:
        told = f"holds {_listed(others)} beside an earlier push, which the folder does not hold"
        told += ", and a download would not verify with it; --replace removes it"
    else:
        told = f"holds {_listed(sorted(held))}, and no {STATEMENT}, so it is no earlier push"
        told += "; choose another name, or say --replace to put the model in their place"
    told += " in the same commit (the history keeps it); nothing was sent"
    raise OutputError(Problem(f"{options.name}, branch {options.branch}", told))


def _differences(held: Mapping[str, HeldFile], files: Sequence[LoadedFile]) -> list[str]:
    """Return the names of files that are not held as they were verified."""
    return [
        loaded.file.name for loaded in files
        if loaded.file.name not in held or not held[loaded.file.name].is_same(loaded)
    ]  # fmt: skip


def _refuse_other_bytes(repo: HubRepo, commit: str, files: Sequence[LoadedFile]) -> None:
    held = repo.held(commit)
    more = held.keys() - _OF_THE_HUB - {loaded.file.name for loaded in files}
    wrong = [*_differences(held, files), *sorted(more)]
    if wrong:
        told = f"is not what was verified, in {_listed(wrong)}; do not use it, and push again"
        raise DataError(Problem(f"{repo.name}, commit {commit}", told))


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MAX_NAMES:,} more" if len(names) > _MAX_NAMES else ""
    return f"{counted(len(names), 'file')} ({', '.join(names[:_MAX_NAMES])}{more})"


def _command(name: str, commit: str, plan: PushPlan) -> str:
    folder = shlex.quote(name.rpartition("/")[2])
    flag = " --allow-unsigned" if plan.is_allowed_unsigned else ""
    return (
        f"hf download {name} --revision {commit} --local-dir {folder} && "
        f"rm -r {folder}/.cache && teapot verify{flag} {folder}"
    )

"""A model repository on the Hub that is written to: its state, and one commit on top of it.

All goes through the Hub's own client. A commit names the one that it follows, so that nobody else's
is overwritten unseen; what the Hub holds in the end is compared with the digests that were asked
for. The token comes from the environment and stands in no message.
"""

from __future__ import annotations

import json
import logging
import re
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from teapot.errors import DataError, Problem, UsageError
from teapot.huberrors import Stage, explained
from teapot.hubfiles import HeldFile, LoadedFile, refuse_changed
from teapot.version import __version__

if TYPE_CHECKING:
    from huggingface_hub import HfApi

TOKEN_VARIABLE = "HF_TOKEN"  # noqa: S105 - the name of a variable, and no secret
MAIN = "main"
_LOG = logging.getLogger(__name__)
_TIMEOUT_SECONDS = 30.0
_NAME = re.compile(r"[^\W_][\w.-]{0,95}/\w([\w.-]{0,94}\w)?", re.ASCII)
_NOTHING_IGNORED = "# nothing is left out\n"


@dataclass(frozen=True, kw_only=True, slots=True)
class RepoState:
    """What a repository holds at the commit of a branch, or of `main` where there is no branch."""

    is_private: bool
    commit: str
    has_branch: bool
    files: Mapping[str, HeldFile]


class HubRepo:
    """A model repository by its name, one branch of it, and the right to write there.

    Every method raises `UsageError` where the token is no good, and `OutputError` where the Hub
    refuses or cannot be reached.
    """

    def __init__(self, name: str, branch: str, token: str) -> None:
        from huggingface_hub import HfApi

        self.name, self.branch = name, branch
        self._token = token
        self._api: HfApi = HfApi(token=token, library_name="teapot", library_version=__version__)

    @property
    def url(self) -> str:
        """Return where people see it."""
        return f"{self._api.endpoint}/{self.name}"

    def check_card(self, text: str) -> None:
        """Ask the Hub whether it takes the head of a card.

        Raises:
            DataError: it does not; names each fault.
        """
        from huggingface_hub import get_session

        # `ModelCard.validate` of client 1.x asks the public Hub, whatever the endpoint is.
        with self._explained():
            answer = get_session().post(
                f"{self._api.endpoint}/api/validate-yaml",
                json={"repoType": "model", "content": text}, timeout=_TIMEOUT_SECONDS,
            )  # fmt: skip
            if answer.status_code == 400:
                told = f"the Hub does not take its head: {_card_faults(answer.text)}"
                raise DataError(Problem("README.md", f"{told}; nothing was sent"))
            answer.raise_for_status()

    def state(self) -> RepoState | None:
        """Return what the branch holds; None where the Hub shows no such repository."""
        from huggingface_hub.errors import (
            GatedRepoError,
            RepositoryNotFoundError,
            RevisionNotFoundError,
        )

        with self._explained():
            has_branch = True
            try:
                info = self._info(self.branch)
            except RevisionNotFoundError:
                has_branch, info = False, self._info(MAIN)
            except RepositoryNotFoundError as error:
                if error.response.status_code != 404 or isinstance(error, GatedRepoError):
                    raise
                return None
            if info.id != self.name:
                told = f"is called {info.id} on the Hub; push to that name"
                raise UsageError(Problem(self.name, told))
            return RepoState(
                is_private=bool(info.private), commit=str(info.sha), has_branch=has_branch,
                files=self._held(str(info.sha)),
            )  # fmt: skip

    def create(self, *, private: bool) -> None:
        """Make the repository, if nobody else has made it meanwhile."""
        with self._explained():
            self._api.create_repo(self.name, private=private, exist_ok=True)

    def branch_off(self, commit: str) -> None:
        """Make the branch at a commit."""
        with self._explained(f"branch {self.branch}"):
            self._api.create_branch(self.name, branch=self.branch, revision=commit, exist_ok=True)

    def commit(
        self, files: Sequence[LoadedFile], removed: Collection[str], *, message: str, parent: str
    ) -> str:
        """Send files and make one commit of all, on top of `parent` only; return its id.

        Large files are sent first. They are hashed on the way, and compared before the commit.

        Raises:
            DigestError: a file has changed since it was verified; nothing was committed.
        """
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete

        additions = [
            CommitOperationAdd(
                path_in_repo=loaded.file.name,
                path_or_fileobj=str(loaded.file.path.absolute())
                if loaded.content is None
                else loaded.content,
            )
            for loaded in files
        ]
        with self._explained():
            # Or a .gitignore there would have the client leave files out, and say nothing.
            self._api.preupload_lfs_files(
                self.name, additions, revision=self.branch, free_memory=False,
                gitignore_content=_NOTHING_IGNORED,
            )  # fmt: skip
            for addition, loaded in zip(additions, files, strict=True):
                refuse_changed(loaded.file, addition.upload_info.sha256.hex())
        deletions = [CommitOperationDelete(path_in_repo=name) for name in removed]
        with self._explained(f"branch {self.branch}", "commit"):
            info = self._api.create_commit(
                self.name, [*deletions, *additions], commit_message=message,
                revision=self.branch, parent_commit=parent,
            )  # fmt: skip
        return str(info.oid)

    def held(self, commit: str) -> dict[str, HeldFile]:
        """Return the files of a commit that was just made, by name."""
        with self._explained(f"commit {commit}", "after"):
            return self._held(commit)

    def _held(self, commit: str) -> dict[str, HeldFile]:
        from huggingface_hub.hf_api import RepoFile

        found = self._api.list_repo_tree(self.name, recursive=True, revision=commit)
        return {
            entry.path: HeldFile(
                bytes=entry.size, git_id=entry.blob_id,
                sha256=None if entry.lfs is None else entry.lfs.sha256,
            )
            for entry in found if isinstance(entry, RepoFile)
        }  # fmt: skip

    def _info(self, revision: str) -> Any:
        return self._api.model_info(self.name, revision=revision, timeout=_TIMEOUT_SECONDS)

    @contextmanager
    def _explained(self, part: str = "", stage: Stage = "before") -> Iterator[None]:
        """Turn the client's errors into Teapot's, and log what it warns of."""
        place = f"{self.name}, {part}" if part else self.name
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always", UserWarning)
            try:
                yield
            except Exception as error:
                raise explained(error, place, self._token, stage) from error
        for one in warned:
            _LOG.warning("%s: %s", place, " ".join(str(one.message).split()))


def token_of(environment: Mapping[str, str]) -> str:
    """Return the token that the environment brings.

    Raises:
        UsageError: there is none, or it cannot be one; the message does not show it.
    """
    token = environment.get(TOKEN_VARIABLE, "").strip()
    if not token:
        told = (
            "is not set, and a push needs a token that may write: make one in the Hub's settings "
            f"(Access Tokens), and put it into the environment as {TOKEN_VARIABLE}"
        )
        raise UsageError(Problem(TOKEN_VARIABLE, told))
    if not (token.isascii() and token.isprintable() and " " not in token):
        told = "holds what no token has: a space, a line break or a character that is not ASCII"
        raise UsageError(Problem(TOKEN_VARIABLE, told))
    return token


def check_name(name: str) -> None:
    """Refuse what is no OWNER/NAME.

    Raises:
        UsageError: it is none.
    """
    if not _NAME.fullmatch(name) or "--" in name or ".." in name or name.endswith(".git"):
        told = (
            "is no name of a repository, expected OWNER/NAME: your user name or an organisation, "
            "then letters, digits and - _ . between them, 96 at most"
        )
        raise UsageError(Problem(name, told))


def _card_faults(answer: str) -> str:
    """Return what the Hub finds wrong in a card."""
    try:
        faults = [str(fault["message"]) for fault in json.loads(answer)["errors"]]
    except (ValueError, LookupError, TypeError):
        faults = [answer]
    return " ".join("; ".join(faults).split())

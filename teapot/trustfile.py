"""Where trust files lie, how they are read, and how lines enter and leave them.

With a file given, only that one counts. Else `./teapot.allowed_signers` and then the user's own,
`$XDG_CONFIG_HOME/teapot/allowed_signers`. Beside each may lie the keys it revokes, in a file of the
same name with `revoked_keys`; the user's revocations count even where another file is given.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from teapot.allowed_signers import (
    TrustedKey,
    TrustFile,
    TrustFileError,
    parse_revoked,
    parse_trust,
)
from teapot.errors import Problem, TrustError
from teapot.files import alone_in, open_regular, write_atomically
from teapot.keys import config_folder, shown_path
from teapot.signing import PublicKey
from teapot.trust import Trust

PROJECT_FILE = "teapot.allowed_signers"
_USER_FILE = "allowed_signers"
_MAX_BYTES = 4 << 20
Said = TypeVar("Said")


def user_trust_file() -> Path:
    """Return the user's own trust file; it need not exist."""
    return config_folder() / _USER_FILE


def revoked_file(trust_file: Path) -> Path:
    """Return where the keys lie that a trust file's owner has revoked."""
    name = trust_file.name
    if _USER_FILE in name:
        return trust_file.with_name(name.replace(_USER_FILE, "revoked_keys"))
    return trust_file.with_name(f"{name}.revoked_keys")


def trust_places(given: Path | None) -> list[Path]:
    """Return the trust files that count, in order, whether they exist or not."""
    return [given] if given is not None else [Path(PROJECT_FILE), user_trust_file()]


def load_trust(given: Path | None = None) -> Trust:
    """Return everything that the trust files say.

    Raises:
        TrustError: the file given is missing, or one cannot be read; names every bad line.
    """
    places = trust_places(given)
    if given is not None and not given.is_file():
        raise TrustError(Problem(str(given), "no such trust file"))
    # A link that leads nowhere is there: its revocations must not be passed over.
    present = [path for path in places if os.path.lexists(path)]
    problems: list[Problem] = []
    files = [file for path in present for file in _parsed(path, parse_trust, problems)]
    revoked: dict[PublicKey, str] = {}
    for path in dict.fromkeys(map(revoked_file, [*places, user_trust_file()])):
        if os.path.lexists(path):
            for found in _parsed(path, parse_revoked, problems):
                revoked = {**found, **revoked}
    if problems:
        raise TrustError(*problems)
    return _merged(present, files, revoked)


def add_line(path: Path, line: str) -> None:
    """Append a line to a trust file, which is made if need be.

    Raises:
        TrustError: the file as it is cannot be read, or the line would not be read back.
    """
    with alone_in(path.parent, mode=0o700):
        _rewrite(path, [*_lines(path), line], parse_trust)


def remove_keys(path: Path, is_meant: Callable[[TrustedKey], bool]) -> list[TrustedKey]:
    """Take the lines of some keys out of a trust file, and return them.

    Raises:
        TrustError: the file is missing or cannot be read.
    """
    _text(path)  # what is missing is told before its folder is made
    with alone_in(path.parent, mode=0o700):
        lines = _lines(path)
        problems: list[Problem] = []
        entries = [key for file in _parsed(path, parse_trust, problems) for key in file.keys]
        if problems:
            raise TrustError(*problems)
        meant = [entry for entry in entries if is_meant(entry)]
        numbers = {int(entry.where.rpartition(":")[2]) for entry in meant}
        if meant:
            kept = [line for number, line in enumerate(lines, start=1) if number not in numbers]
            _rewrite(path, kept, parse_trust)
    return meant


def revoke(trust_file: Path, key: PublicKey, comment: str = "") -> Path:
    """Enter a key among those that a trust file's owner has revoked; return that list's path.

    Raises:
        TrustError: the list cannot be read.
    """
    path = revoked_file(trust_file)
    with alone_in(path.parent, mode=0o700):
        problems: list[Problem] = []
        known = list(_parsed(path, parse_revoked, problems)) if os.path.lexists(path) else []
        if problems:
            raise TrustError(*problems)
        if not any(key in keys for keys in known):
            words = " ".join(comment.split())
            _rewrite(path, [*_lines(path), f"{key.ssh} {words}".rstrip()], parse_revoked)
    return path


def _merged(
    present: Sequence[Path], files: Sequence[TrustFile], revoked: dict[PublicKey, str]
) -> Trust:
    authorities = [
        # A certificate's path is taken from the folder of the trust file that names it.
        replace(authority, certificate=str(path.parent / authority.certificate))
        for path, file in zip(present, files, strict=True)
        for authority in file.authorities
    ]
    return Trust(
        keys=tuple(key for file in files for key in file.keys),
        identities=tuple(identity for file in files for identity in file.identities),
        authorities=tuple(authorities),
        revoked=revoked,
        unusable=tuple(problem for file in files for problem in file.unusable),
        files=tuple(map(shown_path, present)),
    )


def _parsed(
    path: Path, parse: Callable[[str, str], Said], problems: list[Problem]
) -> Iterator[Said]:
    """Yield what a file says, or note its faults."""
    try:
        yield parse(_text(path), shown_path(path))
    except TrustFileError as error:
        problems.extend(error.problems)


def _lines(path: Path) -> list[str]:
    return _text(path).split("\n")[:-1] if os.path.lexists(path) else []


def _rewrite(path: Path, lines: Sequence[str], parse: Callable[[str, str], object]) -> None:
    text = "".join(f"{line}\n" for line in lines)
    try:
        parse(text, str(path))
    except TrustFileError as error:
        raise TrustError(*error.problems) from error
    # Where the file is a link, as in a repository of dotfiles, what it leads to is written.
    write_atomically(path.resolve(), text.encode("utf-8"))


def _text(path: Path) -> str:
    try:
        with open_regular(path) as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            data = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise TrustError(Problem(str(path), f"cannot be read: {error.strerror}")) from error
    if mode & stat.S_IWOTH:
        told = f"can be written by anyone (mode {mode:04o}); run: chmod 644 {path}"
        raise TrustError(Problem(str(path), told))
    if len(data) > _MAX_BYTES:
        raise TrustError(Problem(str(path), f"has over {_MAX_BYTES:,} bytes: no trust file"))
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise TrustError(Problem(str(path), f"is not UTF-8 (byte {error.start})")) from error
    return text if text.endswith("\n") or not text else text + "\n"

"""Where private keys lie: `$XDG_CONFIG_HOME/teapot/keys/`, or what the user points to.

The folder is 0700 and a key file 0600, made with O_EXCL so that no key is ever written over. A key
that others on the machine can read is refused, because it proves nothing about who used it. Beside
`name.pem` (PKCS #8) lies `name.pem.pub`, the OpenSSH line, where ssh-keygen looks for it and from
which keys are listed without a passphrase.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from teapot.errors import Problem, SigningKeyError
from teapot.files import open_regular
from teapot.signing import KeyFormatError, PassphraseNeededError, PrivateKey, PublicKey

DEFAULT_NAME = "default"
KEY_VARIABLE = "TEAPOT_SIGNING_KEY"
PASSPHRASE_VARIABLE = "TEAPOT_SIGNING_PASSPHRASE"  # noqa: S105 - a name, not a passphrase
_MAX_BYTES = 64 << 10
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,99}")

AskPassphrase = Callable[[str], bytes | None]
"""Asks for the passphrase of what is named; None where nobody can be asked."""


def config_folder() -> Path:
    """Return `$XDG_CONFIG_HOME/teapot`, by default `~/.config/teapot`.

    A relative path there is ignored, as the XDG specification asks: it would lay keys into a
    project.
    """
    named = Path(os.environ.get("XDG_CONFIG_HOME") or "")
    return (named if named.is_absolute() else Path.home() / ".config") / "teapot"


def shown_path(path: Path) -> str:
    """Return a path as people read it: with ~ for their own home."""
    try:
        return str(Path("~") / path.relative_to(Path.home()))
    except (ValueError, RuntimeError):
        return str(path)


def ask_nobody(what: str) -> bytes | None:
    """Return the passphrase in the environment, where a program runs unattended."""
    given = os.environ.get(PASSPHRASE_VARIABLE)
    return os.fsencode(given) if given else None


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredKey:
    """One key of the store."""

    name: str
    path: Path
    public: PublicKey


@dataclass(frozen=True, slots=True)
class KeyStore:
    """The keys in one folder."""

    folder: Path

    @classmethod
    def of_user(cls) -> KeyStore:
        """Return the user's own store; its folder need not exist yet."""
        return cls(config_folder() / "keys")

    def add(self, name: str, key: PrivateKey, passphrase: bytes | None = None) -> StoredKey:
        """Write a key under a new name, both of its files or none.

        Raises:
            SigningKeyError: the name is taken or no file name, the passphrase is too long, or the
                folder is open to others.
        """
        if not _NAME.fullmatch(name):
            told = "is no name for a key, expected letters, digits and . _ @ - (100 at most)"
            raise SigningKeyError(Problem(name, told))
        try:
            pem = key.to_pem(passphrase)
        except ValueError as error:
            raise SigningKeyError(Problem("passphrase", f"cannot be used: {error}")) from error
        self._prepare()
        stored = StoredKey(name=name, path=self._path(name), public=key.public)
        try:
            _write_new(stored.path, pem, 0o600)
        except FileExistsError as error:
            told = "is there already; choose another name (a key is never written over)"
            raise SigningKeyError(Problem(str(stored.path), told)) from error
        public = _public_file(stored.path)
        try:
            public.unlink(missing_ok=True)
            _write_new(public, f"{key.public.ssh} {name}\n".encode(), 0o644)
        except BaseException:
            stored.path.unlink()
            raise
        return stored

    def discard(self, stored: StoredKey) -> None:
        """Take back a key that was added just now and has signed nothing."""
        stored.path.unlink()
        _public_file(stored.path).unlink(missing_ok=True)

    def list(self) -> list[StoredKey]:
        """Return the keys of the store by name; without passphrases.

        Raises:
            SigningKeyError: a file of the store cannot be read as what it should be.
        """
        return [_stored(path) for path in sorted(self.folder.glob("*.pem"))]

    def get(self, name: str) -> StoredKey:
        """Return one key of the store.

        Raises:
            SigningKeyError: there is none of this name, or its file is not what it should be.
        """
        paths = {path.stem: path for path in sorted(self.folder.glob("*.pem"))}
        if name in paths:
            return _stored(paths[name])
        known = ", ".join(paths)
        told = f"no key of this name; there are {known}" if known else "there is no key yet"
        raise SigningKeyError(Problem(name, f"{told}; make one with `teapot keys new {name}`"))

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.pem"

    def _prepare(self) -> None:
        self.folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder.mkdir(mode=0o700, exist_ok=True)
        mode = stat.S_IMODE(self.folder.stat().st_mode)
        if mode & 0o022:
            told = f"is open to others (mode {mode:04o}); run: chmod 700 {self.folder}"
            raise SigningKeyError(Problem(str(self.folder), told))


def find_signing_key(
    given: Path | None, ask: AskPassphrase = ask_nobody, store: KeyStore | None = None
) -> PrivateKey | None:
    """Return the key to sign with, or None where the user has none yet.

    The first of: the file given, `$TEAPOT_SIGNING_KEY` (PEM text or a path), the store's `default`.

    Raises:
        SigningKeyError: it is missing, no key, open to others, or its passphrase is not to be had.
    """
    path = named_key_file(given)
    if path is not None:
        return read_key_file(path, ask)
    text = _variable()
    if text:
        return _parsed(os.fsencode(text), f"${KEY_VARIABLE}", ask)
    path = (store or KeyStore.of_user()).folder / f"{DEFAULT_NAME}.pem"
    return read_key_file(path, ask) if os.path.lexists(path) else None


def named_key_file(given: Path | None) -> Path | None:
    """Return the file that the user points to: the one given, else `$TEAPOT_SIGNING_KEY`'s.

    None where that variable holds PEM text, or is not set.

    Raises:
        SigningKeyError: the variable is empty, or neither PEM text nor the path of a file.
    """
    named = _variable()
    if given is not None or named is None or named.startswith("-----BEGIN"):
        return given
    if not named:
        told = "is set but empty, as a secret that CI lacks; unset it to sign with your own key"
        raise SigningKeyError(Problem(f"${KEY_VARIABLE}", told))
    if not os.path.lexists(named):
        told = (
            "is neither PEM text nor the path of a file (what it holds is not shown: it may be "
            "the key)"
        )
        raise SigningKeyError(Problem(f"${KEY_VARIABLE}", told))
    return Path(named)


def read_key_file(path: Path, ask: AskPassphrase) -> PrivateKey:
    """Return the private key in a file that only its owner can read.

    Raises:
        SigningKeyError: it is missing, open to others, no key, or the passphrase is not to be had.
    """
    try:
        with open_regular(path) as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            if mode & 0o077:
                told = (
                    f"is open to others (mode {mode:04o}): whoever could read it can sign in your "
                    f"name; run: chmod 600 {path} (or better, make a new key)"
                )
                raise SigningKeyError(Problem(str(path), told))
            data = file.read(_MAX_BYTES)
    except OSError as error:
        told = f"cannot be read: {error.strerror}; expected a private key in PEM"
        raise SigningKeyError(Problem(str(path), told)) from error
    return _parsed(data, str(path), ask)


def read_public_key(path: Path) -> PublicKey:
    """Return the public key in a file: PEM or an OpenSSH line.

    Raises:
        SigningKeyError: it is missing or no such key.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES)
    except OSError as error:
        raise SigningKeyError(Problem(str(path), f"cannot be read: {error.strerror}")) from error
    try:
        return PublicKey.parse(data)
    except KeyFormatError as error:
        raise SigningKeyError(Problem(str(path), str(error))) from error


def _variable() -> str | None:
    value = os.environ.get(KEY_VARIABLE)
    return value if value is None else value.strip()


def _stored(path: Path) -> StoredKey:
    """Return a key of a store, by its public half where that lies beside it."""
    public = _public_file(path)
    if os.path.lexists(public):
        return StoredKey(name=path.stem, path=path, public=read_public_key(public))
    return StoredKey(name=path.stem, path=path, public=read_key_file(path, ask_nobody).public)


def _public_file(path: Path) -> Path:
    return path.with_name(f"{path.name}.pub")


def _parsed(data: bytes, where: str, ask: AskPassphrase) -> PrivateKey:
    try:
        return PrivateKey.parse(data)
    except PassphraseNeededError:
        passphrase = ask(where)
    except KeyFormatError as error:
        raise SigningKeyError(Problem(where, str(error))) from error
    if passphrase is None:
        told = (
            "is encrypted, and there is no terminal to ask for its passphrase; set "
            f"{PASSPHRASE_VARIABLE}, or say --passphrase"
        )
        raise SigningKeyError(Problem(where, told))
    try:
        return PrivateKey.parse(data, passphrase)
    except KeyFormatError as error:
        raise SigningKeyError(Problem(where, str(error))) from error


def _write_new(path: Path, data: bytes, mode: int) -> None:
    """Write a file that must not be there yet, whole or not at all."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        path.unlink(missing_ok=True)
        raise

"""The statement of the OpenSSF Model Signing (OMS) format v1.0: the files that a signature covers.

Source: ossf/model-signing-spec, `spec/v1.0.md`; sections are cited as OMS §. The statement is the
payload of a signed bundle (`teapot.bundle`), and only a payload whose signature was verified may be
parsed. Teapot signs and believes the method `files` with SHA-256 and no symbolic links. Refused are
shards, every other digest, names that could leave the folder or be read in two ways, and a
statement that contradicts itself.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

from teapot.canonical import CanonicalError, dumps, kind_of, loads
from teapot.digest import sha256_hex
from teapot.names import CONTROL, SURROGATE, path_fault

SIGNATURE_NAME = "model.sig"
GIT_NAMES = frozenset((".git", ".gitattributes", ".github", ".gitignore"))
"""What OMS §6.2 leaves out by default, at the top of the folder only."""
DEFAULT_IGNORED = tuple(sorted({*GIT_NAMES, SIGNATURE_NAME}))

_STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
_PREDICATE_TYPE = "https://model_signing/signature/v1.0"
_METHOD = "files"
_ALGORITHM = "sha256"
_DIGEST = re.compile(r"[0-9a-f]{64}")
_GLOB = re.compile(r"[*?\[]")


class FolderStatementError(ValueError):
    """A payload is no statement about a folder; the message says what it is or has instead."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FolderStatement:
    """What a signature says of a folder; a value that exists has passed every check.

    `name` is the folder's name, a label only. `resources` are pairs of a file's name and the 64 hex
    digits of its SHA-256, in the order of the statement: OMS §5.2.1 sorts them by name, the
    reference tool by the parts of the path, and `root` depends on it. `ignored` are files and
    folders that the signature does not cover.

    Raises:
        FolderStatementError: a name is not safe, a digest not SHA-256, or the parts disagree.
    """

    name: str
    resources: tuple[tuple[str, str], ...]
    ignored: tuple[str, ...] = DEFAULT_IGNORED

    def __post_init__(self) -> None:
        """Check the values."""
        if not self.name or CONTROL.search(self.name) or SURROGATE.search(self.name):
            raise FolderStatementError(
                f"has the subject {_shown(self.name)}, expected a printable name"
            )
        if not self.resources:
            raise FolderStatementError("lists no file, expected at least one")
        _check_names([name for name, _ in self.resources], "lists")
        _check_names(self.ignored, "ignores")
        for name, digest in self.resources:
            if not _DIGEST.fullmatch(digest):
                told = f"gives {_shown(name)} the digest {_shown(digest)}"
                raise FolderStatementError(f"{told}, expected 64 lower-case hex digits of SHA-256")
        self._check_ignored()

    @classmethod
    def parse(cls, payload: bytes) -> FolderStatement:
        """Return the statement in a payload whose signature has been verified.

        Unknown keys are refused where OMS's schemas refuse them, and skipped in a resource and in
        the subject, where OMS §5.2.1 and in-toto demand that.

        Raises:
            FolderStatementError: it is not strict JSON, or not such a statement.
        """
        try:
            value = loads(payload)
        except CanonicalError as error:
            raise FolderStatementError(f"is not strict JSON: {error}") from error
        keys = {"_type", "subject", "predicateType", "predicate"}
        root = _closed(value, "the statement", keys)
        _expect(root, "_type", _STATEMENT_TYPE, "the statement")
        _expect(root, "predicateType", _PREDICATE_TYPE, "the statement")
        name, digest = _subject(root.get("subject"))
        predicate = _closed(root.get("predicate"), "predicate", {"serialization", "resources"})
        ignored = _ignored(predicate.get("serialization"))
        found = _list(predicate.get("resources"), "resources")
        resources = tuple(_resource(value) for value in found)
        statement = cls(name=name, resources=resources, ignored=ignored)
        if digest != statement.root:
            told = f"has the root digest {_shown(digest)}, expected {statement.root}"
            raise FolderStatementError(f"{told}, which its resources give")
        return statement

    @property
    def root(self) -> str:
        """Return the folder's digest: SHA-256 over the files' digests as bytes (OMS §6.5.1)."""
        return sha256_hex(b"".join(bytes.fromhex(digest) for _, digest in self.resources))

    def to_bytes(self) -> bytes:
        """Return the payload to sign, as canonical JSON."""
        resources = [
            {"name": name, "algorithm": _ALGORITHM, "digest": digest}
            for name, digest in self.resources
        ]
        serialization = {
            "method": _METHOD,
            "hash_type": _ALGORITHM,
            "allow_symlinks": False,
            "ignore_paths": list(self.ignored),
        }
        return dumps(
            {
                "_type": _STATEMENT_TYPE,
                "subject": [{"name": self.name, "digest": {_ALGORITHM: self.root}}],
                "predicateType": _PREDICATE_TYPE,
                "predicate": {"serialization": serialization, "resources": resources},
            }
        )

    def _check_ignored(self) -> None:
        """Refuse what OMS §6.2.1 refuses, and a file that is both signed and left out."""
        for path in self.ignored:
            if _GLOB.search(path):
                raise FolderStatementError(f"ignores {_shown(path)}, expected a path, no pattern")
        ignored = frozenset(self.ignored)
        for name, _ in self.resources:
            above = ancestor_in(name, ignored)
            if above is not None:
                told = f"lists {_shown(name)} and ignores {_shown(above)}"
                raise FolderStatementError(f"{told}, expected one or the other")


def ancestor_in(name: str, paths: AbstractSet[str]) -> str | None:
    """Return the path among `paths` that is `name` or a folder above it; None if there is none."""
    segments = name.split("/")
    heads = ("/".join(segments[:count]) for count in range(1, len(segments) + 1))
    return next((head for head in heads if head in paths), None)


def _check_names(names: Collection[str], verb: str) -> None:
    for name in names:
        fault = path_fault(name)
        if fault is not None:
            told = f"{verb} {_shown(name)}, which {fault}"
            raise FolderStatementError(f"{told}; expected a relative path such as a/b.txt")
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise FolderStatementError(f"{verb} {_shown(repeated[0])} twice, expected each name once")


def _subject(value: Any) -> tuple[str, str]:
    subjects = _list(value, "subject")
    if len(subjects) != 1:
        raise FolderStatementError(f"has {len(subjects)} subjects, expected exactly one")
    subject = _object(subjects[0], "a subject")
    digests = _closed(subject.get("digest"), "the subject's digest", {_ALGORITHM})
    digest = _text(digests.get(_ALGORITHM), "the subject's sha256")
    return _text(subject.get("name"), "the subject's name"), digest


def _ignored(value: Any) -> tuple[str, ...]:
    where = "serialization"
    keys = {"method", "hash_type", "allow_symlinks", "ignore_paths"}
    serialization = _closed(value, where, keys)
    _expect(serialization, "method", _METHOD, where)
    _expect(serialization, "hash_type", _ALGORITHM, where)
    _expect(serialization, "allow_symlinks", False, where)
    paths = _list(serialization.get("ignore_paths", []), "ignore_paths")
    return tuple(_text(path, "a path of ignore_paths") for path in paths)


def _resource(value: Any) -> tuple[str, str]:
    resource = _object(value, "a resource")
    name = _text(resource.get("name"), "a resource's name")
    _expect(resource, "algorithm", _ALGORITHM, f"the resource {_shown(name)}")
    return name, _text(resource.get("digest"), f"the digest of {_shown(name)}")


def _expect(value: dict[str, Any], key: str, expected: str | bool, where: str) -> None:
    found = value.get(key)
    # In Python 0 == False, but in JSON 0 is no boolean.
    if type(found) is not type(expected) or found != expected:
        told = f"has the {key} {_shown(found)}" if key in value else f"has no {key}"
        raise FolderStatementError(f"{told} in {where}, expected {expected!r}")


def _closed(value: Any, where: str, known: AbstractSet[str]) -> dict[str, Any]:
    """Return an object that has no key but the known ones."""
    others = sorted(_object(value, where).keys() - known)
    if others:
        told = f"has the key {_shown(others[0])} in {where}"
        raise FolderStatementError(f"{told}, expected only {', '.join(sorted(known))}")
    return _object(value, where)


def _object(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise FolderStatementError(f"has {kind_of(value)} as {where}, expected an object")
    return value


def _list(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise FolderStatementError(f"has {kind_of(value)} as {where}, expected a list")
    return value


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise FolderStatementError(f"has {kind_of(value)} as {where}, expected text")
    return value


def _shown(value: Any) -> str:
    """Return a found value for a message: cut, and with no character that moves a cursor."""
    shown = repr(value)
    return shown if len(shown) <= 120 else f"{shown[:120]}…"

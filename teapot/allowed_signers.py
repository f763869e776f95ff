"""Trust files: OpenSSH `allowed_signers`, and the lists of keys that are revoked.

Source: ssh-keygen(1), ALLOWED SIGNERS. A line is `principals [options] type key [comment]`; the
options that count here are `namespaces`, `valid-after` and `valid-before`. Lines with keys that
Teapot cannot use are not faults, because teams keep one file for git and for this. What OpenSSH has
no word for stands in lines that it takes for comments:

    #sigstore identity="alice@example.com" issuer="https://accounts.example.com"
    #timestamp-authority certificate="tsa.pem"
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone

from teapot.errors import Problem
from teapot.signing import KEY_TYPE, KeyFormatError, PublicKey

NAMESPACE = "teapot"
_KEY_TYPES = re.compile(r"(?:ssh|ecdsa|sk-ssh|sk-ecdsa|rsa)-[a-z0-9@.-]+")
_DATE = re.compile(r"([0-9]{8})(?:([0-9]{4})([0-9]{2})?)?(Z?)")


@dataclass(frozen=True, kw_only=True, slots=True)
class TrustedKey:
    """One line of a trust file; `where` is `file:line`, times are None where there is no bound."""

    principals: str
    key: PublicKey
    where: str
    namespaces: str | None = None
    valid_after: datetime | None = None
    valid_before: datetime | None = None
    comment: str = ""

    def covers(self, namespace: str) -> bool:
        """Tell whether the line lets the key sign in a namespace."""
        return _in_patterns(namespace, self.namespaces or "*")

    def to_line(self) -> str:
        """Return the line, as ssh-keygen reads it, without its LF."""
        options = [f'namespaces="{self.namespaces}"'] if self.namespaces else []
        for name, time in (("valid-after", self.valid_after), ("valid-before", self.valid_before)):
            if time is not None:
                options.append(f'{name}="{time.astimezone(timezone.utc):%Y%m%d%H%M%SZ}"')
        parts = [self.principals, ",".join(options), self.key.ssh, self.comment]
        return " ".join(part for part in parts if part)


@dataclass(frozen=True, kw_only=True, slots=True)
class TrustedIdentity:
    """One `#sigstore` line: who may sign with a certificate, and who must have issued it."""

    identity: str
    issuer: str
    where: str


@dataclass(frozen=True, kw_only=True, slots=True)
class TrustedAuthority:
    """One `#timestamp-authority` line: the PEM file that holds its certificates."""

    certificate: str
    where: str


@dataclass(frozen=True, kw_only=True, slots=True)
class TrustFile:
    """What a trust file says; `unusable` names lines with keys of other kinds."""

    keys: tuple[TrustedKey, ...] = ()
    identities: tuple[TrustedIdentity, ...] = ()
    authorities: tuple[TrustedAuthority, ...] = ()
    unusable: tuple[Problem, ...] = ()


class TrustFileError(ValueError):
    """A trust file has lines that cannot be read; `problems` are all of them."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        self.problems = problems
        super().__init__("\n".join(map(str, problems)))


def parse_trust(text: str, name: str) -> TrustFile:
    """Return what a trust file says; `name` is shown as the place of its lines.

    Raises:
        TrustFileError: lines cannot be read; a file in doubt is not believed in part.
    """
    found: list[TrustedKey | TrustedIdentity | TrustedAuthority] = []
    faults, unusable = [], []
    for where, line in _lines(text, name):
        try:
            found.append(_entry(line, where))
        except _OtherKindError as error:
            unusable.append(Problem(where, str(error)))
        except ValueError as error:
            faults.append(Problem(where, str(error)))
    if faults:
        raise TrustFileError(tuple(faults))
    return TrustFile(
        keys=tuple(part for part in found if isinstance(part, TrustedKey)),
        identities=tuple(part for part in found if isinstance(part, TrustedIdentity)),
        authorities=tuple(part for part in found if isinstance(part, TrustedAuthority)),
        unusable=tuple(unusable),
    )


def parse_revoked(text: str, name: str) -> dict[PublicKey, str]:
    """Return the keys of a list of public keys, one a line, each with its place.

    Raises:
        TrustFileError: lines cannot be read; a list in doubt must not let a revoked key pass.
    """
    revoked: dict[PublicKey, str] = {}
    faults = []
    for where, line in _lines(text, name):
        try:
            revoked[_key(line.split())] = where
        except _OtherKindError:
            continue
        except ValueError as error:
            faults.append(Problem(where, str(error)))
    if faults:
        raise TrustFileError(tuple(faults))
    return revoked


def parse_time(text: str) -> datetime:
    """Return the time `YYYYMMDD[HHMM[SS]][Z]`; without Z it is local, as ssh-keygen takes it.

    Raises:
        ValueError: it is not such a time.
    """
    matched = _DATE.fullmatch(text)
    if matched is None:
        raise ValueError(f"the time {text!r} is not YYYYMMDD[HHMM[SS]][Z]")
    digits = "".join(part or "" for part in matched.groups()[:3])
    try:
        time = datetime.strptime(digits.ljust(14, "0"), "%Y%m%d%H%M%S")
    except ValueError:
        raise ValueError(f"the time {text!r} is on no calendar") from None
    return time.replace(tzinfo=timezone.utc) if matched[4] else time.astimezone()


class _OtherKindError(ValueError):
    """A key that others use, of a kind that Teapot does not."""


def _lines(text: str, name: str) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(text.split("\n"), start=1):
        stripped = line.strip()
        if stripped and (not stripped.startswith("#") or _directive(stripped)):
            yield f"{name}:{number}", stripped


def _directive(line: str) -> str | None:
    word = line.split()[0]
    return word if word in ("#sigstore", "#timestamp-authority") else None


def _entry(line: str, where: str) -> TrustedKey | TrustedIdentity | TrustedAuthority:
    match _directive(line):
        case "#sigstore":
            named = _named(line, {"identity", "issuer"})
            return TrustedIdentity(**named, where=where)
        case "#timestamp-authority":
            return TrustedAuthority(**_named(line, {"certificate"}), where=where)
    return _trusted_key(line, where)


def _trusted_key(line: str, where: str) -> TrustedKey:
    principals, rest = _principals(line)
    words = _split_outside_quotes(rest, " \t")
    options: Mapping[str, str] = {}
    if words and not _KEY_TYPES.fullmatch(words[0]):
        options = _options(words.pop(0))
    return TrustedKey(
        principals=principals,
        key=_key(words),
        where=where,
        namespaces=options.get("namespaces"),
        valid_after=parse_time(options["valid-after"]) if "valid-after" in options else None,
        valid_before=parse_time(options["valid-before"]) if "valid-before" in options else None,
        comment=" ".join(words[2:]),
    )


def _principals(line: str) -> tuple[str, str]:
    if line.startswith('"'):
        name, _, rest = line[1:].partition('"')
        return name, rest.strip()
    name, _, rest = line.partition(" ")
    return name, rest.strip()


def _options(text: str) -> dict[str, str]:
    options: dict[str, str] = {}
    for part in _split_outside_quotes(text, ","):
        name, equals, value = part.partition("=")
        name = name.lower()
        if name == "cert-authority":
            raise _OtherKindError("names an SSH certificate authority, which Teapot does not use")
        if name not in ("namespaces", "valid-after", "valid-before"):
            raise ValueError(
                f"{part[:60]!r} is neither a key type nor an option that limits a key; expected "
                f"'PRINCIPAL [namespaces=\"…\"] {KEY_TYPE} KEY'"
            )
        if name in options:
            raise ValueError(f"the option {name} stands twice")
        if not equals or len(value) < 3 or value[0] != '"' or value[-1] != '"':
            raise ValueError(f'the option {name} has no value in quotes, expected {name}="…"')
        options[name] = value[1:-1]
    return options


def _key(words: list[str]) -> PublicKey:
    if len(words) < 2:
        raise ValueError(f"holds no key, expected 'PRINCIPAL {KEY_TYPE} KEY'")
    if words[0] != KEY_TYPE:
        if _KEY_TYPES.fullmatch(words[0]):
            raise _OtherKindError(f"is a key of type {words[0]}, Teapot uses {KEY_TYPE} only")
        raise ValueError(f"{words[0][:60]!r} is no key type, expected {KEY_TYPE}")
    try:
        return PublicKey.parse(" ".join(words[:2]).encode("utf-8"))
    except KeyFormatError as error:
        raise ValueError(f"the key {error}") from error


def _split_outside_quotes(text: str, separators: str) -> list[str]:
    """Return the parts of a text between separators that stand outside double quotes."""
    parts, quoted = [""], False
    for char in text:
        quoted ^= char == '"'
        if char in separators and not quoted:
            parts.append("")
        else:
            parts[-1] += char
    if quoted:
        raise ValueError("a quote is never closed")
    return [part for part in parts if part]


def _in_patterns(text: str, patterns: str) -> bool:
    """Tell whether a text is in an OpenSSH pattern list (ssh_config(5), PATTERNS)."""
    matched = False
    for pattern in patterns.split(","):
        wanted = re.escape(pattern.removeprefix("!")).replace(r"\*", ".*").replace(r"\?", ".")
        if re.fullmatch(wanted, text):
            if pattern.startswith("!"):
                return False
            matched = True
    return matched


def _named(line: str, names: set[str]) -> dict[str, str]:
    """Return the `name="value"` pairs of a directive; each name once, none missing."""
    pairs = [part.partition("=") for part in shlex.split(line.partition(" ")[2])]
    found = {name: value for name, _, value in pairs}
    if len(pairs) != len(found) or found.keys() != names or not all(found.values()):
        wanted = " ".join(f'{name}="…"' for name in sorted(names))
        raise ValueError(f"expected '{line.split()[0]} {wanted}'")
    return found

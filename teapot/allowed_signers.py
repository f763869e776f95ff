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
from datetime import UTC, datetime
from time import mktime

from teapot.errors import Problem
from teapot.signing import KEY_TYPE, KeyFormatError, PublicKey

NAMESPACE = "teapot"
_KEY_TYPES = re.compile(r"(?:ssh|ecdsa|sk-ssh|sk-ecdsa|rsa)-[a-z0-9@.-]+")
_DATE = re.compile(r"([0-9]{8})(?:([0-9]{4})([0-9]{2})?)?(Z|UTC)?", re.IGNORECASE)
_BLANKS = " \t\r"
_PRINCIPALS = re.compile(r'([^" \t]*)"([^"]*)"[ \t]*|([^" \t]+)(?:[ \t]+|\Z)')
_OPTIONS = re.compile(r'((?:[^" \t]|"[^"]*(?:"|$))*)')


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

    def is_named(self, principal: str) -> bool:
        """Tell whether the line names a principal."""
        return _in_patterns(principal, self.principals)

    def covers(self, namespace: str) -> bool:
        """Tell whether the line lets the key sign in a namespace."""
        return _in_patterns(namespace, self.namespaces or "*")

    def to_line(self) -> str:
        """Return the line, as ssh-keygen reads it, without its LF.

        Raises:
            ValueError: a part would end the line or its quotes, and so say something else.
        """
        _refuse_unwritable(self)
        options = [f'namespaces="{self.namespaces}"'] if self.namespaces else []
        for name, time in (("valid-after", self.valid_after), ("valid-before", self.valid_before)):
            if time is not None:
                options.append(f'{name}="{time.astimezone(UTC):%Y%m%d%H%M%SZ}"')
        needs_quotes = re.search(r"^#|[ \t]", self.principals)
        who = f'"{self.principals}"' if needs_quotes else self.principals
        words = [who, ",".join(options), self.key.ssh, self.comment]
        return " ".join(word for word in words if word)


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
        words = line.split()
        if words and words[0].endswith("-cert-v01@openssh.com"):
            told = "is a certificate; to revoke its key, give the key itself"
            faults.append(Problem(where, told))
            continue
        try:
            revoked[_key(words)] = where
        except _OtherKindError:
            continue
        except ValueError as error:
            faults.append(Problem(where, str(error)))
    if faults:
        raise TrustFileError(tuple(faults))
    return revoked


def parse_time(text: str) -> datetime:
    """Return the time `YYYYMMDD[HHMM[SS]][Z]`; without Z it is local, as ssh-keygen takes it.

    To ssh-keygen local time is standard time, in summer as well.

    Raises:
        ValueError: it is not such a time.
    """
    matched = _DATE.fullmatch(text)
    if matched is None:
        raise ValueError(f"the time {text!r} is not YYYYMMDD[HHMM[SS]][Z]")
    digits = "".join(part or "" for part in matched.groups()[:3])
    try:
        time = datetime.strptime(digits.ljust(14, "0"), "%Y%m%d%H%M%S").replace(tzinfo=UTC)
        if not matched[4]:
            standard = (*time.timetuple()[:6], 0, 0, 0)
            time = datetime.fromtimestamp(mktime(standard), UTC)
    except (ValueError, OverflowError):
        raise ValueError(f"the time {text!r} is on no calendar") from None
    if time.timestamp() <= 0:
        raise ValueError(f"the time {text!r} is not after 1970-01-01, ssh-keygen refuses it")
    return time


def _refuse_unwritable(key: TrustedKey) -> None:
    """Refuse parts that would end their line or their quotes, and so say something else."""
    namespaces = key.namespaces or ""
    quoted = key.principals + namespaces
    if '"' in quoted or namespaces.endswith("\\") or re.search(r"[\n\r\0]", quoted + key.comment):
        raise ValueError("a line break or a quote cannot stand in a line of a trust file")
    if not key.principals:
        raise ValueError("a line of a trust file must name a principal")


class _OtherKindError(ValueError):
    """A key that others use, of a kind that Teapot does not."""


def _lines(text: str, name: str) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(text.split("\n"), start=1):
        stripped = line.strip(_BLANKS)
        if stripped and (not stripped.startswith("#") or _directive(stripped)):
            yield f"{name}:{number}", stripped


def _directive(line: str) -> str | None:
    word = re.split(r"[ \t]", line, maxsplit=1)[0]
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
    if re.search(r"[\r\0]", line):
        raise ValueError("holds a carriage return or a NUL in its middle")
    principals, rest = _principals(line)
    options: Mapping[str, str] = {}
    words = _words(rest)
    if words and not _KEY_TYPES.fullmatch(words[0]):
        matched = _OPTIONS.match(rest)
        assert matched is not None  # noqa: S101 - it matches the empty text too
        options, words = _options(matched[1]), _words(rest[matched.end() :])
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
    matched = _PRINCIPALS.match(line)
    if matched is None:
        raise ValueError("a quote is never closed")
    principals = matched[3] or matched[1] + matched[2]
    if not principals:
        raise ValueError("names no principal")
    return principals, line[matched.end() :]


def _words(text: str) -> list[str]:
    return [word for word in re.split(r"[ \t]+", text) if word]


def _options(text: str) -> dict[str, str]:
    options: dict[str, str] = {}
    if '\\"' in text:
        raise ValueError("an escaped quote in an option is not understood here")
    if text.endswith(","):
        raise ValueError("an option is missing after a comma")
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
        if not equals or not re.fullmatch(r'"[^"]+"', value):
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
    pairs = [part.partition("=") for part in shlex.split(line)[1:]]
    found = {name: value for name, _, value in pairs}
    if len(pairs) != len(found) or found.keys() != names or not all(found.values()):
        wanted = " ".join(f'{name}="…"' for name in sorted(names))
        raise ValueError(f"expected '{line.split(maxsplit=1)[0]} {wanted}'")
    return found

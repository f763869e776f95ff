"""Every error that Teapot raises on purpose.

Each says where, what was found, what was expected and what to do. The command line turns any
`TeapotError` into its text and its exit code; nothing below the command line exits by itself.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong at one place; `where` is `file:line`, `source:row` or an argument."""

    where: str
    message: str
    path: str = ""

    def __str__(self) -> str:
        return ": ".join(part for part in (self.where, self.path, self.message) if part)


def counted(number: int, thing: str) -> str:
    """Return a count with its noun: `1 row`, `1,204 rows`."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


class TeapotError(Exception):
    """The base of all errors; `exit_code` is what the command line returns for it."""

    exit_code = 1

    def __init__(self, *problems: Problem | str) -> None:
        self.problems = tuple(
            problem if isinstance(problem, Problem) else Problem("", problem)
            for problem in problems
        )
        super().__init__("\n".join(str(problem) for problem in self.problems))


class DataError(TeapotError):
    """Rows, files or counts are not what was promised (exit code 1)."""


class BadRowsError(DataError):
    """Rows failed their checks and the policy is `fail`, or too many failed."""


class ExpectationError(DataError):
    """A count differs from what the config or the lock expects."""


class DigestError(DataError):
    """Bytes do not have the SHA-256 they were declared to have."""


class UsageError(TeapotError):
    """The command, a config or a module file is wrong (exit code 2)."""

    exit_code = 2


class ConfigError(UsageError):
    """A config or module file does not say what it must."""


class PluginError(UsageError):
    """A plug-in is missing, or two packages provide the same name."""


class MissingExtraError(UsageError):
    """An optional dependency is needed; the message names the extra to install."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs an optional package: pip install 'teapot[{extra}]'")


class SigningKeyError(UsageError):
    """A signing key is missing, unusable, or open to others."""


class TrustError(UsageError):
    """A trust file is missing or cannot be read."""


class UnsignedError(TeapotError):
    """Nobody has signed what must be signed (exit code 4)."""

    exit_code = 4


class UntrustedError(TeapotError):
    """Who signed is unknown, revoked, or not trusted for this, or not now (exit code 5)."""

    exit_code = 5


class SourceError(TeapotError):
    """A source is missing or cannot be reached (exit code 3)."""

    exit_code = 3


class OutputError(TeapotError):
    """The output cannot be written, or another run is writing it (exit code 6)."""

    exit_code = 6

"""What the Hub's client raises while something is pushed, in words that say what to do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from teapot.errors import DataError, OutputError, Problem, TeapotError, UsageError

_MAX_WORDS = 300
Stage = Literal["before", "commit", "after"]
_ENDINGS: dict[Stage, str] = {
    "before": "nothing was committed, so the repository holds what it held before",
    "commit": "whether the commit was made is not known: say the same command again; where it was "
    "made, nothing is sent twice",
    "after": "the commit was made, but not compared with what was verified: say the same command "
    "again, which compares",
}


def explained(error: Exception, place: str, token: str, stage: Stage) -> TeapotError:
    """Return an error of the client as Teapot's own, without the token in it.

    At the stage `commit` the commit itself was asked for: where no clear refusal came back, it may
    have been made. An error of Teapot's comes back as it is.
    """
    if isinstance(error, TeapotError):
        return error
    status = next((code for code in map(_status, _chain(error)) if code is not None), None)
    kind, said = _told(error, status)
    words = next((text for text in map(_words, _chain(error)) if text), "")
    if words and kind is not UsageError:
        said = f"{said}; the Hub says: {words}"
    if stage == "commit" and status is not None and status < 500:
        stage = "before"
    return kind(Problem(place, f"{said}; {_ENDINGS[stage]}".replace(token, "(token)")))


def _told(error: Exception, status: int | None) -> tuple[type[TeapotError], str]:
    """Return the kind of error and what to do about it, by the status that the Hub answered."""
    if status is not None:
        failed = f"the Hub has failed (status {status}); push again later"
        refused = f"the Hub has refused (status {status})"
        return _BY_STATUS.get(status, (OutputError, failed if status >= 500 else refused))
    names = [type(part).__name__ for part in _chain(error)]
    for ending, kind, said in _BY_NAME:
        if any(name.endswith(ending) for name in names):
            return kind, said
    if isinstance(error, OSError) and error.filename:
        return DataError, f"{error.filename} cannot be read: {error.strerror}"
    return OutputError, f"cannot be pushed: {type(error).__name__}: {error}"


_BY_STATUS: dict[int, tuple[type[TeapotError], str]] = {
    400: (OutputError, "the Hub does not take what it was sent (status 400)"),
    401: (
        UsageError,
        "the Hub does not accept the token in HF_TOKEN: it is wrong or has expired; make one that "
        "may write in the Hub's settings (Access Tokens)",
    ),
    402: (OutputError, "the Hub asks for payment (status 402)"),
    403: (
        OutputError,
        "the token may not write here (status 403); take one that may write to this owner's "
        "repositories, or push to OWNER/NAME of your own",
    ),
    404: (OutputError, "is not there, or the token may not see it (status 404)"),
    409: (OutputError, "somebody else is writing to it (status 409); push again"),
    412: (
        OutputError,
        "somebody else has committed meanwhile (status 412), and is not overwritten; look at what "
        "they did, then push again",
    ),
    413: (OutputError, "the Hub finds it too large (status 413)"),
    429: (OutputError, "the Hub wants fewer requests (status 429); wait, then push again"),
    507: (OutputError, "the Hub has no room for it (status 507)"),
}
_UNREACHED = "the Hub is not reached; look at the network, then push again"
_BY_NAME: tuple[tuple[str | tuple[str, ...], type[TeapotError], str], ...] = (
    (
        "OfflineModeIsEnabled",
        UsageError,
        "HF_HUB_OFFLINE is set, and a push needs the Hub; unset it",
    ),
    (
        ("Timeout", "TimeoutError"),
        OutputError,
        "the Hub does not answer in time; push again later",
    ),
    (
        ("ConnectError", "ReadError", "WriteError", "CloseError", "ProtocolError", "ProxyError"),
        OutputError,
        _UNREACHED,
    ),
    (
        ("ConnectionError", "ConnectionResetError", "ConnectionRefusedError"),
        OutputError,
        _UNREACHED,
    ),
)
"""Ends of the names of what is raised: which library the client uses is its own affair."""


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and what it came from: a failed upload is wrapped by the client."""
    while error is not None:
        yield error
        error = error.__cause__


def _status(error: BaseException) -> int | None:
    status = getattr(getattr(error, "response", None), "status_code", None)
    return status if isinstance(status, int) else None


def _words(error: BaseException) -> str:
    """Return what the Hub itself says, on one line."""
    said = getattr(error, "server_message", None)
    return " ".join(said.split())[:_MAX_WORDS] if isinstance(said, str) else ""

"""Who is believed: the trust files' keys, judged at a time. Pure; `trustfile` reads the files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from teapot.allowed_signers import NAMESPACE, TrustedAuthority, TrustedIdentity, TrustedKey
from teapot.errors import Problem
from teapot.signing import PublicKey


@dataclass(frozen=True, kw_only=True, slots=True)
class Judgement:
    """Whether a key is believed, and the sentence that says why or why not.

    `principals` and `where` are of the line that counts; empty for a key that no line names.
    """

    is_trusted: bool
    reason: str
    principals: str = ""
    where: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Trust:
    """Everything the trust files say, the first file first; a revoked key is revoked for all.

    `principal` is who alone may have signed, where the caller has somebody in mind.
    """

    keys: tuple[TrustedKey, ...] = ()
    identities: tuple[TrustedIdentity, ...] = ()
    authorities: tuple[TrustedAuthority, ...] = ()
    revoked: Mapping[PublicKey, str] = field(default_factory=dict)
    unusable: tuple[Problem, ...] = ()
    files: tuple[str, ...] = ()
    principal: str | None = None

    def meant_identities(self) -> tuple[TrustedIdentity, ...]:
        """Return the identities that count."""
        return tuple(line for line in self.identities if self.principal in (None, line.identity))

    def signer_of(self, message: bytes, signature: bytes) -> PublicKey | None:
        """Return the key, of all that are named or revoked, that made a DER signature."""
        known = dict.fromkeys([*(entry.key for entry in self.keys), *self.revoked])
        return next((key for key in known if key.has_signed(message, signature)), None)

    def judge(self, key: PublicKey, at: datetime, namespace: str = NAMESPACE) -> Judgement:
        """Return whether `key` may sign in a namespace at a time."""
        if key in self.revoked:
            return Judgement(is_trusted=False, reason=f"was revoked in {self.revoked[key]}")
        refusals = []
        for entry in self.keys:
            if entry.key != key:
                continue
            refusal = _refusal(entry, at, namespace, self.principal)
            if refusal is None:
                reason = f"is trusted as {entry.principals} by {entry.where}"
                return Judgement(
                    is_trusted=True, reason=reason, principals=entry.principals, where=entry.where
                )
            refusals.append(
                Judgement(
                    is_trusted=False, reason=f"{refusal} ({entry.where})",
                    principals=entry.principals, where=entry.where,
                )
            )  # fmt: skip
        if refusals:
            return refusals[0]
        searched = ", ".join(self.files) or "no trust file was found"
        return Judgement(is_trusted=False, reason=f"is in no trust file ({searched})")


def _refusal(entry: TrustedKey, at: datetime, namespace: str, principal: str | None) -> str | None:
    """Return why a line does not let its key sign; the bounds themselves are inside."""
    if principal is not None and not entry.is_named(principal):
        return f"is trusted as {entry.principals}, not as {principal}"
    if not entry.covers(namespace):
        return f"may sign for {entry.namespaces}, not for {namespace}"
    if entry.valid_after is not None and at < entry.valid_after:
        return f"is valid only after {_shown(entry.valid_after)}"
    if entry.valid_before is not None and at > entry.valid_before:
        return f"was valid only before {_shown(entry.valid_before)}"
    return None


def _shown(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")

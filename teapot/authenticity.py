"""Who signed a payload, and whether they are believed: bundles judged against trust files.

Nothing inside a bundle is a reason to believe it. A key must stand in a trust file; its hint only
decides between two refusals. One key counts once, however many bundles it signed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from teapot.allowed_signers import TrustedAuthority
from teapot.bundle import Bundle, BundleError
from teapot.files import open_regular
from teapot.model.verification import CheckResult, Status
from teapot.signing import PublicKey
from teapot.trust import Trust

NAME = "signature"
_MAX_CERTIFICATE_BYTES = 1 << 20
_BELIEVED = "the DSSE signature against the keys of the trust files"


@dataclass(frozen=True, kw_only=True, slots=True)
class BundleFile:
    """A bundle as it lies: its file name and its bytes."""

    name: str
    data: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class Signer:
    """Somebody who is believed: an identity that counts once, and the trust line that names it."""

    identity: str
    principals: str
    where: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Signatures:
    """What the bundles of one payload amount to; `payload` only where its signers are enough.

    `unproven` are the payloads of bundles where they are not: good for nothing but to be compared.
    """

    results: tuple[CheckResult, ...]
    signers: tuple[Signer, ...] = ()
    payload: bytes | None = None
    unproven: tuple[bytes, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class _Judged:
    results: tuple[CheckResult, ...]
    payload: bytes
    signer: Signer | None = None


def judge_bundles(
    files: Sequence[BundleFile],
    trust: Trust,
    *,
    at: datetime,
    threshold: int = 1,
    keyless_config: Path | None = None,
) -> Signatures:
    """Return whether at least `threshold` believed signers have signed one payload.

    A bundle that is broken, or whose signature is not its key's, is a fault whatever the others
    say. `at` is the time at which keys must be valid, where no timestamp tells another.
    `keyless_config` names another Sigstore instance than the public one.
    """
    judged = [_judge(file, trust, at, keyless_config) for file in files]
    results = [result for one in judged for result in one.results]
    signers = {one.signer.identity: one.signer for one in judged if one.signer is not None}
    payloads = {one.payload for one in judged if one.signer is not None}
    if any(result.status == Status.FAULT for result in results):
        return Signatures(results=tuple(results))
    if len(payloads) > 1:
        told = "the bundles of one manifest sign different payloads"
        results.append(CheckResult(name=NAME, status=Status.FAULT, compared=told))
    elif len(signers) >= threshold:
        return Signatures(
            results=tuple(_forgiven(results, threshold)), signers=tuple(signers.values()),
            payload=payloads.pop(),
        )  # fmt: skip
    elif signers:
        results.append(
            CheckResult(
                name="threshold", status=Status.UNTRUSTED,
                compared="trusted signers, each counted once, against those asked for",
                expected=f"{threshold} at least", found=str(len(signers)),
            )
        )  # fmt: skip
    return Signatures(results=tuple(results), unproven=tuple(one.payload for one in judged))


def _forgiven(results: Sequence[CheckResult], threshold: int) -> list[CheckResult]:
    """Return results in which a further, unknown signer is a note: there are enough without."""
    ending = f"; not counted, {threshold} trusted is enough"
    return [
        replace(result, status=Status.NOTE, compared=result.compared + ending)
        if result.status == Status.UNTRUSTED
        else result
        for result in results
    ]


def _judge(file: BundleFile, trust: Trust, at: datetime, keyless_config: Path | None) -> _Judged:
    try:
        bundle = Bundle.parse(file.data)
    except BundleError as error:
        return _fault(file, str(error))
    if bundle.certificate is not None:
        return _judge_certificate(file, bundle, trust, keyless_config)
    notes, stamped_at = _timestamp(file, bundle, trust)
    if any(note.status == Status.FAULT for note in notes):
        return _Judged(results=notes, payload=bundle.payload)
    key = trust.signer_of(bundle.message, bundle.signature)
    if key is None:
        result = _by_no_known_key(file, bundle, trust)
        return _Judged(results=(*notes, result), payload=bundle.payload)
    result, signer = _judge_key(file, key, trust, stamped_at or at)
    return _Judged(results=(result, *notes), payload=bundle.payload, signer=signer)


def _judge_key(
    file: BundleFile, key: PublicKey, trust: Trust, when: datetime
) -> tuple[CheckResult, Signer | None]:
    """Judge the key that made a signature: is it trusted, for this, at that time?"""
    judgement = trust.judge(key, when)
    result = CheckResult(
        name=NAME,
        status=Status.OK if judgement.is_trusted else Status.UNTRUSTED,
        compared=f"{_BELIEVED}, over the payload of {file.name}",
        expected="the signature of a trusted key",
        found=f"{key.fingerprint}, which {judgement.reason}",
    )
    if not judgement.is_trusted:
        return result, None
    return result, Signer(
        identity=key.fingerprint, principals=judgement.principals, where=judgement.where
    )


def _by_no_known_key(file: BundleFile, bundle: Bundle, trust: Trust) -> CheckResult:
    """Tell a signature that its own key disowns from one by a key that nobody knows."""
    known = {key.fingerprint for key in [*(e.key for e in trust.keys), *trust.revoked]}
    names = [name for name in (bundle.keyid, bundle.hint) if name]
    claimed = next((name for name in names if name in known), "".join(names[:1]))
    if claimed in known:
        return CheckResult(
            name=NAME, status=Status.FAULT,
            compared=f"{_BELIEVED}, over the payload of {file.name}",
            expected=f"a signature by {claimed}, as the bundle says",
            found="one that this key has not made: payload or signature was changed",
        )  # fmt: skip
    files = ", ".join(trust.files) or "there is none"
    return CheckResult(
        name=NAME, status=Status.UNTRUSTED,
        compared=f"{_BELIEVED}, over the payload of {file.name}",
        expected=f"the signature of a key in a trust file ({files})",
        found=f"one of an unknown key (the bundle calls it {claimed[:80]!r}, which proves nothing)",
        details=(
            "if you know its owner, get the public key from them and run: "
            "teapot trust add NAME PUBLIC_KEY",
        ),
    )  # fmt: skip


def _judge_certificate(
    file: BundleFile, bundle: Bundle, trust: Trust, config: Path | None
) -> _Judged:
    """Judge a keyless signature: its certificate's identity must stand in a trust file."""
    from teapot.errors import MissingExtraError
    from teapot.keyless import KeylessError, UnknownIdentityError, verify_keyless

    compared = f"the keyless signature of {file.name} against the identities of the trust files"
    try:
        found = verify_keyless(file.data, trust.meant_identities(), trust_config=config)
    except MissingExtraError as error:
        return _untrusted(compared, "a verifier of keyless signatures", str(error), bundle)
    except UnknownIdentityError as error:
        return _untrusted(compared, "an identity and issuer in a trust file", str(error), bundle)
    except KeylessError as error:
        return _fault(file, str(error))
    result = CheckResult(
        name=NAME, status=Status.OK, compared=compared,
        expected="an identity and issuer in a trust file",
        found=(
            f"{found.identity} by {found.issuer}, trusted by {found.where}; signed "
            f"{found.signed_at.astimezone(UTC):%Y-%m-%d %H:%M:%S UTC}"
        ),
    )  # fmt: skip
    signer = Signer(
        identity=f"{found.identity} {found.issuer}", principals=found.identity, where=found.where
    )
    return _Judged(results=(result,), payload=bundle.payload, signer=signer)


def _timestamp(
    file: BundleFile, bundle: Bundle, trust: Trust
) -> tuple[tuple[CheckResult, ...], datetime | None]:
    """Check the timestamps of a bundle; return the results, and the earliest time proven."""
    if not bundle.timestamps:
        return (), None
    compared = f"the RFC 3161 timestamp of {file.name}"
    if not trust.authorities:
        told = f"{compared}; no trust file names a timestamp authority, so its time is not used"
        return (CheckResult(name="timestamp", status=Status.NOTE, compared=told),), None
    results, times = [], []
    for stamp in bundle.timestamps:
        result, time = _checked_stamp(compared, stamp, bundle.signature, trust.authorities)
        results.append(result)
        if time is not None:
            times.append(time)
    return tuple(results), min(times, default=None)


def _checked_stamp(
    compared: str, stamp: bytes, signature: bytes, authorities: Sequence[TrustedAuthority]
) -> tuple[CheckResult, datetime | None]:
    from teapot.timestamps import TimestampError, check_timestamp

    reasons = []
    for authority in authorities:
        try:
            with open_regular(Path(authority.certificate)) as file:
                certificates = file.read(_MAX_CERTIFICATE_BYTES)
            time = check_timestamp(stamp, signature, certificates)
        except OSError as error:
            reasons.append(f"{authority.where}: {authority.certificate}: {error.strerror}")
        except TimestampError as error:
            reasons.append(f"{authority.where}: {error}")
        else:
            return CheckResult(
                name="timestamp", status=Status.OK, compared=compared,
                expected="a witness of the signature by a trusted authority",
                found=f"signed by {time.astimezone(UTC):%Y-%m-%d %H:%M:%S UTC}, "
                f"by the authority of {authority.where}",
            ), time  # fmt: skip
    return CheckResult(
        name="timestamp", status=Status.FAULT, compared=compared,
        expected="a witness of the signature by a trusted authority", found="none",
        details=tuple(reasons),
    ), None  # fmt: skip


def _untrusted(compared: str, expected: str, found: str, bundle: Bundle) -> _Judged:
    result = CheckResult(
        name=NAME, status=Status.UNTRUSTED, compared=compared, expected=expected, found=found
    )
    return _Judged(results=(result,), payload=bundle.payload)


def _fault(file: BundleFile, told: str) -> _Judged:
    result = CheckResult(
        name=NAME, status=Status.FAULT, compared=f"the bundle {file.name}",
        expected="a Sigstore bundle v0.3 with one DSSE signature", found=told,
    )  # fmt: skip
    return _Judged(results=(result,), payload=b"")

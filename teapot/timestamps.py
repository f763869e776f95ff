"""RFC 3161 timestamps: a witness that a signature was there at a time (extra `timestamp`).

The imprint is the SHA-256 of the signature's raw bytes, as in Sigstore bundles, so a timestamp that
Teapot asks for can be checked by others, and the other way round. The certificates inside a
timestamp are never trusted by themselves: whoever checks one gives the authority's certificates.
"""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from teapot.errors import MissingExtraError, Problem, SourceError

if TYPE_CHECKING:
    from cryptography import x509
    from rfc3161_client import TimeStampRequest, Verifier

_QUERY_TYPE = "application/timestamp-query"
_REPLY_TYPE = "application/timestamp-reply"
_TIMEOUT_SECONDS = 30.0
_MAX_BYTES = 1 << 16  # a reply with a long chain of certificates has about 10,000
_GRANTED = 0
_OPENSSL_REASON = re.compile(r'data: "Verify error: ([^"]+)"')


class TimestampError(ValueError):
    """A timestamp is no trusted authority's over this signature; the message says why."""


def request_timestamp(signature: bytes, url: str) -> bytes:
    """Return an authority's DER response over a signature, asked for over HTTP (RFC 3161 §3.4).

    It was granted, for this signature and this request. Who granted it is not checked here: that
    needs the certificates that the reader trusts, and is what `check_timestamp` does.

    Raises:
        SourceError: the authority cannot be reached, or gives no such response.
    """
    _require_library()
    from rfc3161_client import HashAlgorithm, TimestampRequestBuilder

    builder = TimestampRequestBuilder().data(signature).hash_algorithm(HashAlgorithm.SHA256)
    request = builder.nonce(nonce=True).cert_request(cert_request=True).build()
    stamp = _post(request.as_bytes(), url)
    fault = _fault_of(stamp, request, signature)
    if fault:
        raise _no_timestamp(url, fault)
    return stamp


def check_timestamp(stamp: bytes, signature: bytes, certificates: bytes) -> datetime:
    """Return when a trusted authority saw a signature, in UTC.

    `certificates` is the text of a PEM file, in any order: the authority's root, the intermediates
    that its timestamps do not carry themselves, and, to trust that one signer only, its own
    certificate. They must have been valid when the timestamp was made, not now.

    Raises:
        TimestampError: the timestamp is broken, over something else or not from this authority.
    """
    _require_library()
    from rfc3161_client import VerificationError, decode_timestamp_response

    verifier = _verifier(certificates)
    try:
        response = decode_timestamp_response(stamp)
        verifier.verify_message(response, signature)
        return response.tst_info.gen_time.astimezone(UTC)
    except (ValueError, VerificationError) as error:
        told = "is no timestamp of this signature by the trusted authority"
        raise TimestampError(f"{told}: {_reason(error)}") from error


def _require_library() -> None:
    try:
        import rfc3161_client  # noqa: F401 - only whether it is there
    except ImportError as error:
        raise MissingExtraError("an RFC 3161 timestamp", "timestamp") from error


def _post(query: bytes, url: str) -> bytes:
    """Return the body of the authority's answer, if it is a timestamp reply of sound size."""
    import httpx2

    headers = {"Content-Type": _QUERY_TYPE, "Accept": _REPLY_TYPE, "Accept-Encoding": "identity"}
    try:
        with (
            httpx2.Client(timeout=_TIMEOUT_SECONDS) as client,
            client.stream("POST", url, content=query, headers=headers) as response,
        ):
            if response.status_code != 200:
                raise _no_timestamp(url, f"answers with HTTP {response.status_code}, expected 200")
            kind = response.headers.get("Content-Type", "nothing").partition(";")[0].strip()
            if kind.lower() != _REPLY_TYPE:
                raise _no_timestamp(url, f"answers with {kind}, expected {_REPLY_TYPE}")
            body = b""
            for block in response.iter_raw():
                body += block
                if len(body) > _MAX_BYTES:
                    raise _no_timestamp(url, f"answers with more than {_MAX_BYTES:,} bytes")
            return body
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise _no_timestamp(url, f"cannot be asked: {error}") from error


def _fault_of(stamp: bytes, request: TimeStampRequest, signature: bytes) -> str | None:
    """Return what keeps a response from answering the request, if anything does."""
    from rfc3161_client import decode_timestamp_response

    try:
        response = decode_timestamp_response(stamp)
        if response.status != _GRANTED:
            why = " ".join(response.status_string) or "without a reason"
            return f"refuses with status {response.status}: {why}"
        info = response.tst_info
        if info.nonce != request.nonce:
            return "answers another request: the nonce differs"
        if info.message_imprint.message != hashlib.sha256(signature).digest():
            return "answers over other bytes than the signature's"
    except ValueError as error:
        return f"answers with bytes that are no timestamp response: {error}"
    return None


def _no_timestamp(url: str, what: str) -> SourceError:
    return SourceError(Problem(url, f"{what}; try again, or name another timestamp authority"))


def _verifier(certificates: bytes) -> Verifier:
    """Return the check against a PEM file's certificates, sorted by what each can be."""
    from cryptography import x509
    from rfc3161_client import VerifierBuilder

    try:
        found = dict.fromkeys(x509.load_pem_x509_certificates(certificates))
        authorities = [certificate for certificate in found if _may_issue(certificate)]
    except ValueError as error:
        raise TimestampError(f"the authority's certificates are not PEM: {error}") from error
    signers = [certificate for certificate in found if certificate not in authorities]
    roots = [one for one in authorities if one.issuer == one.subject]
    if not roots or len(signers) > 1:
        told = f"{len(roots)} roots and {len(signers)} certificates of signers"
        raise TimestampError(
            f"the authority's certificates are {told}, expected a root and one signer at most"
        )
    return VerifierBuilder(
        roots=roots,
        intermediates=[one for one in authorities if one not in roots],
        tsa_certificate=signers[0] if signers else None,
    ).build()


def _reason(error: Exception) -> str:
    """Return what the library says, without the dump of OpenSSL's error stack."""
    found = _OPENSSL_REASON.search(str(error))
    return found[1] if found else str(error).partition(": ErrorStack")[0]


def _may_issue(certificate: x509.Certificate) -> bool:
    from cryptography import x509

    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False

"""Keyless signatures: a certificate for an identity, and a log's word that it was used in time.

Signing and checking are sigstore-python's (extra `sigstore`), over the same payload bytes and in
the same bundle as with a key. Checking never touches the network, and a valid signature is not
enough: a line of the trust file must name both the identity and who vouched for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from teapot.allowed_signers import TrustedIdentity
from teapot.bundle import Bundle
from teapot.canonical import loads
from teapot.dsse import IN_TOTO
from teapot.errors import MissingExtraError, Problem, SourceError, UsageError
from teapot.timestamps import TimestampError, check_timestamp

if TYPE_CHECKING:
    from cryptography.x509 import Certificate
    from sigstore.models import Bundle as SigstoreBundle
    from sigstore.models import ClientTrustConfig, TrustedRoot
    from sigstore.oidc import IdentityToken

_PUBLIC = "the public Sigstore instance"
_ISSUER_OID = "1.3.6.1.4.1.57264.1.1"  # sigstore/fulcio, docs/oid-info.md


class KeylessError(ValueError):
    """A keyless signature cannot be made or believed; the subclasses say why not believed."""


class InvalidKeylessError(KeylessError):
    """The signature, its certificate or its log entry is not valid: a fault."""


class UnknownIdentityError(KeylessError):
    """All is valid, but no line of the trust file names the identity with its issuer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class KeylessSigner:
    """Who has signed, who vouched for them, the trust line that says so (`where`), and when."""

    identity: str
    issuer: str
    where: str
    signed_at: datetime


def sign_keyless(
    payload: bytes, *, identity_token: str | None = None, trust_config: Path | None = None
) -> bytes:
    """Return the bytes of a bundle file, signed by whom an OIDC token names.

    Without a token the CI's own is used, and outside of CI a browser is opened. `trust_config` is a
    Sigstore ClientTrustConfig (JSON) for another than the public instance. What the instance's own
    roots do not verify is not returned.

    Raises:
        KeylessError: the payload is no in-toto statement.
        UsageError: the token or the trust config cannot be used.
        SourceError: a service cannot be reached, or gives no valid signature.
    """
    config = _config(trust_config, offline=False)
    from sigstore.dsse import Statement
    from sigstore.errors import Error
    from sigstore.sign import SigningContext

    try:
        statement = Statement(payload)
    except Error as error:
        raise KeylessError(f"the payload cannot be signed: {error}") from error
    token = _token(identity_token, config)
    try:
        with SigningContext.from_trust_config(config).signer(token) as signer:
            bundle = signer.sign_dsse(statement).to_json().encode("utf-8")
        _verified(bundle, config.trusted_root)
    except Exception as error:  # the clients of the services share no base, and pass others' on
        told = f"gives no signature: {_said(error)}; try again, or sign with a key"
        raise SourceError(Problem(str(trust_config or _PUBLIC), told)) from error
    return bundle


def verify_keyless(
    bundle: bytes, identities: Sequence[TrustedIdentity], *, trust_config: Path | None = None
) -> KeylessSigner:
    """Return who has signed a bundle, if a trust line names exactly that identity and issuer.

    The network is never touched: the roots are those of `trust_config`, or those of the public
    instance as the library brought them or has last updated them.

    Raises:
        InvalidKeylessError: the signature, its certificate or its log entry is not valid.
        UnknownIdentityError: no line names who has signed.
        UsageError: the trust config cannot be used.
    """
    root = _config(trust_config, offline=True).trusted_root
    try:
        certificate, signed_at = _verified(bundle, root)
        line = _line_of(certificate, identities)
        signer = _described(certificate)
    except Exception as error:  # whatever a hostile bundle makes the library raise: closed
        raise InvalidKeylessError(f"is no valid keyless signature: {error}") from error
    if line is None:
        raise UnknownIdentityError(f"is signed by {signer}; no #sigstore line names both")
    return KeylessSigner(
        identity=line.identity, issuer=line.issuer, where=line.where, signed_at=signed_at
    )


class _Anyone:
    """Who has signed is asked when everything else holds, to tell a stranger from a fault."""

    def verify(self, cert: Certificate) -> None:
        """Take every certificate that the roots have issued."""


def _config(path: Path | None, *, offline: bool) -> ClientTrustConfig:
    """Return where to sign and whose roots to believe; no path means the public instance."""
    try:
        from sigstore.errors import Error
        from sigstore.models import ClientTrustConfig
        from sigstore.verify import Verifier
    except ImportError as error:
        raise MissingExtraError("a keyless signature", "sigstore") from error
    try:
        if path is None:
            config = ClientTrustConfig.production(offline=offline)
        else:
            config = ClientTrustConfig.from_json(path.read_text("utf-8"))
        Verifier(trusted_root=config.trusted_root)  # it refuses a root that lacks a part
    except (Error, OSError, ValueError, LookupError) as error:
        if path is None:
            raise SourceError(Problem(_PUBLIC, f"its roots cannot be had: {error}")) from error
        told = f"is not a Sigstore ClientTrustConfig in JSON: {error}"
        raise UsageError(Problem(str(path), told)) from error
    return config


def _token(raw: str | None, config: ClientTrustConfig) -> IdentityToken:
    """Return a given token, else the CI's, else one that a person gets in a browser."""
    import requests
    from sigstore.errors import Error
    from sigstore.oidc import IdentityError, IdentityToken, Issuer, IssuerError, detect_credential

    try:
        found = detect_credential() if raw is None else raw
        if found is not None:
            return IdentityToken(found)
        return Issuer(config.signing_config.get_oidc_url()).identity_token()
    except IdentityError as error:
        told = f"{error}; expected an OIDC token for the audience sigstore that has not expired"
        raise UsageError(Problem("identity token", told)) from error
    except (Error, IssuerError, requests.RequestException, EOFError) as error:
        told = f"none can be had: {_said(error)}; give one, or sign with a key"
        raise SourceError(Problem("identity token", told)) from error


def _verified(data: bytes, root: TrustedRoot) -> tuple[Certificate, datetime]:
    """Return the certificate of a bundle that is valid in itself, and when it was used."""
    from sigstore.models import Bundle as SigstoreBundle
    from sigstore.verify import Verifier

    bundle, found = Bundle.parse(data), SigstoreBundle.from_json(data)
    if Verifier(trusted_root=root).verify_dsse(found, _Anyone()) != (IN_TOTO, bundle.payload):
        raise InvalidKeylessError("the payload that was signed is not the bundle's")
    return found.signing_certificate, _signed_at(bundle, found, root)


def _signed_at(bundle: Bundle, found: SigstoreBundle, root: TrustedRoot) -> datetime:
    """Return the earliest time that the verified bundle proves.

    The library has checked that there is one, but keeps it to itself: the log's own time where the
    log promises it (Rekor v1), else that of the trusted timestamps (Rekor v2).
    """
    from cryptography.hazmat.primitives.serialization import Encoding

    (entry,) = loads(found.to_json().encode("utf-8"))["verificationMaterial"]["tlogEntries"]
    times = []
    if "inclusionPromise" in entry and int(entry.get("integratedTime", 0)):
        times.append(datetime.fromtimestamp(int(entry["integratedTime"]), UTC))
    for authority in root.get_timestamp_authorities():
        chain = authority.certificates(allow_expired=True)
        pem = b"".join(certificate.public_bytes(Encoding.PEM) for certificate in chain)
        start, end = authority.validity_period_start, authority.validity_period_end
        for stamp in bundle.timestamps:
            try:
                time = check_timestamp(stamp, bundle.signature, pem)
            except TimestampError:
                continue  # of another authority, perhaps
            if start <= time and (end is None or time < end):
                times.append(time)
    return min(times)


def _line_of(
    certificate: Certificate, identities: Sequence[TrustedIdentity]
) -> TrustedIdentity | None:
    """Return the trust line that names the certificate's identity and issuer, exactly."""
    from sigstore.errors import VerificationError
    from sigstore.verify.policy import AllOf, AnyOf, Identity, OIDCIssuer, OIDCIssuerV2

    for line in identities:
        issuer = AnyOf([OIDCIssuerV2(line.issuer), OIDCIssuer(line.issuer)])
        try:
            AllOf([Identity(identity=line.identity), issuer]).verify(certificate)
        except VerificationError:
            continue
        return line
    return None


def _described(certificate: Certificate) -> str:
    """Return who a certificate says has signed, for a message."""
    from cryptography import x509

    extensions = certificate.extensions
    names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    told = ", ".join(str(name.value) for name in names)
    for extension in extensions:
        if extension.oid.dotted_string == _ISSUER_OID:
            value = getattr(extension.value, "value", b"")
            return f"{told} by the word of {value.decode('utf-8', 'replace')}"
    return told


def _said(error: Exception) -> str:
    """Return an error's text; the library raises some with none but their cause's."""
    return str(error) or str(error.__cause__ or "") or type(error).__name__

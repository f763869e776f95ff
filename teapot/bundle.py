"""The Sigstore bundle v0.3 that carries a signature: a DSSE envelope and what verifies it.

Source: sigstore/protobuf-specs, `sigstore_bundle.proto`, in its JSON form. A bundle that Teapot
makes with a key names that key in a hint (and in the envelope's `keyid`, which some verifiers
demand). Both are labels: they help to find a key, and are never a reason to believe it.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from teapot.canonical import CanonicalError, dumps_readable, kind_of, loads
from teapot.dsse import IN_TOTO, pae
from teapot.signing import PrivateKey

MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
MAX_BYTES = 64 << 20
_ROOT_KEYS = frozenset(("mediaType", "verificationMaterial", "dsseEnvelope"))
_MATERIAL_KEYS = frozenset(
    ("publicKey", "certificate", "tlogEntries", "timestampVerificationData")
)  # fmt: skip


class BundleError(ValueError):
    """Bytes are not a Sigstore bundle with one DSSE signature; the message says why."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bundle:
    """A signed payload: exactly one signature, and exactly one of `hint` and `certificate`.

    `certificate` is DER (a keyless signature); `timestamps` are RFC 3161 responses in DER, over the
    signature's bytes. `log_entries` counts the entries of a transparency log.
    """

    payload: bytes
    signature: bytes
    keyid: str
    hint: str | None = None
    certificate: bytes | None = None
    timestamps: tuple[bytes, ...] = ()
    log_entries: int = 0
    payload_type: str = IN_TOTO

    @classmethod
    def sign(cls, payload: bytes, key: PrivateKey) -> Bundle:
        """Return a bundle whose signature is made by `key` over the payload's PAE."""
        name = key.public.fingerprint
        signature = key.sign(pae(IN_TOTO, payload))
        return cls(payload=payload, signature=signature, keyid=name, hint=name)

    @classmethod
    def parse(cls, data: bytes) -> Bundle:
        """Return the bundle in a file's bytes.

        Raises:
            BundleError: it is not strict JSON, or not such a bundle.
        """
        if len(data) > MAX_BYTES:
            raise BundleError(f"has {len(data):,} bytes, expected {MAX_BYTES:,} at most")
        try:
            root = _mapping(loads(data), "the bundle")
        except CanonicalError as error:
            raise BundleError(f"is not strict JSON: {error}") from error
        if root.get("mediaType") != MEDIA_TYPE:
            found = _shown(root.get("mediaType"))
            raise BundleError(f"has the mediaType {found}, expected {MEDIA_TYPE}")
        _refuse_others(root, _ROOT_KEYS, "the bundle")
        material = _mapping(root.get("verificationMaterial"), "verificationMaterial")
        _refuse_others(material, _MATERIAL_KEYS, "verificationMaterial")
        envelope = _mapping(root.get("dsseEnvelope"), "dsseEnvelope")
        _refuse_others(envelope, {"payload", "payloadType", "signatures"}, "dsseEnvelope")
        signed = _one_signature(envelope.get("signatures"))
        hint, certificate = _identity(material)
        if hint is not None and _list(material.get("tlogEntries", []), "tlogEntries"):
            raise BundleError("has log entries beside a public key, expected none")
        payload_type = envelope.get("payloadType")
        if payload_type != IN_TOTO:
            raise BundleError(f"signs a payload of type {_shown(payload_type)}, expected {IN_TOTO}")
        return cls(
            payload=_base64(envelope.get("payload"), "payload"),
            signature=_base64(signed.get("sig"), "sig"),
            keyid=_text(signed.get("keyid", ""), "keyid"),
            hint=hint,
            certificate=certificate,
            timestamps=_timestamps(material.get("timestampVerificationData", {})),
            log_entries=len(_list(material.get("tlogEntries", []), "tlogEntries")),
        )

    @property
    def message(self) -> bytes:
        """Return the bytes that the signature is over."""
        return pae(self.payload_type, self.payload)

    def to_bytes(self) -> bytes:
        """Return the bytes of a bundle file that was signed with a key."""
        stamps = [{"signedTimestamp": _encoded(stamp)} for stamp in self.timestamps]
        return dumps_readable(
            {
                "mediaType": MEDIA_TYPE,
                "verificationMaterial": {
                    "publicKey": {"hint": self.hint},
                    "tlogEntries": [],
                    "timestampVerificationData": {"rfc3161Timestamps": stamps},
                },
                "dsseEnvelope": {
                    "payload": _encoded(self.payload),
                    "payloadType": self.payload_type,
                    "signatures": [{"keyid": self.keyid, "sig": _encoded(self.signature)}],
                },
            }
        )


def _identity(material: Mapping[str, Any]) -> tuple[str | None, bytes | None]:
    if ("publicKey" in material) == ("certificate" in material):
        raise BundleError("expected either a publicKey or a certificate in verificationMaterial")
    if "publicKey" in material:
        key = _mapping(material["publicKey"], "publicKey")
        _refuse_others(key, {"hint"}, "publicKey")
        return _text(key.get("hint", ""), "hint"), None
    certificate = _mapping(material["certificate"], "certificate")
    _refuse_others(certificate, {"rawBytes"}, "certificate")
    return None, _base64(certificate.get("rawBytes"), "rawBytes")


def _timestamps(value: Any) -> tuple[bytes, ...]:
    data = _mapping(value, "timestampVerificationData")
    _refuse_others(data, {"rfc3161Timestamps"}, "timestampVerificationData")
    stamps = _list(data.get("rfc3161Timestamps", []), "rfc3161Timestamps")
    found = []
    for stamp in stamps:
        part = _mapping(stamp, "a timestamp")
        _refuse_others(part, {"signedTimestamp"}, "a timestamp")
        found.append(_base64(part.get("signedTimestamp"), "signedTimestamp"))
    return tuple(found)


def _one_signature(value: Any) -> Mapping[str, Any]:
    signatures = _list(value, "signatures")
    if len(signatures) != 1:
        raise BundleError(f"has {len(signatures)} signatures, expected exactly one in a bundle")
    signature = _mapping(signatures[0], "a signature")
    _refuse_others(signature, {"sig", "keyid"}, "a signature")
    return signature


def _refuse_others(value: Mapping[str, Any], known: set[str] | frozenset[str], where: str) -> None:
    others = sorted(value.keys() - known)
    if others:
        found = _shown(others[0])
        raise BundleError(
            f"has the key {found} in {where}, expected only {', '.join(sorted(known))}"
        )


def _mapping(value: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise BundleError(f"{what} is {kind_of(value)}, expected an object")
    return value


def _list(value: Any, what: str) -> list[Any]:
    if not isinstance(value, list):
        raise BundleError(f"{what} is {kind_of(value)}, expected a list")
    return value


def _text(value: Any, what: str) -> str:
    if not isinstance(value, str):
        raise BundleError(f"{what} is {kind_of(value)}, expected text")
    return value


def _base64(value: Any, what: str) -> bytes:
    """Return what base64 text encodes; a second spelling of the same bytes is refused."""
    text = _text(value, what)
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise BundleError(f"{what} is not base64") from error
    if not data or _encoded(data) != text:
        raise BundleError(f"{what} is {'not' if data else 'empty, expected'} base64")
    return data


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _shown(value: Any) -> str:
    return repr(value)[:100]

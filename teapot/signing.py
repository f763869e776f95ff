"""ECDSA keys on the curve P-256, the only kind that Teapot signs with and believes.

A signature is ECDSA over SHA-256 (FIPS 186-5), DER-encoded as Sigstore bundles carry it. It is made
deterministically (RFC 6979) where the OpenSSL below can, but nothing relies on that: whoever has a
valid signature can make a second one of the same message, so a signature is never an identity.
A key's identity is its OpenSSH fingerprint, as `ssh-keygen -lf` prints it.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature, InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

KEY_TYPE = "ecdsa-sha2-nistp256"
_HASH = hashes.SHA256()
# `cryptography` says the last of an OpenSSH key whose point is compressed.
_UNREADABLE = (ValueError, UnsupportedAlgorithm, NotImplementedError)


class KeyFormatError(ValueError):
    """Bytes are not a key that Teapot can use; the message says what they are instead."""


class PassphraseNeededError(KeyFormatError):
    """The key is encrypted, and the passphrase is missing or wrong."""


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A public key; two are equal when they are the same point on the curve."""

    ssh: str

    @classmethod
    def parse(cls, data: bytes) -> PublicKey:
        """Return the key in PEM (SubjectPublicKeyInfo) or in an OpenSSH line.

        Raises:
            KeyFormatError: it is neither, or not ECDSA P-256.
        """
        text = data.strip()
        if b"PRIVATE KEY" in text:
            raise KeyFormatError("is a private key: keep it to yourself; expected a public one")
        try:
            if text.startswith(b"-----BEGIN"):
                return cls.of(serialization.load_pem_public_key(text))
            return cls._of_line(b" ".join(text.split()[:2]))
        except _UNREADABLE as error:
            if isinstance(error, KeyFormatError):
                raise
            raise KeyFormatError("is no public key, expected PEM or an OpenSSH line") from error

    @classmethod
    def _of_line(cls, line: bytes) -> PublicKey:
        """Return the key of `type base64`; base64 with stray characters is refused, as by ssh."""
        key = cls.of(serialization.load_ssh_public_key(line))
        if key.ssh.encode("ascii") != line:
            raise ValueError("a second spelling of a key, or a certificate")
        return key

    @classmethod
    def of(cls, key: object) -> PublicKey:
        """Return the key that `cryptography` has loaded.

        Raises:
            KeyFormatError: it is not ECDSA P-256.
        """
        if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != "secp256r1":
            raise KeyFormatError(f"is {_kind(key)}, expected an ECDSA key on P-256")
        return cls(key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode("ascii"))

    @property
    def fingerprint(self) -> str:
        """Return `SHA256:` and the unpadded base64 of the SHA-256 of the key's OpenSSH bytes."""
        digest = hashlib.sha256(base64.b64decode(self.ssh.split()[1])).digest()
        return "SHA256:" + base64.b64encode(digest).decode("ascii").rstrip("=")

    def to_pem(self) -> bytes:
        """Return the key as PEM (SubjectPublicKeyInfo), as openssl reads it."""
        return self._loaded().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def has_signed(self, message: bytes, signature: bytes) -> bool:
        """Tell whether a DER signature over `message` is this key's."""
        try:
            self._loaded().verify(signature, message, ec.ECDSA(_HASH))
        except InvalidSignature:
            return False
        return True

    def _loaded(self) -> ec.EllipticCurvePublicKey:
        key = serialization.load_ssh_public_key(self.ssh.encode("ascii"))
        assert isinstance(key, ec.EllipticCurvePublicKey)  # noqa: S101 - `of` let no other in
        return key


class PrivateKey:
    """A private key in memory; it has no way to print itself."""

    __slots__ = ("_key", "public")

    def __init__(self, key: ec.EllipticCurvePrivateKey) -> None:
        self._key = key
        self.public = PublicKey.of(key.public_key())

    @classmethod
    def generate(cls) -> PrivateKey:
        """Return a new key from the operating system's randomness."""
        return cls(ec.generate_private_key(ec.SECP256R1()))

    @classmethod
    def parse(cls, data: bytes, passphrase: bytes | None = None) -> PrivateKey:
        """Return the key in PEM: PKCS #8, SEC 1 or OpenSSH's own form.

        Raises:
            PassphraseNeededError: it is encrypted and `passphrase` is None or wrong.
            KeyFormatError: it is no private key, or not ECDSA P-256.
        """
        text = data.strip() + b"\n"
        is_openssh = text.startswith(b"-----BEGIN OPENSSH")
        load = (
            serialization.load_ssh_private_key if is_openssh else serialization.load_pem_private_key
        )
        try:
            key = load(text, passphrase)
        except TypeError as error:  # how `cryptography` says: a passphrase too few, or too many
            if passphrase is not None:
                return cls.parse(data)
            raise PassphraseNeededError("is encrypted and needs its passphrase") from error
        except UnsupportedAlgorithm as error:  # such as OpenSSH's own encryption without bcrypt
            told = "is a private key in a form that cannot be read here, expected PEM (PKCS #8)"
            raise KeyFormatError(told) from error
        except (*_UNREADABLE, InvalidTag) as error:
            if passphrase is not None:
                raise PassphraseNeededError("is not opened by this passphrase") from error
            raise KeyFormatError("is no private key, expected PEM (PKCS #8)") from error
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name != "secp256r1":
            raise KeyFormatError(f"is {_kind(key)}, expected an ECDSA key on P-256")
        return cls(key)

    def to_pem(self, passphrase: bytes | None = None) -> bytes:
        """Return the key as PEM (PKCS #8), encrypted if there is a passphrase."""
        encryption: KeySerializationEncryption = NoEncryption()
        if passphrase:
            encryption = BestAvailableEncryption(passphrase)
        return self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)

    def sign(self, message: bytes) -> bytes:
        """Return the DER signature over `message`."""
        try:
            return self._key.sign(message, ec.ECDSA(_HASH, deterministic_signing=True))
        except UnsupportedAlgorithm:
            return self._key.sign(message, ec.ECDSA(_HASH))


def _kind(key: object) -> str:
    """Return a loaded key's kind in words, of its class name: `an Ed25519 key`."""
    name = type(key).__name__.removesuffix("PublicKey").removesuffix("PrivateKey").lstrip("_")
    curve = getattr(getattr(key, "curve", None), "name", "")
    return f"a key of the kind {name}{' on ' + curve if curve else ''}"

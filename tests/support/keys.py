"""Signing keys that are the same in every run."""

from __future__ import annotations

from hashlib import sha256

from cryptography.hazmat.primitives.asymmetric import ec

from teapot.signing import PrivateKey


def key(number: int) -> PrivateKey:
    """Return one key for each number.

    The secret is a hash, because OpenSSH refuses a secret with less than half of the curve's bits;
    31 bytes of it are always less than the curve's order.
    """
    secret = int.from_bytes(sha256(b"%d" % number).digest()[:31], "big")
    return PrivateKey(ec.derive_private_key(secret, ec.SECP256R1()))

"""The bytes that a DSSE signature is over: the pre-authentication encoding (DSSE v1.0, PAE)."""

from __future__ import annotations

IN_TOTO = "application/vnd.in-toto+json"


def pae(payload_type: str, payload: bytes) -> bytes:
    """Return `DSSEv1 <length> <type> <length> <payload>`; lengths count bytes, in decimal."""
    kind = payload_type.encode("utf-8")
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)

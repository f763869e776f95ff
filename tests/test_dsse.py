"""The signed bytes of DSSE, held against the specification's own example."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import given
from hypothesis import strategies as st

from teapot.dsse import IN_TOTO, pae
from teapot.signing import PrivateKey, PublicKey

VECTOR: dict[str, Any] = json.loads(
    (Path(__file__).parent / "vectors" / "dsse.json").read_text(encoding="utf-8")
)


@pytest.fixture
def message() -> bytes:
    return pae(VECTOR["payload_type"], VECTOR["payload"].encode())


@pytest.fixture
def signature() -> bytes:
    """The example's signature in DER; the specification gives r and s side by side."""
    raw = base64.b64decode(VECTOR["signature_r_s"])
    return encode_dss_signature(int.from_bytes(raw[:32]), int.from_bytes(raw[32:]))


@pytest.fixture
def private() -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(int(VECTOR["d"]), ec.SECP256R1())


def test_encoding_is_that_of_the_specification(message: bytes) -> None:
    assert message == VECTOR["pae"].encode()


def test_signature_of_the_specification_is_its_keys(
    message: bytes, signature: bytes, private: ec.EllipticCurvePrivateKey
) -> None:
    point = ec.EllipticCurvePublicNumbers(int(VECTOR["x"]), int(VECTOR["y"]), ec.SECP256R1())
    public = PublicKey.of(point.public_key())
    assert PrivateKey(private).public == public
    assert public.has_signed(message, signature)
    assert not public.has_signed(message + b"\n", signature)
    assert not public.has_signed(VECTOR["payload"].encode(), signature)


def test_our_signature_is_that_of_the_specification_where_it_is_deterministic(
    message: bytes, signature: bytes, private: ec.EllipticCurvePrivateKey
) -> None:
    ours = PrivateKey(private).sign(message)
    try:
        private.sign(message, ec.ECDSA(SHA256(), deterministic_signing=True))
    except UnsupportedAlgorithm:
        assert PrivateKey(private).public.has_signed(message, ours)
    else:
        assert ours == signature


@pytest.mark.parametrize(
    ("kind", "payload", "expected"),
    [
        (IN_TOTO, b"", b"DSSEv1 28 application/vnd.in-toto+json 0 "),
        ("", b"", b"DSSEv1 0  0 "),
        ("é", b"\0\n", b"DSSEv1 2 \xc3\xa9 2 \0\n"),
        ("a b", "ä 1".encode(), b"DSSEv1 3 a b 4 \xc3\xa4 1"),
    ],
)
def test_lengths_count_bytes(kind: str, payload: bytes, expected: bytes) -> None:
    assert pae(kind, payload) == expected


@given(st.text(), st.binary())
def test_type_and_payload_can_be_read_back(kind: str, payload: bytes) -> None:
    encoded = pae(kind, payload)
    head = re.match(rb"DSSEv1 (0|[1-9][0-9]*) ", encoded)
    assert head is not None
    end = head.end() + int(head[1])
    assert encoded[head.end() : end] == kind.encode()
    assert encoded[end:] == b" %d %b" % (len(payload), payload)

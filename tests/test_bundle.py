"""Bundles: what is read, what is refused and how it is said, and that no edit goes unnoticed."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from teapot import bundle as module
from teapot.bundle import MEDIA_TYPE, Bundle, BundleError
from teapot.dsse import IN_TOTO, pae
from tests.support.keys import key

SIGNER = key(1)
PAYLOAD = b'{\n  "a": "manifest"\n}\n'
BUNDLE = Bundle.sign(PAYLOAD, SIGNER)
FILE = BUNDLE.to_bytes()

Root = dict[str, Any]


def parsed(root: Any) -> Bundle:
    return Bundle.parse(json.dumps(root).encode())


def edited(edit: Callable[[Root], object]) -> Root:
    """Return the JSON values of a good bundle after an edit."""
    root: Root = json.loads(FILE)
    edit(root)
    return root


def keyless(root: Root) -> None:
    """Put a certificate, log entries and a timestamp in the place of the key."""
    root["verificationMaterial"] = {
        "certificate": {"rawBytes": "AAEC"},
        "tlogEntries": [{}, {}],
        "timestampVerificationData": {"rfc3161Timestamps": [{"signedTimestamp": "AwQ="}]},
    }


def test_a_signed_bundle_names_its_key_and_its_signature_is_over_the_encoding() -> None:
    assert BUNDLE.payload == PAYLOAD
    assert BUNDLE.hint == BUNDLE.keyid == SIGNER.public.fingerprint
    assert BUNDLE.message == pae(IN_TOTO, PAYLOAD)
    assert SIGNER.public.has_signed(BUNDLE.message, BUNDLE.signature)
    assert not SIGNER.public.has_signed(PAYLOAD, BUNDLE.signature)


def test_a_bundle_is_written_as_sigstore_spells_it() -> None:
    name = SIGNER.public.fingerprint
    assert json.loads(FILE) == {
        "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "verificationMaterial": {
            "publicKey": {"hint": name},
            "tlogEntries": [],
            "timestampVerificationData": {"rfc3161Timestamps": []},
        },
        "dsseEnvelope": {
            "payload": base64.b64encode(PAYLOAD).decode(),
            "payloadType": "application/vnd.in-toto+json",
            "signatures": [{"keyid": name, "sig": base64.b64encode(BUNDLE.signature).decode()}],
        },
    }


@given(
    payload=st.binary(min_size=1),
    signature=st.binary(min_size=1),
    keyid=st.text(st.characters(codec="utf-8")),
    hint=st.text(st.characters(codec="utf-8")),
    timestamps=st.lists(st.binary(min_size=1), max_size=3).map(tuple),
)
def test_what_is_written_is_read_back(**parts: Any) -> None:
    bundle = Bundle(**parts)
    assert Bundle.parse(bundle.to_bytes()) == bundle


def test_a_bundle_made_with_a_certificate_is_read() -> None:
    read = parsed(edited(keyless))
    assert (read.hint, read.certificate) == (None, b"\0\1\2")
    assert (read.timestamps, read.log_entries) == ((b"\3\4",), 2)


@pytest.mark.parametrize(
    "edit",
    [
        lambda root: root["dsseEnvelope"]["signatures"][0].pop("keyid"),
        lambda root: root["verificationMaterial"]["publicKey"].pop("hint"),
    ],
)
def test_a_label_may_be_missing(edit: Callable[[Root], object]) -> None:
    assert "" in {parsed(edited(edit)).keyid, parsed(edited(edit)).hint}


def test_what_surrounds_the_signature_may_be_missing() -> None:
    def bare(root: Root) -> None:
        root["verificationMaterial"] = {"publicKey": {"hint": SIGNER.public.fingerprint}}

    assert parsed(edited(bare)) == BUNDLE


def _set(*path: str | int, to: Any) -> Callable[[Root], object]:
    def edit(root: Any) -> None:
        for step in path[:-1]:
            root = root[step]
        root[path[-1]] = to

    return edit


def _drop(*path: str | int) -> Callable[[Root], object]:
    def edit(root: Any) -> None:
        for step in path[:-1]:
            root = root[step]
        del root[path[-1]]

    return edit


ENVELOPE, MATERIAL, SIGNATURE = (
    ("dsseEnvelope",), ("verificationMaterial",), ("dsseEnvelope", "signatures", 0),
)  # fmt: skip
EITHER = "expected either a publicKey or a certificate in verificationMaterial"
REFUSED: list[tuple[Callable[[Root], object], str]] = [
    (_drop("mediaType"), f"has the mediaType None, expected {MEDIA_TYPE}"),
    (
        _set("mediaType", to="application/vnd.dev.sigstore.bundle.v0.4+json"),
        "has the mediaType 'application/vnd.dev.sigstore.bundle.v0.4+json', "
        f"expected {MEDIA_TYPE}",
    ),
    (_set("mediaType", to=["x" * 200]), f"has the mediaType ['{'x' * 98}, expected {MEDIA_TYPE}"),
    (
        _set("messageSignature", to={}),
        "has the key 'messageSignature' in the bundle, "
        "expected only dsseEnvelope, mediaType, verificationMaterial",
    ),
    (_drop(*MATERIAL), "verificationMaterial is null, expected an object"),
    (_set(*MATERIAL, to=[]), "verificationMaterial is a list, expected an object"),
    (
        _set(*MATERIAL, "x509CertificateChain", to={}),
        "has the key 'x509CertificateChain' in verificationMaterial, "
        "expected only certificate, publicKey, timestampVerificationData, tlogEntries",
    ),
    (_drop(*MATERIAL, "publicKey"), EITHER),
    (_set(*MATERIAL, "certificate", to={"rawBytes": "AAEC"}), EITHER),
    (_set(*MATERIAL, "publicKey", to="me"), "publicKey is text, expected an object"),
    (_set(*MATERIAL, "publicKey", "hint", to=7), "hint is a number, expected text"),
    (
        _set(*MATERIAL, "publicKey", "rawBytes", to="AAEC"),
        "has the key 'rawBytes' in publicKey, expected only hint",
    ),
    (_set(*MATERIAL, "tlogEntries", to={}), "tlogEntries is an object, expected a list"),
    (
        _set(*MATERIAL, "timestampVerificationData", to=True),
        "timestampVerificationData is a boolean, expected an object",
    ),
    (
        _set(*MATERIAL, "timestampVerificationData", "others", to=[]),
        "has the key 'others' in timestampVerificationData, expected only rfc3161Timestamps",
    ),
    (
        _set(*MATERIAL, "timestampVerificationData", "rfc3161Timestamps", to=["AAEC"]),
        "a timestamp is text, expected an object",
    ),
    (
        _set(*MATERIAL, "timestampVerificationData", "rfc3161Timestamps", to=[{}]),
        "signedTimestamp is null, expected text",
    ),
    (_drop(*ENVELOPE), "dsseEnvelope is null, expected an object"),
    (
        _set(*ENVELOPE, "more", to=1),
        "has the key 'more' in dsseEnvelope, expected only payload, payloadType, signatures",
    ),
    (_drop(*ENVELOPE, "signatures"), "signatures is null, expected a list"),
    (
        _set(*ENVELOPE, "signatures", to=[]),
        "has 0 signatures, expected exactly one in a bundle",
    ),
    (
        _set(*ENVELOPE, "signatures", to=[{}, {}]),
        "has 2 signatures, expected exactly one in a bundle",
    ),
    (_set(*SIGNATURE, to="AAEC"), "a signature is text, expected an object"),
    (
        _set(*SIGNATURE, "cert", to=""),
        "has the key 'cert' in a signature, expected only keyid, sig",
    ),
    (_drop(*SIGNATURE, "sig"), "sig is null, expected text"),
    (_set(*SIGNATURE, "keyid", to=None), "keyid is null, expected text"),
    (
        _drop(*ENVELOPE, "payloadType"),
        f"signs a payload of type None, expected {IN_TOTO}",
    ),
    (
        _set(*ENVELOPE, "payloadType", to="text/plain"),
        f"signs a payload of type 'text/plain', expected {IN_TOTO}",
    ),
    (
        _set(*ENVELOPE, "payloadType", to="x" * 200),
        f"signs a payload of type '{'x' * 99}, expected {IN_TOTO}",
    ),
    (
        _set("x" * 200, to=1),
        f"has the key '{'x' * 99} in the bundle, "
        "expected only dsseEnvelope, mediaType, verificationMaterial",
    ),
    (_set(*ENVELOPE, "payload", to=""), "payload is empty, expected base64"),
    (_set(*SIGNATURE, "sig", to="AAE"), "sig is not base64"),
]  # fmt: skip


@pytest.mark.parametrize(("edit", "message"), REFUSED)
def test_a_bundle_with_a_fault_is_refused_by_name(
    edit: Callable[[Root], object], message: str
) -> None:
    with pytest.raises(BundleError) as caught:
        parsed(edited(edit))
    assert str(caught.value) == message


@pytest.mark.parametrize(
    "text",
    [
        "A", "AA", "AAA", "AAE", "AAE= ", " AAE=", "AA\nE=", "AAF=", "AB==", "AAE==", "=AAE",
        "A=AE", "AAEC=", "AA-_", "é===", "AAEC\0", "AAECAwQ=AAEC", "====",
    ],
)  # fmt: skip
def test_a_second_spelling_of_base64_is_refused(text: str) -> None:
    with pytest.raises(BundleError, match=r"^payload is not base64$"):
        parsed(edited(_set(*ENVELOPE, "payload", to=text)))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is not strict JSON: EOF while parsing a value at line 1 column 0"),
        (b"\xef\xbb\xbf" + FILE, "is not strict JSON: expected value at line 1 column 1"),
        (FILE[:-3], "is not strict JSON: EOF while parsing an object at line "),
        (FILE + b"{}", "is not strict JSON: trailing characters at line "),
        (b"[" * 100_000, "is not strict JSON: recursion limit exceeded at line 1 column "),
        (b'{"mediaType": 1' + b"0" * 5000 + b"}", "is not strict JSON: number out of range at "),
        (b'{"mediaType": 1e' + b"9" * 50 + b"}", "is not strict JSON: "),
        (b'{"mediaType": NaN}', "is not strict JSON: "),
        (b'{"\xff": 1}', "is not strict JSON: "),
        (b'{"\\ud800": 1}', "is not strict JSON: "),
        (b'{"mediaType": 1, "mediaType": 2}', "is not strict JSON: "),
        (b"[]", "the bundle is a list, expected an object"),
        (b'"text"', "the bundle is text, expected an object"),
        (b"null", "the bundle is null, expected an object"),
    ],
)
def test_bytes_that_are_no_bundle_are_refused_by_name(data: bytes, message: str) -> None:
    with pytest.raises(BundleError) as caught:
        Bundle.parse(data)
    assert str(caught.value).startswith(message)


def test_a_key_that_stands_twice_is_refused() -> None:
    data = FILE.replace(b'"payload":', b'"payload": "AAEC", "payload":')
    with pytest.raises(BundleError, match=r"^is not strict JSON: "):
        Bundle.parse(data)


def test_a_bundle_too_big_is_refused_before_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_BYTES", 1000)
    with pytest.raises(BundleError, match=r"^has 1,001 bytes, expected 1,000 at most$"):
        Bundle.parse(b"[" * 1001)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
PATHS: list[tuple[str | int, ...]] = [
    (), ("mediaType",), MATERIAL, ENVELOPE, SIGNATURE, (*MATERIAL, "publicKey"),
    (*MATERIAL, "publicKey", "hint"), (*MATERIAL, "certificate"), (*MATERIAL, "tlogEntries"),
    (*MATERIAL, "timestampVerificationData"),
    (*MATERIAL, "timestampVerificationData", "rfc3161Timestamps"),
    (*ENVELOPE, "payload"), (*ENVELOPE, "payloadType"), (*ENVELOPE, "signatures"),
    (*SIGNATURE, "sig"), (*SIGNATURE, "keyid"),
]  # fmt: skip


def read_or_refused(data: bytes) -> Bundle | None:
    """Return the bundle, or None where it is refused as it should be."""
    try:
        return Bundle.parse(data)
    except BundleError:
        return None


@given(st.binary())
@example(FILE.decode().encode("utf-16"))
def test_any_bytes_are_a_bundle_or_refused(data: bytes) -> None:
    assert read_or_refused(data) is None


@given(st.sampled_from(PATHS), json_values)
def test_any_value_in_any_place_is_read_or_refused(path: tuple[str | int, ...], value: Any) -> None:
    root = edited(_set(*path, to=value)) if path else value
    read = read_or_refused(json.dumps(root).encode())
    if read is not None:
        assert read.message == pae(IN_TOTO, read.payload)


def believed(data: bytes) -> Bundle | None:
    """Return the bundle that our key is proven to have signed."""
    read = read_or_refused(data)
    if read is None or not SIGNER.public.has_signed(read.message, read.signature):
        return None
    return read


@st.composite
def edits(draw: st.DrawFn) -> bytes:
    """The file after one character was put in, taken out, replaced, doubled or moved."""
    place = draw(st.integers(0, len(FILE) - 1))
    new = draw(
        st.binary(min_size=1, max_size=1)
        | st.sampled_from([bytes([char]) for char in set(FILE)])
        | st.characters().filter(lambda char: not "\ud800" <= char <= "\udfff").map(str.encode)
    )
    other = draw(st.integers(0, len(FILE)))
    without = FILE[:place] + FILE[place + 1 :]
    return draw(
        st.sampled_from(
            [
                FILE[:place] + new + FILE[place:],
                without,
                FILE[:place] + new + FILE[place + 1 :],
                FILE[:place] + FILE[place : place + 1] + FILE[place:],
                without[:other] + FILE[place : place + 1] + without[other:],
            ]
        )
    )


@settings(max_examples=1000)
@given(edits())
def test_no_edit_of_one_character_makes_us_believe_another_payload(data: bytes) -> None:
    read = believed(data)
    assert read is None or (read.payload, read.signature) == (PAYLOAD, BUNDLE.signature)


def test_every_flipped_bit_changes_a_label_or_is_refused() -> None:
    labels = {"keyid": "", "hint": None}
    believed_all = [
        believed(FILE[:place] + bytes([FILE[place] ^ 1 << bit]) + FILE[place + 1 :])
        for place in range(len(FILE))
        for bit in range(8)
    ]
    read = [bundle for bundle in believed_all if bundle is not None]
    assert {replace(bundle, **labels) for bundle in read} == {replace(BUNDLE, **labels)}
    assert 0 < len(read) < len(believed_all) / 2

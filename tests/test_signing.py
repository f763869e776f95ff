"""Keys: what is read, what is refused and how it is said, and what counts as a signature."""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    SSHCertificateBuilder,
    SSHCertificateType,
    load_pem_private_key,
    load_pem_public_key,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from teapot.signing import (
    KEY_TYPE,
    KeyFormatError,
    PassphraseNeededError,
    PrivateKey,
    PublicKey,
)
from tests.support.keys import key

SIGNER = key(1)
STRANGER = key(2)
PEM = SIGNER.to_pem()
LOCKED = SIGNER.to_pem(b"many words")
PUBLIC_PEM = SIGNER.public.to_pem()
LINE = SIGNER.public.ssh.encode()
BLOB = base64.b64decode(LINE.split()[1])
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551

NO_PUBLIC = "is no public key, expected PEM or an OpenSSH line"
NO_PRIVATE = "is no private key, expected PEM (PKCS #8)"


def loaded() -> ec.EllipticCurvePrivateKey:
    private = load_pem_private_key(PEM, None)
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    return private


def line_of(*fields: bytes) -> bytes:
    """Return an OpenSSH line of our type whose bytes hold the fields given."""
    packed = b"".join(struct.pack(">I", len(field)) + field for field in fields)
    return KEY_TYPE.encode() + b" " + base64.b64encode(packed)


def others() -> dict[
    str, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
]:
    """Return keys of kinds that we do not use, by the words for them."""
    return {
        "a key of the kind RSA": rsa.generate_private_key(65537, 1024),
        "a key of the kind Ed25519": ed25519.Ed25519PrivateKey.generate(),
        "a key of the kind EC on secp384r1": ec.generate_private_key(ec.SECP384R1()),
        "a key of the kind EC on secp256k1": ec.generate_private_key(ec.SECP256K1()),
    }


# --- public keys ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        PUBLIC_PEM,
        b"\n  " + PUBLIC_PEM + b"\n\n",
        PUBLIC_PEM.replace(b"\n", b"\r\n"),
        LINE,
        LINE + b"\n",
        LINE + b" alice@example.com and more\r\n",
        LINE.replace(b" ", b"\t"),
    ],
)
def test_a_public_key_is_read_as_pem_and_as_a_line(data: bytes) -> None:
    assert PublicKey.parse(data) == SIGNER.public


def test_two_forms_of_a_point_are_one_key() -> None:
    point = loaded().public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
    assert PublicKey.of(public) == SIGNER.public
    assert len({PublicKey.of(public), SIGNER.public, STRANGER.public}) == 2


def test_a_fingerprint_is_of_the_public_half_alone() -> None:
    assert SIGNER.public.fingerprint == PublicKey.parse(PUBLIC_PEM).fingerprint
    assert SIGNER.public.fingerprint != STRANGER.public.fingerprint
    assert SIGNER.public.fingerprint.startswith("SHA256:")
    assert len(SIGNER.public.fingerprint) == len("SHA256:") + 43


POINT = BLOB[-65:]
COMPRESSED = bytes([2 + POINT[64] % 2]) + POINT[1:33]
NAMES = (KEY_TYPE.encode(), b"nistp256")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b" \n",
        b"\0",
        KEY_TYPE.encode(),
        LINE[:-4],
        LINE[:-1],
        LINE + b"=",
        LINE + b"# a comment",
        LINE[:-9] + b"!" + LINE[-9:],
        LINE.replace(b"ecdsa", b"ECDSA"),
        LINE.replace(b"p256 ", b"p384 "),
        b"alice " + LINE,
        line_of(*NAMES, POINT + b"\0"),
        line_of(*NAMES, POINT, b"more"),
        line_of(*NAMES, b""),
        line_of(*NAMES, b"\0"),
        line_of(*NAMES, COMPRESSED),
        line_of(*NAMES, b"\4" + b"\1" * 64),
        line_of(NAMES[0], b"nistp384", POINT),
        line_of(b"ecdsa-sha2-nistp384", b"nistp384", POINT),
        line_of(*NAMES),
        b"ssh-no-such-type AAAA",
        b"-----BEGIN PUBLIC KEY-----",
        b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
        b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        PUBLIC_PEM.replace(b"M", b"N", 1),
    ],
)
def test_what_is_no_public_key_is_refused_by_name(data: bytes) -> None:
    with pytest.raises(KeyFormatError) as caught:
        PublicKey.parse(data)
    assert str(caught.value) == NO_PUBLIC


def test_the_test_for_lines_makes_good_ones_too() -> None:
    assert line_of(*NAMES, POINT) == LINE


def test_a_certificate_is_no_public_key() -> None:
    builder = (
        SSHCertificateBuilder()
        .public_key(loaded().public_key())
        .serial(1)
        .type(SSHCertificateType.USER)
        .key_id(b"alice")
        .valid_for_all_principals()
        .valid_after(1)
        .valid_before(2)
    )
    with pytest.raises(KeyFormatError) as caught:
        PublicKey.parse(builder.sign(loaded()).public_bytes())
    assert str(caught.value) == NO_PUBLIC


@pytest.mark.parametrize("data", [PEM, LOCKED, b"\n" + PEM])
def test_a_private_key_in_the_place_of_a_public_one_is_told_apart(data: bytes) -> None:
    with pytest.raises(KeyFormatError) as caught:
        PublicKey.parse(data)
    assert str(caught.value) == "is a private key: keep it to yourself; expected a public one"


@pytest.mark.parametrize(("kind", "other"), others().items())
def test_keys_of_other_kinds_are_refused_by_their_kind(
    kind: str,
    other: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey,
) -> None:
    public = other.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    private = other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    for read in (lambda: PublicKey.parse(public), lambda: PrivateKey.parse(private)):
        with pytest.raises(KeyFormatError) as caught:
            read()
        assert str(caught.value) == f"is {kind}, expected an ECDSA key on P-256"


def test_a_line_of_another_kind_is_refused_by_its_kind() -> None:
    other = ed25519.Ed25519PrivateKey.generate().public_key()
    with pytest.raises(KeyFormatError, match=r"^is a key of the kind Ed25519, expected"):
        PublicKey.parse(other.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH))


# --- private keys --------------------------------------------------------------------------------


def test_a_private_key_is_read_back_from_pem() -> None:
    assert PrivateKey.parse(PEM).public == SIGNER.public
    assert PrivateKey.parse(LOCKED, b"many words").public == SIGNER.public
    assert PrivateKey.parse(b"\n" + PEM.strip()).public == SIGNER.public


@pytest.mark.parametrize("form", [PrivateFormat.TraditionalOpenSSL, PrivateFormat.OpenSSH])
def test_a_private_key_is_read_in_other_forms(form: PrivateFormat) -> None:
    data = loaded().private_bytes(Encoding.PEM, form, NoEncryption())
    assert PrivateKey.parse(data).public == SIGNER.public
    assert PrivateKey.parse(data, b"a passphrase too many").public == SIGNER.public


def test_an_encrypted_private_key_in_the_older_form_is_read() -> None:
    data = loaded().private_bytes(
        Encoding.PEM, PrivateFormat.TraditionalOpenSSL, BestAvailableEncryption(b"many words")
    )
    assert PrivateKey.parse(data, b"many words").public == SIGNER.public


def test_a_passphrase_too_many_does_no_harm() -> None:
    assert PrivateKey.parse(PEM, b"many words").public == SIGNER.public
    assert PrivateKey.parse(SIGNER.to_pem(b""), None).public == SIGNER.public


@pytest.mark.parametrize(
    ("passphrase", "message"),
    [
        (None, "is encrypted and needs its passphrase"),
        (b"", "is encrypted and needs its passphrase"),
        (b"other words", "is not opened by this passphrase"),
        (b"\xff\0", "is not opened by this passphrase"),
    ],
)
def test_an_encrypted_key_says_what_is_wrong_with_the_passphrase(
    passphrase: bytes | None, message: str
) -> None:
    with pytest.raises(PassphraseNeededError) as caught:
        PrivateKey.parse(LOCKED, passphrase)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0",
        LINE,
        PUBLIC_PEM,
        PEM[:-60],
        b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        b"-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n",
    ],
)
def test_what_is_no_private_key_is_refused_by_name(data: bytes) -> None:
    with pytest.raises(KeyFormatError) as caught:
        PrivateKey.parse(data)
    assert str(caught.value) == NO_PRIVATE


def openssh_with(cipher: bytes) -> bytes:
    """Return a private key in OpenSSH's form that says it is encrypted by some cipher."""
    data = loaded().private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    body = base64.b64decode(b"".join(data.splitlines()[1:-1]))
    head, none = b"openssh-key-v1\0", struct.pack(">I", 4) + b"none"
    rest = body.removeprefix(head + none + none + struct.pack(">I", 0))
    salted = struct.pack(">I", 4) + b"salt" + struct.pack(">I", 16)
    fields = (cipher, b"bcrypt", salted)
    packed = head + b"".join(struct.pack(">I", len(field)) + field for field in fields) + rest
    coded = base64.encodebytes(packed)
    return b"-----BEGIN OPENSSH PRIVATE KEY-----\n%b-----END OPENSSH PRIVATE KEY-----\n" % coded


@pytest.mark.parametrize("passphrase", [None, b"many words"])
def test_a_private_key_of_a_cipher_we_lack_is_not_blamed_on_the_passphrase(
    passphrase: bytes | None,
) -> None:
    with pytest.raises(KeyFormatError) as caught:
        PrivateKey.parse(openssh_with(b"chacha20-poly1305@openssh.com"), passphrase)
    assert str(caught.value) == (
        "is a private key in a form that cannot be read here, expected PEM (PKCS #8)"
    )


def test_a_private_key_prints_nothing_of_itself() -> None:
    secret = loaded().private_numbers().private_value
    shown = repr(SIGNER) + str(SIGNER)
    assert str(secret) not in shown
    assert hex(secret)[2:] not in shown
    assert not hasattr(SIGNER, "__dict__")


def test_generated_keys_differ() -> None:
    assert PrivateKey.generate().public != PrivateKey.generate().public


# --- signatures ----------------------------------------------------------------------------------


@given(st.binary(), st.binary())
def test_a_signature_is_good_for_its_message_and_key_alone(message: bytes, other: bytes) -> None:
    signature = SIGNER.sign(message)
    assert SIGNER.public.has_signed(message, signature)
    assert SIGNER.public.has_signed(other, signature) == (message == other)
    assert not STRANGER.public.has_signed(message, signature)


@given(st.binary())
def test_any_bytes_are_a_signature_or_not_but_never_an_error(signature: bytes) -> None:
    assert SIGNER.public.has_signed(b"a message", signature) is False


@pytest.mark.parametrize(
    ("r", "s"), [(0, 0), (0, 1), (1, 0), (1, 1), (ORDER, ORDER), (1 << 4096, 1)]
)
def test_numbers_out_of_range_are_no_signature(r: int, s: int) -> None:
    assert not SIGNER.public.has_signed(b"a message", encode_dss_signature(r, s))


def test_negative_numbers_are_no_signature() -> None:
    assert not SIGNER.public.has_signed(b"a message", bytes.fromhex("3006 0201ff 0201ff"))


def test_raw_numbers_are_no_signature() -> None:
    r, s = decode_dss_signature(SIGNER.sign(b"a message"))
    assert not SIGNER.public.has_signed(b"a message", r.to_bytes(32) + s.to_bytes(32))


def test_a_message_has_a_second_signature_so_that_none_is_an_identity() -> None:
    signature = SIGNER.sign(b"a message")
    r, s = decode_dss_signature(signature)
    second = encode_dss_signature(r, ORDER - s)
    assert second != signature
    assert SIGNER.public.has_signed(b"a message", second)


@given(st.data())
def test_a_signature_with_a_flipped_bit_is_refused(data: st.DataObject) -> None:
    signature = SIGNER.sign(b"a message")
    place = data.draw(st.integers(0, len(signature) * 8 - 1))
    altered = bytearray(signature)
    altered[place // 8] ^= 1 << place % 8
    assert not SIGNER.public.has_signed(b"a message", bytes(altered))


# --- any bytes at all ----------------------------------------------------------------------------

OPENSSH = loaded().private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
# Without the encrypted one: damage may ask for a billion rounds of hashing the passphrase.
GOOD = [LINE, PUBLIC_PEM, PEM, OPENSSH]


def unpacked(data: bytes) -> tuple[bytes, bytes, bytes]:
    """Return the head, the bytes in base64, and the tail of a key."""
    if data == LINE:
        head, body = data.split()
        return head + b" ", base64.b64decode(body), b""
    lines = data.splitlines()
    return lines[0] + b"\n", base64.b64decode(b"".join(lines[1:-1])), b"\n" + lines[-1] + b"\n"


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A good key of some form with damage to its text, or to the bytes inside."""
    data = draw(st.sampled_from(GOOD))
    inside = draw(st.booleans())
    head, body, tail = unpacked(data) if inside else (b"", data, b"")
    start = draw(st.integers(0, len(body)))
    end = draw(st.integers(start, min(start + 4, len(body))))
    body = body[:start] + draw(st.binary(max_size=4)) + body[end:]
    return head + (base64.b64encode(body) if inside else body) + tail


@settings(max_examples=400)
@given(st.binary() | damaged(), st.none() | st.just(b"many words"))
def test_any_bytes_are_a_key_or_refused(data: bytes, passphrase: bytes | None) -> None:
    reads: list[Callable[[], PublicKey]] = [
        lambda: PublicKey.parse(data),
        lambda: PrivateKey.parse(data, passphrase).public,
    ]
    for read in reads:
        try:
            found = read()
        except KeyFormatError as error:
            assert str(error).startswith("is ")
        else:
            assert PublicKey.parse(found.to_pem()) == PublicKey.parse(found.ssh.encode()) == found


def test_the_pem_that_is_written_is_what_others_load() -> None:
    assert load_pem_public_key(PUBLIC_PEM) == loaded().public_key()
    assert PEM.startswith(b"-----BEGIN PRIVATE KEY-----\n")
    assert LOCKED.startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n")

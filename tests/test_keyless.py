"""Keyless signatures: the real client against a Sigstore of the test's own, checked offline."""

from __future__ import annotations

import base64
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given, settings
from hypothesis import strategies as st

from teapot.allowed_signers import TrustedIdentity
from teapot.bundle import Bundle
from teapot.errors import SourceError, UsageError
from teapot.keyless import (
    InvalidKeylessError,
    KeylessError,
    KeylessSigner,
    UnknownIdentityError,
    sign_keyless,
    verify_keyless,
)
from teapot.signing import PrivateKey
from teapot.timestamps import check_timestamp, request_timestamp
from tests.support.sigstore_instance import Signing, SigstoreInstance
from tests.support.timestamp_authority import TimestampAuthority

Json = dict[str, Any]
# Spaces and key order that no writer of JSON would choose: the bytes must come back as they are.
PAYLOAD = (
    b'{"subject": [{"name":"mix.jsonl", "digest":{"sha256":"%s"}}],\n'
    b'"predicateType":"https://example.com/mix", "predicate":{"rows" : 3},'
    b'"_type":"https://in-toto.io/Statement/v1"}\n' % (b"0f" * 32)
)


@dataclass(frozen=True, kw_only=True)
class Signed:
    """A bundle, the instance that it was signed with, and that instance's trust config."""

    instance: SigstoreInstance
    config: Path
    bundle: bytes

    def trusts(self, identity: str = "alice@example.com", issuer: str = "") -> TrustedIdentity:
        issuer = issuer or self.instance.url
        return TrustedIdentity(identity=identity, issuer=issuer, where="trust:7")

    def verify(self, bundle: bytes) -> KeylessSigner:
        return verify_keyless(bundle, [self.trusts()], trust_config=self.config)

    def changed(self, change: Callable[[Json], object]) -> bytes:
        """The bundle after a change to its JSON."""
        value = json.loads(self.bundle)
        change(value)
        assert value != json.loads(self.bundle)
        return json.dumps(value).encode()


@pytest.fixture(scope="module", autouse=True)
def _no_proxy() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NO_PROXY", "127.0.0.1,localhost")
        yield


def _signed(instance: SigstoreInstance, folder: Path) -> Signed:
    config = instance.trust_config(folder / "trust.json")
    bundle = sign_keyless(PAYLOAD, identity_token=instance.token(), trust_config=config)
    return Signed(instance=instance, config=config, bundle=bundle)


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Signed]:
    """Signed with Rekor v1, whose log tells the time."""
    with SigstoreInstance() as instance:
        yield _signed(instance, tmp_path_factory.mktemp("v1"))


@pytest.fixture(scope="module")
def stamped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Signed]:
    """Signed with Rekor v2, where a timestamp authority tells the time."""
    folder = tmp_path_factory.mktemp("v2")
    with TimestampAuthority(folder / "tsa") as authority, SigstoreInstance(authority) as instance:
        yield _signed(instance, folder)


@pytest.fixture(params=["signed", "stamped"])
def either(request: pytest.FixtureRequest) -> Signed:
    made = request.getfixturevalue(request.param)
    assert isinstance(made, Signed)
    return made


@pytest.fixture
def connections(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Every address that somebody tries to reach; none is reached."""
    tried: list[object] = []

    def refuse(_: socket.socket, address: object) -> None:
        tried.append(address)
        raise ConnectionRefusedError("the test has no network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    return tried


def _flip(text: str) -> str:
    data = base64.b64decode(text)
    return base64.b64encode(data[:-1] + bytes([data[-1] ^ 1])).decode()


def _entry(bundle: Json) -> Json:
    entry = bundle["verificationMaterial"]["tlogEntries"][0]
    assert isinstance(entry, dict)
    return entry


def test_bundle_has_the_payloads_own_bytes(either: Signed) -> None:
    bundle = Bundle.parse(either.bundle)
    assert (bundle.payload, bundle.log_entries, bundle.hint) == (PAYLOAD, 1, None)
    assert bundle.certificate is not None


def test_signer_is_named_with_the_trust_line_and_the_time(
    either: Signed, connections: list[object]
) -> None:
    signer = either.verify(either.bundle)
    wanted = ("alice@example.com", either.instance.url, "trust:7")
    assert (signer.identity, signer.issuer, signer.where) == wanted
    assert timedelta(0) <= datetime.now(UTC) - signer.signed_at < timedelta(minutes=5)
    assert connections == []


def test_other_lines_of_the_trust_file_do_not_matter(signed: Signed) -> None:
    lines = [signed.trusts("bob@example.com"), signed.trusts()]
    assert verify_keyless(signed.bundle, lines, trust_config=signed.config).identity == (
        "alice@example.com"
    )


@pytest.mark.parametrize(
    ("identity", "issuer"),
    [
        ("bob@example.com", ""),
        ("Alice@example.com", ""),
        ("*@example.com", ""),
        ("*", ""),
        ("", ""),
        ("alice@example.com", "https://issuer.example.com"),
        ("alice@example.com", "*"),
    ],
)
def test_identity_and_issuer_must_be_those_of_one_line_exactly(
    identity: str, issuer: str, signed: Signed
) -> None:
    line = signed.trusts(identity, issuer)
    with pytest.raises(UnknownIdentityError) as caught:
        verify_keyless(signed.bundle, [line], trust_config=signed.config)
    who = f"alice@example.com by the word of {signed.instance.url}"
    assert str(caught.value) == f"is signed by {who}; no #sigstore line names both"


def test_line_without_an_issuer_does_not_trust_every_issuer(signed: Signed) -> None:
    line = TrustedIdentity(identity="alice@example.com", issuer="", where="trust:1")
    with pytest.raises(UnknownIdentityError):
        verify_keyless(signed.bundle, [line], trust_config=signed.config)


def test_identity_of_one_line_with_the_issuer_of_another_is_unknown(signed: Signed) -> None:
    lines = [signed.trusts("bob@example.com"), signed.trusts(issuer="https://other.example.com")]
    with pytest.raises(UnknownIdentityError):
        verify_keyless(signed.bundle, lines, trust_config=signed.config)


def test_without_trusted_identities_everybody_is_unknown(either: Signed) -> None:
    with pytest.raises(UnknownIdentityError):
        verify_keyless(either.bundle, [], trust_config=either.config)


def test_fault_is_told_before_an_unknown_identity(signed: Signed) -> None:
    broken = signed.changed(lambda value: value["dsseEnvelope"].update(payload="e30="))
    with pytest.raises(InvalidKeylessError):
        verify_keyless(broken, [], trust_config=signed.config)


def test_altered_payload_is_a_fault(either: Signed) -> None:
    def change(value: Json) -> None:
        value["dsseEnvelope"]["payload"] = _flip(value["dsseEnvelope"]["payload"])

    with pytest.raises(InvalidKeylessError, match="DSSE: invalid signature"):
        either.verify(either.changed(change))


def test_altered_signature_is_a_fault(signed: Signed) -> None:
    def change(value: Json) -> None:
        (signature,) = value["dsseEnvelope"]["signatures"]
        signature["sig"] = _flip(signature["sig"])

    with pytest.raises(InvalidKeylessError, match="DSSE: invalid signature"):
        signed.verify(signed.changed(change))


def test_payload_of_another_type_is_a_fault(signed: Signed) -> None:
    broken = signed.changed(lambda value: value["dsseEnvelope"].update(payloadType="text/plain"))
    with pytest.raises(InvalidKeylessError, match="signs a payload of type 'text/plain'"):
        signed.verify(broken)


def test_payload_that_the_library_reads_otherwise_is_a_fault(
    signed: Signed, monkeypatch: pytest.MonkeyPatch
) -> None:
    misread = replace(Bundle.parse(signed.bundle), payload=b"another")
    monkeypatch.setattr(Bundle, "parse", lambda data: misread)
    with pytest.raises(InvalidKeylessError, match="the payload that was signed is not the bundle"):
        signed.verify(signed.bundle)


def test_certificate_of_another_authority_is_a_fault(signed: Signed, tmp_path: Path) -> None:
    with SigstoreInstance() as other:
        mixed = signed.instance.trust_config(tmp_path / "mixed.json", fulcio=other)
        bundle = sign_keyless(PAYLOAD, identity_token=other.token(), trust_config=mixed)
        line = signed.trusts(issuer=other.url)
    assert verify_keyless(bundle, [line], trust_config=mixed).issuer == other.url
    with pytest.raises(InvalidKeylessError, match="failed to build timestamp certificate chain"):
        verify_keyless(bundle, [line], trust_config=signed.config)


def test_certificate_of_another_signature_is_a_fault(signed: Signed, tmp_path: Path) -> None:
    again = json.loads(_signed(signed.instance, tmp_path).bundle)
    other = again["verificationMaterial"]["certificate"]
    swapped = signed.changed(lambda value: value["verificationMaterial"].update(certificate=other))
    with pytest.raises(InvalidKeylessError, match="DSSE: invalid signature"):
        signed.verify(swapped)


def test_certificate_that_no_certificate_log_has_seen_is_a_fault(
    signed: Signed, tmp_path: Path
) -> None:
    def change(config: Json) -> None:
        config["trustedRoot"]["ctlogs"] = [Signing().instance("http://127.0.0.1")]

    config = json.loads(signed.config.read_bytes())
    change(config)
    altered = tmp_path / "trust.json"
    altered.write_text(json.dumps(config))
    with pytest.raises(InvalidKeylessError, match="failed to verify SCT"):
        verify_keyless(signed.bundle, [signed.trusts()], trust_config=altered)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda entry: entry.update(integratedTime="1700000000"), "certificate chain"),
        (
            lambda entry: entry.update(integratedTime=str(int(entry["integratedTime"]) + 1)),
            "invalid inclusion promise",
        ),
        (lambda entry: entry.update(logIndex="3"), "invalid inclusion promise"),
        (lambda entry: entry.pop("inclusionPromise"), "inclusion promise or signed timestamp"),
        (lambda entry: entry.pop("inclusionProof"), "inclusionProof"),
        (lambda entry: entry["inclusionProof"].update(hashes=[]), "wrong size"),
        (
            lambda entry: entry["inclusionProof"].update(
                rootHash=_flip(entry["inclusionProof"]["rootHash"])
            ),
            "invalid root hash",
        ),
        (
            lambda entry: entry["inclusionProof"]["checkpoint"].update(
                envelope=entry["inclusionProof"]["checkpoint"]["envelope"].replace("\n3\n", "\n4\n")
            ),
            "checkpoint: invalid signature",
        ),
        (
            lambda entry: entry.update(canonicalizedBody=_flip(entry["canonicalizedBody"])),
            "invalid root hash",
        ),
    ],
    ids=["time", "second", "index", "promise", "proof", "path", "root", "checkpoint", "body"],
)
def test_altered_log_entry_is_a_fault(
    change: Callable[[Json], object], told: str, signed: Signed
) -> None:
    with pytest.raises(InvalidKeylessError, match=told):
        signed.verify(signed.changed(lambda value: change(_entry(value))))


def test_log_entry_of_another_signature_is_a_fault(either: Signed, tmp_path: Path) -> None:
    other = _entry(json.loads(_signed(either.instance, tmp_path).bundle))
    swapped = either.changed(
        lambda value: value["verificationMaterial"].update(tlogEntries=[other])
    )
    with pytest.raises(InvalidKeylessError, match=r"log entry (signatures|is inconsistent)"):
        either.verify(swapped)


def _with_stamps(stamped: Signed, *stamps: bytes) -> bytes:
    texts = [{"signedTimestamp": base64.b64encode(stamp).decode()} for stamp in stamps]
    data = {"rfc3161Timestamps": texts}
    return stamped.changed(
        lambda value: value["verificationMaterial"].update(timestampVerificationData=data)
    )


def test_log_without_a_time_needs_a_trusted_timestamp(stamped: Signed, tmp_path: Path) -> None:
    bundle = Bundle.parse(stamped.bundle)
    (own,) = bundle.timestamps
    with TimestampAuthority(tmp_path) as other:
        foreign = request_timestamp(bundle.signature, other.url)
    for stamps in ((), (foreign,)):
        with pytest.raises(InvalidKeylessError, match=r"signed timestamp|sources of verified time"):
            stamped.verify(_with_stamps(stamped, *stamps))
    signer = stamped.verify(stamped.bundle)
    assert stamped.verify(_with_stamps(stamped, foreign, own)) == signer


def test_first_timestamp_counts_of_those_whose_authority_was_valid_then(
    stamped: Signed, tmp_path: Path
) -> None:
    signature, now = Bundle.parse(stamped.bundle).signature, stamped.instance.authority
    assert now is not None
    with TimestampAuthority(tmp_path / "tsa") as other:
        early = request_timestamp(signature, other.url)
    first = last = check_timestamp(early, signature, other.root_pem)
    while last == first:  # authorities count in seconds
        late = request_timestamp(signature, now.url)
        last = check_timestamp(late, signature, now.root_pem)

    config = json.loads(stamped.config.read_bytes())
    known = config["trustedRoot"]["timestampAuthorities"]
    chain = [one.public_bytes(Encoding.DER) for one in (other.signer, other.root)]
    ders = [{"rawBytes": base64.b64encode(der).decode()} for der in chain]
    known.append(known[0] | {"certChain": {"certificates": ders}})

    altered, bundle = tmp_path / "trust.json", _with_stamps(stamped, early, late)
    for end, when in ({}, first), ({"end": "2021-01-01T00:00:00Z"}, last):
        known[1]["validFor"] = known[0]["validFor"] | end
        altered.write_text(json.dumps(config))
        signer = verify_keyless(bundle, [stamped.trusts()], trust_config=altered)
        assert signer.signed_at == when


def test_bundle_that_was_signed_with_a_key_is_a_fault(signed: Signed) -> None:
    bundle = Bundle.sign(PAYLOAD, PrivateKey.generate()).to_bytes()
    with pytest.raises(InvalidKeylessError, match="expected certificate in bundle"):
        signed.verify(bundle)


@settings(max_examples=60)
@given(data=st.data())
def test_flipped_byte_is_a_fault_or_changes_nothing_that_counts(
    data: st.DataObject, signed: Signed
) -> None:
    place = data.draw(st.integers(0, len(signed.bundle) - 1))
    flipped = bytearray(signed.bundle)
    flipped[place] ^= 1 << data.draw(st.integers(0, 7))
    try:
        signer = signed.verify(bytes(flipped))
    except InvalidKeylessError:
        return
    assert signer == signed.verify(signed.bundle)
    assert Bundle.parse(bytes(flipped)).payload == PAYLOAD


def test_public_instance_does_not_believe_a_private_one(
    signed: Signed, connections: list[object], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("XDG_CACHE_HOME", "XDG_DATA_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    with pytest.raises(InvalidKeylessError, match="is no valid keyless signature"):
        verify_keyless(signed.bundle, [signed.trusts()])
    assert connections == []


def test_payload_that_is_no_statement_is_not_signed(signed: Signed) -> None:
    before = list(signed.instance.requests)
    with pytest.raises(KeylessError, match="the payload cannot be signed: malformed in-toto"):
        sign_keyless(b"{}", identity_token=signed.instance.token(), trust_config=signed.config)
    assert signed.instance.requests == before


@pytest.mark.parametrize("token", ["", "no token"])
def test_token_that_is_none_is_the_users_fault(token: str, signed: Signed) -> None:
    with pytest.raises(UsageError, match="identity token: Identity token is malformed"):
        sign_keyless(PAYLOAD, identity_token=token, trust_config=signed.config)


def test_token_that_has_expired_is_the_users_fault(signed: Signed) -> None:
    token = signed.instance.token(minutes=-5)
    with pytest.raises(UsageError, match=r"expected an OIDC token .* that has not expired"):
        sign_keyless(PAYLOAD, identity_token=token, trust_config=signed.config)


def test_token_of_another_provider_gets_no_signature(signed: Signed) -> None:
    with SigstoreInstance() as other, pytest.raises(SourceError) as caught:
        sign_keyless(PAYLOAD, identity_token=other.token(), trust_config=signed.config)
    (problem,) = caught.value.problems
    assert problem.where == str(signed.config)
    assert "401 Client Error" in problem.message
    assert problem.message.endswith("; try again, or sign with a key")


def test_services_that_are_not_there_are_told(tmp_path: Path) -> None:
    with SigstoreInstance() as instance:
        config, token = instance.trust_config(tmp_path / "trust.json"), instance.token()
    with pytest.raises(SourceError, match="gives no signature"):
        sign_keyless(PAYLOAD, identity_token=token, trust_config=config)


def test_signature_that_its_own_roots_do_not_verify_is_not_returned(tmp_path: Path) -> None:
    with SigstoreInstance() as instance:
        config = instance.trust_config(tmp_path / "trust.json")
        instance.rekor.key = Signing()
        with pytest.raises(SourceError, match="gives no signature: invalid log entry"):
            sign_keyless(PAYLOAD, identity_token=instance.token(), trust_config=config)


@pytest.mark.parametrize("text", [None, "", "{}", '{"mediaType":"another"}'])
def test_trust_config_that_is_none_is_the_users_fault(
    text: str | None, signed: Signed, tmp_path: Path
) -> None:
    config = tmp_path / "trust.json"
    if text is not None:
        config.write_text(text)
    with pytest.raises(UsageError, match="is not a Sigstore ClientTrustConfig in JSON") as caught:
        verify_keyless(signed.bundle, [signed.trusts()], trust_config=config)
    assert caught.value.problems[0].where == str(config)
    with pytest.raises(UsageError):
        sign_keyless(PAYLOAD, identity_token=signed.instance.token(), trust_config=config)


def test_trust_config_without_a_log_is_the_users_fault(signed: Signed, tmp_path: Path) -> None:
    value = json.loads(signed.config.read_bytes())
    value["trustedRoot"]["tlogs"] = []
    config = tmp_path / "trust.json"
    config.write_text(json.dumps(value))
    with pytest.raises(UsageError, match="is not a Sigstore ClientTrustConfig in JSON"):
        verify_keyless(signed.bundle, [signed.trusts()], trust_config=config)


def test_job_of_a_ci_signs_as_itself(signed: Signed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "of the job")
    monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_URL", f"{signed.instance.url}/ci-token")
    signed.verify(sign_keyless(PAYLOAD, trust_config=signed.config))
    assert "/ci-token" in signed.instance.requests

    token = signed.instance.token("bob@example.com")  # one that is given counts more
    bundle = sign_keyless(PAYLOAD, identity_token=token, trust_config=signed.config)
    with pytest.raises(UnknownIdentityError, match=r"is signed by bob@example\.com"):
        signed.verify(bundle)


def test_person_signs_with_a_browser(signed: Signed, tmp_path: Path) -> None:
    browser, made = tmp_path / "browser.py", tmp_path / "bundle.json"
    browser.write_text("import sys, urllib.request as r; r.urlopen(sys.argv[1]).read()\n")
    script = (
        "import sys; from pathlib import Path; from teapot.keyless import sign_keyless\n"
        f"bundle = sign_keyless(sys.stdin.buffer.read(), trust_config=Path({str(signed.config)!r}))"
        f"\nPath({str(made)!r}).write_bytes(bundle)\n"
    )
    known = {name: os.environ[name] for name in ("PATH", "HOME", "NO_PROXY") if name in os.environ}
    env = known | {"BROWSER": f"{sys.executable} {browser} %s"}
    command = [sys.executable, "-c", script]
    subprocess.run(command, input=PAYLOAD, env=env, check=True, capture_output=True)
    signed.verify(made.read_bytes())
    assert "/auth" in signed.instance.requests


@pytest.mark.parametrize("call", ["sign_keyless(b'')", "verify_keyless(b'', [])"])
def test_missing_package_is_named_with_its_extra(call: str) -> None:
    script = (
        "import sys; sys.modules['sigstore'] = None\n"
        "from teapot.errors import MissingExtraError\n"
        "from teapot.keyless import sign_keyless, verify_keyless\n"
        f"try: {call}\n"
        "except MissingExtraError as error: print(error)\n"
    )
    ran = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    needed = "a keyless signature needs an optional package: pip install 'teapot[sigstore]'\n"
    assert ran.stdout == needed

"""Timestamps: asked for over HTTP, and believed only of an authority that the reader trusts."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest

from teapot.errors import SourceError
from teapot.timestamps import TimestampError, check_timestamp, request_timestamp
from tests.support.timestamp_authority import Answer, TimestampAuthority

SIGNATURE = b"\x30\x45 a signature's bytes"


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def authority(tmp_path: Path) -> Iterator[TimestampAuthority]:
    with TimestampAuthority(tmp_path / "authority") as made:
        yield made


def refusal(authority: TimestampAuthority) -> str:
    """The one line that says why there is no timestamp; its place is the authority's address."""
    with pytest.raises(SourceError) as caught:
        request_timestamp(SIGNATURE, authority.url)
    (problem,) = caught.value.problems
    assert problem.where == authority.url
    assert problem.message.endswith("; try again, or name another timestamp authority")
    return problem.message


def test_timestamp_tells_when_the_signature_was_seen(authority: TimestampAuthority) -> None:
    before = datetime.now(UTC) - timedelta(seconds=1)  # the authority counts in seconds
    stamp = request_timestamp(SIGNATURE, authority.url)
    seen = check_timestamp(stamp, SIGNATURE, authority.root_pem)
    assert seen.tzinfo is UTC
    assert before <= seen <= datetime.now(UTC)


def test_query_and_reply_have_the_types_of_the_standard(authority: TimestampAuthority) -> None:
    request_timestamp(SIGNATURE, authority.url)
    (headers,) = authority.queries
    assert headers["Content-Type"] == "application/timestamp-query"
    assert headers["Accept"] == "application/timestamp-reply"


def test_openssl_takes_the_timestamp_over_the_signatures_bytes(
    authority: TimestampAuthority, tmp_path: Path
) -> None:
    stamp, data, root = tmp_path / "stamp.tsr", tmp_path / "data", tmp_path / "root.pem"
    stamp.write_bytes(request_timestamp(SIGNATURE, authority.url))
    data.write_bytes(SIGNATURE)
    root.write_bytes(authority.root_pem)
    command = ["openssl", "ts", "-verify", "-in", stamp, "-data", data, "-CAfile", root]
    assert b"Verification: OK" in subprocess.run(command, check=True, capture_output=True).stdout


def test_signers_own_certificate_may_be_named_and_the_order_is_free(
    authority: TimestampAuthority,
) -> None:
    stamp = request_timestamp(SIGNATURE, authority.url)
    root, signer = authority.root_pem, authority.signer_pem
    for pem in (root, signer + root, root + signer, signer + root + signer):
        check_timestamp(stamp, SIGNATURE, pem)


def test_timestamp_of_another_signature_is_refused(authority: TimestampAuthority) -> None:
    stamp = request_timestamp(SIGNATURE, authority.url)
    with pytest.raises(TimestampError, match="Mismatch between messages"):
        check_timestamp(stamp, SIGNATURE + b".", authority.root_pem)


def test_timestamp_of_an_authority_that_is_not_trusted_is_refused(
    authority: TimestampAuthority, tmp_path: Path
) -> None:
    stamp = request_timestamp(SIGNATURE, authority.url)
    with TimestampAuthority(tmp_path / "other") as other:
        for pem in (other.root_pem, other.signer_pem + other.root_pem):
            with pytest.raises(TimestampError, match="authority: certificate signature failure"):
                check_timestamp(stamp, SIGNATURE, pem)


def test_signer_under_the_root_who_is_not_the_named_one_is_refused(
    authority: TimestampAuthority, tmp_path: Path
) -> None:
    stamp = request_timestamp(SIGNATURE, authority.url)
    with TimestampAuthority(tmp_path / "other") as other:
        pem = other.signer_pem + authority.root_pem
    with pytest.raises(TimestampError, match="Embedded certificate does not match"):
        check_timestamp(stamp, SIGNATURE, pem)


def test_certificate_that_is_for_another_use_is_refused(authority: TimestampAuthority) -> None:
    stamp = request_timestamp(SIGNATURE, authority.url)
    other = authority.with_other_use(stamp)
    assert other != stamp
    with pytest.raises(TimestampError, match="authority: unsuitable certificate purpose"):
        check_timestamp(other, SIGNATURE, authority.root_pem)


@pytest.mark.parametrize(
    "break_it",
    [
        lambda stamp: b"",
        lambda stamp: b"no timestamp",
        lambda stamp: stamp[:-1],
        lambda stamp: stamp + b"\0",
        lambda stamp: stamp[:-1] + bytes([stamp[-1] ^ 1]),
    ],
    ids=["empty", "text", "cut", "longer", "flipped"],
)
def test_broken_timestamp_is_refused(
    break_it: Callable[[bytes], bytes], authority: TimestampAuthority
) -> None:
    stamp = request_timestamp(SIGNATURE, authority.url)
    with pytest.raises(TimestampError, match="is no timestamp of this signature"):
        check_timestamp(break_it(stamp), SIGNATURE, authority.root_pem)


def test_certificates_without_a_root_or_with_two_signers_are_refused(
    authority: TimestampAuthority, tmp_path: Path
) -> None:
    stamp = request_timestamp(SIGNATURE, authority.url)
    signer = authority.signer_pem
    with TimestampAuthority(tmp_path / "other") as other:
        two = authority.root_pem + signer + other.signer_pem
    for pem, told in ((signer, "0 roots and 1"), (two, "1 roots and 2"), (b"text", "are not PEM")):
        with pytest.raises(TimestampError, match=told):
            check_timestamp(stamp, SIGNATURE, pem)


@pytest.mark.parametrize("status", [302, 404, 500])
def test_status_other_than_200_is_told(status: int, authority: TimestampAuthority) -> None:
    authority.answer = Answer(body=b"", status=status)
    assert refusal(authority).startswith(f"answers with HTTP {status}, expected 200;")


def test_answer_of_another_type_is_told(authority: TimestampAuthority) -> None:
    authority.answer = Answer(body=b"<html>", content_type="text/html; charset=utf-8")
    assert "answers with text/html, expected application/timestamp-reply" in refusal(authority)


def test_answer_that_is_too_long_is_not_read_to_its_end(authority: TimestampAuthority) -> None:
    authority.answer = Answer(body=bytes(8 << 20))
    assert refusal(authority).startswith("answers with more than 65,536 bytes;")


def test_answer_that_is_no_timestamp_is_told(authority: TimestampAuthority) -> None:
    authority.answer = Answer(body=b"no timestamp")
    assert "answers with bytes that are no timestamp response: ASN.1" in refusal(authority)


def test_answer_to_an_earlier_request_is_not_taken(authority: TimestampAuthority) -> None:
    authority.answer = Answer(body=request_timestamp(SIGNATURE, authority.url))
    assert refusal(authority).startswith("answers another request: the nonce differs;")


def test_answer_over_other_bytes_is_not_taken(authority: TimestampAuthority) -> None:
    asked, other = sha256(SIGNATURE).digest(), sha256(b"another").digest()
    authority.misread = lambda query: query.replace(asked, other)
    assert refusal(authority).startswith("answers over other bytes than the signature's;")


def test_authority_that_refuses_is_told_with_its_reason(tmp_path: Path) -> None:
    with TimestampAuthority(tmp_path, digests="sha512") as authority:
        told = refusal(authority)
    assert told.startswith("refuses with status 2: Message digest algorithm is not supported.")


def test_authority_that_is_not_there_is_told(authority: TimestampAuthority) -> None:
    url = authority.url
    authority.close()
    with pytest.raises(SourceError, match=r"cannot be asked: .*refused"):
        request_timestamp(SIGNATURE, url)


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/", "http://127.0.0.1:port/", "timestamp"])
def test_address_that_is_none_is_told(url: str) -> None:
    with pytest.raises(SourceError, match="cannot be asked"):
        request_timestamp(SIGNATURE, url)


@pytest.mark.parametrize("call", ["request_timestamp(b'', '')", "check_timestamp(b'', b'', b'')"])
def test_missing_package_is_named_with_its_extra(call: str) -> None:
    script = (
        "import sys; sys.modules['rfc3161_client'] = None\n"
        "from teapot.errors import MissingExtraError\n"
        "from teapot.timestamps import check_timestamp, request_timestamp\n"
        f"try: {call}\n"
        "except MissingExtraError as error: print(error)\n"
    )
    ran = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    needed = "an RFC 3161 timestamp needs an optional package: pip install 'teapot[timestamp]'\n"
    assert ran.stdout == needed

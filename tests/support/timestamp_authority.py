"""A timestamp authority on loopback: `openssl ts` answers, under a CA that the test makes."""

from __future__ import annotations

import datetime
import subprocess
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

REPLY = "application/timestamp-reply"
_DAY = datetime.timedelta(days=1)
_CONFIG = """\
[tsa]
default_tsa = authority
[authority]
serial = {folder}/serial
crypto_device = builtin
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = {digests}
ess_cert_id_alg = sha256
"""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the authority says to one query."""

    body: bytes
    status: int = 200
    content_type: str = REPLY


class TimestampAuthority:
    """It serves from the moment it is made until `close()` or `with` ends.

    `digests` are the hashes that it takes. Whoever sets `answer` gets that for every query; whoever
    sets `misread` gets an answer to the query that it makes of each.
    """

    def __init__(self, folder: Path, *, digests: str = "sha256") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self.answer: Answer | None = None
        self.misread: Callable[[bytes], bytes] = bytes
        self.queries: list[Mapping[str, str]] = []
        self._root_key, self._key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
        self._serial = x509.random_serial_number()
        self.root = self._issue("Test Root", self._root_key, None)
        self.signer = self._issue("Test Authority", self._key, ExtendedKeyUsageOID.TIME_STAMPING)
        self.root_pem = self.root.public_bytes(Encoding.PEM)
        self.signer_pem = self.signer.public_bytes(Encoding.PEM)
        pem = self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (folder / "key.pem").write_bytes(pem)
        (folder / "signer.pem").write_bytes(self.signer_pem)
        (folder / "serial").write_text("01")
        (folder / "openssl.cnf").write_text(_CONFIG.format(folder=folder, digests=digests))
        self._server = _Server(self)
        serve = self._server.serve_forever
        self._thread = threading.Thread(target=serve, args=(0.01,), daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop serving: whoever asks now is refused the connection."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/api/v1/timestamp"

    def stamp(self, query: bytes) -> bytes:
        """The DER response to a DER query, as `openssl ts` makes it."""
        asked, said = self._folder / "query.tsq", self._folder / "reply.tsr"
        asked.write_bytes(query)
        command = ["openssl", "ts", "-reply", "-queryfile", asked, "-out", said]
        command += ["-config", self._folder / "openssl.cnf"]
        command += ["-signer", self._folder / "signer.pem", "-inkey", self._folder / "key.pem"]
        subprocess.run(command, check=True, capture_output=True)
        return said.read_bytes()

    def with_other_use(self, stamp: bytes) -> bytes:
        """The stamp with its signer's certificate issued anew, for signing code.

        `openssl ts` does not sign with such a certificate, so it is put in the place of the true
        one, which has the same key, serial number and, after some tries, length.
        """
        true = self.signer.public_bytes(Encoding.DER)
        while True:
            other = self._issue("Test Authority", self._key, ExtendedKeyUsageOID.CODE_SIGNING)
            if len(other.public_bytes(Encoding.DER)) == len(true):
                return stamp.replace(true, other.public_bytes(Encoding.DER))

    def _issue(
        self, name: str, key: ec.EllipticCurvePrivateKey, usage: x509.ObjectIdentifier | None
    ) -> x509.Certificate:
        """A certificate for one use, or the CA's own, which is for none."""
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(_named(name))
            .issuer_name(_named("Test Root"))
            .public_key(key.public_key())
            .serial_number(self._serial if usage else 1)
            .not_valid_before(now - _DAY)
            .not_valid_after(now + _DAY)
            .add_extension(x509.BasicConstraints(ca=usage is None, path_length=None), True)
        )
        if usage:
            builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), True)
        return builder.sign(self._root_key, hashes.SHA256())


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


class _Server(HTTPServer):
    def __init__(self, authority: TimestampAuthority) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.authority = authority

    def handle_error(self, *client: object) -> None:
        """Say nothing: a client that hangs up on an answer too long is part of a test."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        query = self.rfile.read(int(self.headers["Content-Length"]))
        authority = self.server.authority
        authority.queries.append(dict(self.headers))
        answer = authority.answer or Answer(body=authority.stamp(authority.misread(query)))
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing: `TimestampAuthority.queries` is the log."""

"""A private Sigstore on loopback: Fulcio with a certificate log, Rekor v1 or v2, an OIDC provider.

It has keys of its own and speaks the real protocols, so that the real client signs against it and
the real verifier believes it. What no client looks at (lookups, lists, mirrors) is left out.
"""

from __future__ import annotations

import base64
import datetime
import hashlib
import json
import struct
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.support.timestamp_authority import TimestampAuthority

Json = dict[str, Any]
_VALID = {"start": "2020-01-01T00:00:00Z"}
_ISSUER = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.1")
_ISSUER_V2 = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.8")
_SCT_LIST = x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")


class Signing:
    """A key of one of the services, and the names that Sigstore gives it."""

    def __init__(self) -> None:
        self.private = ec.generate_private_key(ec.SECP256R1())
        form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        self.der = self.private.public_key().public_bytes(*form)
        self.id = hashlib.sha256(self.der).digest()

    def sign(self, data: bytes) -> bytes:
        return self.private.sign(data, ec.ECDSA(hashes.SHA256()))

    def instance(self, url: str) -> Json:
        """A log in a trusted root."""
        details = "PKIX_ECDSA_P256_SHA_256"
        return {
            "baseUrl": url,
            "hashAlgorithm": "SHA2_256",
            "publicKey": {"rawBytes": text(self.der), "keyDetails": details, "validFor": _VALID},
            "logId": {"keyId": text(self.id)},
        }


class Fulcio:
    """Issues a certificate of ten minutes for what a token says, and logs that it did."""

    def __init__(self) -> None:
        self.key, self.certificate_log = Signing(), Signing()
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test Fulcio")])
        builder = self._builder(self.name, self.key.private.public_key(), days=1)
        usage = _key_usage(key_cert_sign=True)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        self.root = self._signed(builder.add_extension(usage, True))

    def issue(self, key: ec.EllipticCurvePublicKey, identity: str, issuer: str) -> x509.Certificate:
        v2 = b"\x0c" + bytes([len(issuer)]) + issuer.encode()  # a UTF8String in DER
        builder = self._builder(x509.Name([]), key, days=0)
        builder = (
            builder.add_extension(_key_usage(digital_signature=True), True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), False)
            .add_extension(x509.SubjectAlternativeName([x509.RFC822Name(identity)]), True)
            .add_extension(x509.UnrecognizedExtension(_ISSUER, issuer.encode()), False)
            .add_extension(x509.UnrecognizedExtension(_ISSUER_V2, v2), False)
        )
        sct = self._sct(self._signed(builder).tbs_certificate_bytes)
        return self._signed(
            builder.add_extension(x509.UnrecognizedExtension(_SCT_LIST, sct), False)
        )

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePublicKey, *, days: int
    ) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        own = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.private.public_key())
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=days, seconds=5))
            .not_valid_after(now + datetime.timedelta(days=days, minutes=10))
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), False)
            .add_extension(own, False)
        )

    def _signed(self, builder: x509.CertificateBuilder) -> x509.Certificate:
        return builder.sign(self.key.private, hashes.SHA256())

    def _sct(self, precertificate: bytes) -> bytes:
        """The list of one signed certificate timestamp (RFC 6962 §3.2 and §3.3), in DER."""
        when = struct.pack("!Q", int(time.time() * 1000))
        size = len(precertificate).to_bytes(3)
        entry = struct.pack("!H", 1) + self.key.id + size + precertificate
        signature = self.certificate_log.sign(b"\0\0" + when + entry + b"\0\0")
        algorithm = b"\x04\x03"  # SHA-256 with ECDSA
        sct = b"\0" + self.certificate_log.id + when + b"\0\0" + algorithm + _sized(signature)
        scts = _sized(_sized(sct))
        return b"\x04" + bytes([len(scts)]) + scts


class Rekor:
    """A log of signatures: a Merkle tree (RFC 6962 §2.1) whose heads it signs."""

    def __init__(self) -> None:
        self.key = Signing()
        self.leaves = [b"\0an entry", b"\0of somebody else"]

    def add_v1(self, request: Json) -> Json:
        """The answer to a proposed `dsse` entry."""
        proposed = request["spec"]["proposedContent"]
        envelope = json.loads(proposed["envelope"])
        (verifier,), (signed,) = proposed["verifiers"], envelope["signatures"]
        spec = {
            "envelopeHash": _sha256(proposed["envelope"].encode()),
            "payloadHash": _sha256(base64.b64decode(envelope["payload"])),
            "signatures": [{"signature": signed["sig"], "verifier": verifier}],
        }
        body = canonical({"apiVersion": "0.0.1", "kind": "dsse", "spec": spec})
        index = self._append(body)
        proof = {
            "checkpoint": self._checkpoint(),
            "hashes": [node.hex() for node in _path(index, self.leaves)],
            "logIndex": index,
            "rootHash": _root(self.leaves).hex(),
            "treeSize": len(self.leaves),
        }
        promised: Json = {"body": text(body), "integratedTime": int(time.time())}
        promised |= {"logID": self.key.id.hex(), "logIndex": index}
        promise = text(self.key.sign(canonical(promised)))
        verification = {"inclusionProof": proof, "signedEntryTimestamp": promise}
        return {"uuid": promised | {"verification": verification}}

    def add_v2(self, request: Json) -> Json:
        """The answer to a request for a `hashedrekord` entry."""
        asked = request["hashedRekordRequestV002"]
        data = {"algorithm": "SHA2_256", "digest": asked["digest"]}
        spec = {"hashedRekordV002": {"data": data, "signature": asked["signature"]}}
        body = canonical({"apiVersion": "0.0.2", "kind": "hashedrekord", "spec": spec})
        index = self._append(body)
        proof = {
            "logIndex": str(index),
            "rootHash": text(_root(self.leaves)),
            "treeSize": str(len(self.leaves)),
            "hashes": [text(node) for node in _path(index, self.leaves)],
            "checkpoint": {"envelope": self._checkpoint()},
        }
        return {
            "logIndex": str(index),
            "logId": {"keyId": text(self.key.id)},
            "kindVersion": {"kind": "hashedrekord", "version": "0.0.2"},
            "inclusionProof": proof,
            "canonicalizedBody": text(body),
        }

    def _append(self, body: bytes) -> int:
        self.leaves.append(b"\0" + body)
        return len(self.leaves) - 1

    def _checkpoint(self) -> str:
        note = f"rekor.test\n{len(self.leaves)}\n{text(_root(self.leaves))}\n"
        return f"{note}\n— rekor.test {text(self.key.id[:4] + self.key.sign(note.encode()))}\n"


class SigstoreInstance:
    """All services under one address, from the moment it is made until `with` ends.

    `authority` makes it one with Rekor v2, which tells no time of its own.
    """

    def __init__(self, authority: TimestampAuthority | None = None) -> None:
        self.fulcio, self.rekor, self.provider = Fulcio(), Rekor(), Signing()
        self.authority = authority
        self.person = "alice@example.com"
        self.requests: list[str] = []
        self._server = _Server(self)
        serve = self._server.serve_forever
        self._thread = threading.Thread(target=serve, args=(0.01,), daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def token(self, identity: str | None = None, *, minutes: int = 5) -> str:
        """An OIDC token that the instance's own provider has signed."""
        now = int(time.time())
        claims = {"iss": self.url, "aud": "sigstore", "sub": identity or self.person}
        claims |= {"iat": now - 3600, "exp": now + 60 * minutes}
        return jwt.encode(claims, self.provider.private, "ES256")

    def trust_config(self, path: Path, *, fulcio: SigstoreInstance | None = None) -> Path:
        """Write the ClientTrustConfig, perhaps with the certificates of another instance."""
        certificates = fulcio or self
        service = {"majorApiVersion": 1, "validFor": _VALID, "operator": "test"}
        tsas = [self.authority] if self.authority else []
        stamped = [_authority(one.url, one.signer, one.root) for one in tsas]
        root = certificates.fulcio.root
        trusted = {
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [self.rekor.key.instance(self.url)],
            "certificateAuthorities": [_authority(certificates.url, root)],
            "ctlogs": [certificates.fulcio.certificate_log.instance(certificates.url)],
            "timestampAuthorities": stamped,
        }
        log = service | {"url": self.url, "majorApiVersion": 2 if tsas else 1}
        signing = {
            "mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
            "caUrls": [service | {"url": certificates.url}],
            "oidcUrls": [service | {"url": self.url}],
            "rekorTlogUrls": [log],
            "rekorTlogConfig": {"selector": "ANY"},
            "tsaUrls": [service | {"url": one.url} for one in tsas],
            "tsaConfig": {"selector": "ANY"},
        }
        kind = "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json"
        config = {"mediaType": kind, "trustedRoot": trusted, "signingConfig": signing}
        path.write_text(json.dumps(config), "utf-8")
        return path

    def certify(self, token: str, request: Json) -> Json:
        """Fulcio's answer: a certificate for the key of a request and the person of a token."""
        key = self.provider.private.public_key()
        claims = jwt.decode(token, key, ["ES256"], audience="sigstore", issuer=self.url)
        pem = base64.b64decode(request["certificateSigningRequest"])
        asked = x509.load_pem_x509_csr(pem)
        assert asked.is_signature_valid
        public = asked.public_key()
        assert isinstance(public, ec.EllipticCurvePublicKey)
        issued = self.fulcio.issue(public, claims["sub"], claims["iss"])
        chain = [one.public_bytes(Encoding.PEM).decode() for one in (issued, self.fulcio.root)]
        return {"signedCertificateEmbeddedSct": {"chain": {"certificates": chain}}}


def text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def canonical(value: Json) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def _authority(url: str, *chain: x509.Certificate) -> Json:
    ders = [{"rawBytes": text(one.public_bytes(Encoding.DER))} for one in chain]
    subject = {"organization": "test", "commonName": "test"}
    return {"subject": subject, "uri": url, "certChain": {"certificates": ders}, "validFor": _VALID}


def _key_usage(**given: bool) -> x509.KeyUsage:
    uses = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment")
    uses += ("key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only")
    return x509.KeyUsage(**(dict.fromkeys(uses, False) | given))


def _sized(data: bytes) -> bytes:
    return struct.pack("!H", len(data)) + data


def _sha256(data: bytes) -> Json:
    return {"algorithm": "sha256", "value": hashlib.sha256(data).hexdigest()}


def _split(leaves: list[bytes]) -> int:
    """The greatest power of two that is smaller than the number of leaves."""
    return 1 << (len(leaves) - 1).bit_length() - 1


def _root(leaves: list[bytes]) -> bytes:
    if len(leaves) == 1:
        return hashlib.sha256(leaves[0]).digest()
    middle = _split(leaves)
    nodes = _root(leaves[:middle]) + _root(leaves[middle:])
    return hashlib.sha256(b"\1" + nodes).digest()


def _path(index: int, leaves: list[bytes]) -> list[bytes]:
    if len(leaves) == 1:
        return []
    middle = _split(leaves)
    left, right = leaves[:middle], leaves[middle:]
    if index < middle:
        return [*_path(index, left), _root(right)]
    return [*_path(index - middle, right), _root(left)]


class _Server(ThreadingHTTPServer):
    def __init__(self, instance: SigstoreInstance) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.instance = instance


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        instance, address = self.server.instance, urlsplit(self.path)
        instance.requests.append(address.path)
        query = {name: values[0] for name, values in parse_qs(address.query).items()}
        match address.path:
            case "/.well-known/openid-configuration":
                url = instance.url
                self._answer(
                    {"authorization_endpoint": f"{url}/auth", "token_endpoint": f"{url}/token"}
                )
            case "/auth":  # where a browser would ask the person
                back = urlencode({"code": "a code", "state": query["state"]})
                self.send_response(302)
                self.send_header("Location", f"{query['redirect_uri']}?{back}")
                self.end_headers()
            case "/ci-token":  # GitHub's answer to a job
                assert self.headers["Authorization"] == "bearer of the job"
                self._answer({"value": instance.token()})
            case _:
                self.send_error(404)

    def do_POST(self) -> None:
        instance = self.server.instance
        instance.requests.append(self.path)
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        match self.path:
            case "/api/v2/signingCert":
                token = self.headers["Authorization"].removeprefix("Bearer ")
                try:
                    self._answer(instance.certify(token, json.loads(body)))
                except jwt.InvalidTokenError:
                    self.send_error(401)
            case "/api/v1/log/entries":
                self._answer(instance.rekor.add_v1(json.loads(body)), 201)
            case "/api/v2/log/entries":
                self._answer(instance.rekor.add_v2(json.loads(body)), 201)
            case "/token":
                assert parse_qs(body)["code"] == ["a code"]
                self._answer({"access_token": instance.token()})
            case _:
                self.send_error(404)

    def _answer(self, value: Json, status: int = 200) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing: `SigstoreInstance.requests` is the log."""

"""What attacks are made of; everything works on the composition in the current folder."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as arrow
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509.oid import NameOID
from pyarrow import parquet

import teapot
from teapot.bundle import Bundle
from teapot.canonical import dumps_readable, loads
from teapot.ledger import LEDGER as COLUMNS
from teapot.manifestfile import read_manifest
from teapot.signing import PrivateKey
from teapot.usecases.prove import prove
from tests.support.environment import own_key
from tests.support.keys import key
from tests.support.ledgers import rows_sha256
from tests.support.project import Row, write_config, write_module

DATA, LEDGER = Path("tea.jsonl"), Path("tea.ledger.parquet")
MANIFEST, BUNDLE = Path("tea.manifest.json"), Path("tea.manifest.sigstore.json")
TRUST = Path("teapot.allowed_signers")
SECOND_BUNDLE = Path("tea.manifest.second.sigstore.json")
_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # of the curve P-256


def stranger() -> PrivateKey:
    """Return a key that no trust file names."""
    return key(13)


def swap(path: Path, old: bytes, new: bytes, count: int = -1) -> None:
    """Put bytes in the place of others, which must be there."""
    data = path.read_bytes()
    assert old in data, f"{path} does not hold {old!r}"
    path.write_bytes(data.replace(old, new, count))


def edit_lines(change: Callable[[list[bytes]], Sequence[bytes]]) -> None:
    """Change the list of the data file's lines, each with its LF."""
    DATA.write_bytes(b"".join(change(DATA.read_bytes().splitlines(keepends=True))))


def edit_json(path: Path, change: Callable[[Any], object]) -> None:
    """Change the value in a file of JSON, which is written again as Teapot writes it."""
    value = loads(path.read_bytes())
    change(value)
    path.write_bytes(dumps_readable(value))


def edit_ledger(change: Callable[[list[dict[str, Any]]], object]) -> None:
    """Change the rows of the ledger, which is written again with the same columns."""
    rows = parquet.read_table(LEDGER).to_pylist()
    change(rows)
    parquet.write_table(arrow.Table.from_pylist(rows, COLUMNS), LEDGER)


def read_rows() -> list[dict[str, Any]]:
    """Return the rows of the ledger as it lies there."""
    rows: list[dict[str, Any]] = parquet.read_table(LEDGER).to_pylist()
    return rows


def state(manifest: Path, key: str, value: str) -> None:
    """Have a manifest state another text of 64 hex digits under a key."""
    data = manifest.read_text()
    found, count = re.subn(rf'("{key}": )"[0-9a-f]{{64}}"', rf'\1"{value}"', data)
    assert count == 1, f"{manifest} has {count} keys {key}"
    manifest.write_text(found)


def sign_ledger() -> None:
    """Have the manifest state the ledger's rows as they are now, and sign it."""
    state(MANIFEST, "rows_sha256", rows_sha256(read_rows()))
    sign()


def sign(by: PrivateKey | None = None, bundle: Path = BUNDLE) -> None:
    """Sign the manifest as it lies there, whatever it says; by the trusted key if by no other."""
    bundle.write_bytes(Bundle.sign(MANIFEST.read_bytes(), by or own_key()).to_bytes())


def mend_recipe_digest() -> None:
    """Let the manifest state the digest that its recipe has now."""
    data = MANIFEST.read_bytes()
    stated = loads(data)["predicate"]["buildDefinition"]["externalParameters"]["recipe_sha256"]
    recipe = read_manifest(data, MANIFEST.name).recipe
    swap(MANIFEST, stated.encode(), recipe.sha256().encode())


def sign_again(bundle: Path = SECOND_BUNDLE) -> None:
    """Write the same signature in the second form that every ECDSA signature has."""
    found = Bundle.parse(BUNDLE.read_bytes())
    r, s = decode_dss_signature(found.signature)
    bundle.write_bytes(replace(found, signature=encode_dss_signature(r, _ORDER - s)).to_bytes())


def compose(folder: Path, rows: Sequence[Row]) -> None:
    """Compose `tea.jsonl` of one module in another folder, signed by the trusted key.

    The manifest names fixed versions, so that its digest is the same whatever is installed.
    """
    write_module(folder, "tea/black", rows)
    made = teapot.compose(write_config(folder, {"tea/black": 1}), output=folder / DATA)
    edit_json(
        made.paths.manifest,
        lambda manifest: manifest["predicate"]["runDetails"]["builder"].update(
            version={"teapot": "0.1.0"}
        ),
    )
    signed = Bundle.sign(made.paths.manifest.read_bytes(), own_key())
    made.paths.bundle.write_bytes(signed.to_bytes())


def alter_signature(bundle: Path = BUNDLE) -> None:
    """Change the last bit of the genuine signature, and write that bundle."""
    found = Bundle.parse(BUNDLE.read_bytes())
    altered = found.signature[:-1] + bytes([found.signature[-1] ^ 1])
    bundle.write_bytes(replace(found, signature=altered).to_bytes())


def respell_signature(change: Callable[[str], str]) -> None:
    """Write the signature's base64 in another way."""
    text = loads(BUNDLE.read_bytes())["dsseEnvelope"]["signatures"][0]["sig"]
    assert change(text) != text
    swap(BUNDLE, text.encode(), change(text).encode())


def write_proof(query: str, name: str = "tea.proof.json") -> Path:
    """Write an honest proof about a record, and return its path."""
    path = Path(name)
    path.write_bytes(prove(MANIFEST, query).proof.to_bytes())
    return path


def self_signed(name: str) -> bytes:
    """Return the DER of a certificate that the stranger has made for themselves."""
    owner = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    secret = load_pem_private_key(stranger().to_pem(), None)
    assert isinstance(secret, ec.EllipticCurvePrivateKey)
    builder = x509.CertificateBuilder(
        issuer_name=owner, subject_name=owner, public_key=secret.public_key(), serial_number=1,
        not_valid_before=datetime(2020, 1, 1, tzinfo=UTC),
        not_valid_after=datetime(2099, 1, 1, tzinfo=UTC),
    )  # fmt: skip
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.RFC822Name(name)]), False)
    return builder.sign(secret, hashes.SHA256()).public_bytes(Encoding.DER)

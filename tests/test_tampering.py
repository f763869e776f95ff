"""Whatever is done to a composition's files, verification rejects it or the result is the same."""

from __future__ import annotations

import json
import random
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import chdir, suppress
from copy import deepcopy
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import teapot
from teapot.allowed_signers import TrustFileError, parse_revoked, parse_trust
from teapot.authenticity import BundleFile, judge_bundles
from teapot.bundle import Bundle, BundleError
from teapot.cli.app import run
from teapot.datafile import measure_data
from teapot.errors import DataError, DigestError, UsageError
from teapot.ledgeraudit import audit_ledger
from teapot.lock import Lock
from teapot.manifestfile import read_manifest
from teapot.model.verification import Verification
from teapot.proof import Proof
from teapot.trust import Trust
from teapot.trustfile import load_trust
from teapot.usecases.prove import prove
from teapot.usecases.signing import KeySigner
from teapot.usecases.verify import VerifyOptions, verified, verify
from tests.support.environment import own_key
from tests.support.project import write_config, write_module

COMPOSITION = Path(__file__).parent / "vectors" / "composition"
DATA, LEDGER = Path("tea.jsonl"), Path("tea.ledger.parquet")
MANIFEST, BUNDLE = Path("tea.manifest.json"), Path("tea.manifest.sigstore.json")
TRUST = Path("teapot.allowed_signers")
EXIT_CODES = {0, 1, 2, 3, 4, 5, 6}
AT = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def composition(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A signed composition in the current folder, whose signer only its own trust file names."""
    folder = tmp_path / "composition"
    shutil.copytree(COMPOSITION, folder)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "nobody"))
    return folder


def verification() -> Verification:
    (found,) = verify(DATA)
    return found


# --- single bits ----------------------------------------------------------------------------------


def flips(data: bytes, *, step: int = 1) -> Iterator[bytes]:
    """Yield the bytes with one bit flipped, a bit by chance at every place (or every few)."""
    chance = random.Random(0)
    for place in range(chance.randrange(step), len(data), step):
        flipped = bytearray(data)
        flipped[place] ^= 1 << chance.randrange(8)
        yield bytes(flipped)


def flips_of_every_bit(data: bytes, first: int, last: int) -> Iterator[bytes]:
    """Yield the bytes with each of the bits flipped that lie outside of some places."""
    for place in [*range(first), *range(last, len(data))]:
        for bit in range(8):
            flipped = bytearray(data)
            flipped[place] ^= 1 << bit
            yield bytes(flipped)


def believed(data: bytes, trust: Trust) -> tuple[bytes, list[str]] | None:
    """Return the payload and the signers' fingerprints that a bundle is believed for, if it is."""
    found = judge_bundles([BundleFile(name=BUNDLE.name, data=data)], trust, at=AT)
    if found.payload is None:
        return None
    return found.payload, [signer.identity for signer in found.signers]


def test_flipped_bit_in_the_bundle_is_rejected_or_changes_nothing(composition: Path) -> None:
    trust, genuine = load_trust(), BUNDLE.read_bytes()
    expected = (MANIFEST.read_bytes(), [own_key().public.fingerprint])
    assert believed(genuine, trust) == expected
    start = genuine.index(b'"payload": "') + 20
    stop = genuine.index(b'"payloadType"') - 20
    survivors = []
    for flipped in [*flips(genuine), *flips_of_every_bit(genuine, start, stop)]:
        found = believed(flipped, trust)
        assert found in (None, expected)
        if found is not None:
            survivors.append(flipped)
    for flipped in survivors:  # they differ in what proves nothing: spaces, and names of the key
        assert without_labels(flipped) == without_labels(genuine)


def without_labels(bundle: bytes) -> Any:
    """Return a bundle's value without what only helps to find a key."""
    value = json.loads(bundle)
    value["dsseEnvelope"]["signatures"][0].pop("keyid", None)
    value["verificationMaterial"]["publicKey"].pop("hint", None)
    return value


def test_flipped_bit_in_the_bundle_is_judged_alike_by_the_whole_verification(
    composition: Path,
) -> None:
    trust, genuine = load_trust(), BUNDLE.read_bytes()
    for flipped in flips(genuine, step=120):
        BUNDLE.write_bytes(flipped)
        assert verification().is_ok == (believed(flipped, trust) is not None)


def test_flipped_bit_in_the_manifest_is_rejected(composition: Path) -> None:
    # The payload is compared with the file before anything else, so no other check is needed.
    genuine = MANIFEST.read_bytes()
    options = VerifyOptions(manifest_only=True)
    for flipped in flips(genuine, step=20):
        MANIFEST.write_bytes(flipped)
        (found,) = verify(DATA, options=options)
        assert found.exit_code == 1
        (payload,) = [result for result in found.results if result.name == "payload"]
        assert payload.status == "fault"


def test_flipped_bit_in_what_is_signed_is_rejected_or_makes_another_statement(
    composition: Path,
) -> None:
    genuine = MANIFEST.read_bytes()
    for flipped in flips(genuine, step=4):
        with suppress(DataError):
            assert read_manifest(flipped, "m").to_dict() != json.loads(genuine)


def test_flipped_bit_in_the_data_is_rejected(composition: Path) -> None:
    genuine, stated = DATA.read_bytes(), measure_data(DATA)
    for number, flipped in enumerate(flips(genuine, step=2)):
        DATA.write_bytes(flipped)
        found = measure_data(DATA)
        assert found.sha256 != stated.sha256
        assert found.fault or found.merkle_root != stated.merkle_root
        if number % 40 == 0:
            assert verification().exit_code == 1


def test_flipped_bit_in_the_ledger_is_rejected_or_leaves_the_same_rows(composition: Path) -> None:
    genuine = LEDGER.read_bytes()
    scratch = Path("claimed")
    expected = audit_ledger(LEDGER, scratch, 14, 15)
    passed = rejected = 0
    for number, flipped in enumerate(flips(genuine, step=5)):
        LEDGER.write_bytes(flipped)
        try:
            is_same = audit_ledger(LEDGER, scratch, 14, 15) == expected
        except DataError:
            is_same = False
        passed, rejected = passed + is_same, rejected + (not is_same)
        if number % 40 == 0:
            assert verification().is_ok == is_same
    assert rejected > passed  # the rest is what Parquet says beside the rows, such as statistics


# --- round trips ----------------------------------------------------------------------------------

TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="<|>"), min_size=1, max_size=20)
SPOKEN = TEXTS.filter(lambda text: text.strip())
PAIRS = st.lists(st.tuples(SPOKEN, SPOKEN), min_size=1, max_size=6)
WEIGHTS = st.sampled_from(["1", "2", "0.5", "1.25", "3"])


@settings(max_examples=25)
@given(st.lists(st.tuples(PAIRS, WEIGHTS), min_size=1, max_size=3), st.integers(0, 2**32 - 1))
def test_whatever_is_composed_and_signed_is_verified(
    modules: list[tuple[list[tuple[str, str]], str]], seed: int
) -> None:
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        weights = {}
        for number, (pairs, weight) in enumerate(modules):
            name = f"t/m{number}"
            rows = [
                {
                    "id": f"{name}-{row}",
                    "conversations": [
                        {"role": "user", "content": asked},
                        {"role": "assistant", "content": answered},
                    ],
                }
                for row, (asked, answered) in enumerate(pairs)
            ]
            write_module(Path(), name, rows, on_bad_row="drop")
            weights[name] = weight
        config = write_config(Path(), weights, training={"seed": seed})
        try:
            made = teapot.compose(config, signer=KeySigner(own_key(), print))
        except DataError as error:
            assert "the mix has no line" in str(error)
            return
        (found,) = verify(made.paths.data)
        assert found.is_ok, [result for result in found.results if result.status == "fault"]
        assert found.manifest_sha256 == made.manifest_sha256
        proven = verified(made.paths.data)
        lines = list(proven.lines())
        assert len(lines) == made.data.records
        assert [signer.identity for signer in proven.signers] == [own_key().public.fingerprint]


def test_data_changed_after_it_was_verified_is_noticed_while_it_is_read(composition: Path) -> None:
    proven = verified(DATA)
    DATA.write_bytes(DATA.read_bytes().replace(b"Question 2", b"Question 9", 1))
    with pytest.raises(DigestError, match="has changed since it was verified"):
        list(proven.lines())


def test_data_replaced_while_it_is_read_is_noticed_at_the_end(composition: Path) -> None:
    lines = verified(DATA).lines()
    next(lines)
    with DATA.open("ab") as file:
        file.write(b'{"messages":[]}\n')
    with pytest.raises(DigestError, match="has changed since it was verified"):
        list(lines)


# --- bounded fuzz ---------------------------------------------------------------------------------

SCALARS = (
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=20)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
ODD = VALUES | st.sampled_from(
    ["", "../x", "\0", "a\ud800", "1e999", 10**400, -1, [[]], {}, 0.1, "0" * 64, "tea.jsonl\n"]
)


def places(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yield the path of everything in a JSON value but of the value itself."""
    if isinstance(value, dict):
        inner: list[tuple[str | int, Any]] = list(value.items())
    else:
        inner = list(enumerate(value)) if isinstance(value, list) else []
    for key, item in inner:
        yield (*path, key)
        yield from places(item, (*path, key))


@st.composite
def mutated(draw: st.DrawFn, value: Any) -> bytes:
    """Return a JSON value as text in which some parts were replaced, removed, doubled or added."""
    value = json.loads(json.dumps(value))
    for _ in range(draw(st.integers(1, 3))):
        found = list(places(value))
        if not found:
            break
        *above, key = draw(st.sampled_from(found))
        parent = value
        for part in above:
            parent = parent[part]
        match draw(st.sampled_from(["replace", "remove", "double", "add"])):
            case "replace":
                parent[key] = deepcopy(draw(ODD))
            case "remove":
                del parent[key]
            case "double":
                other = draw(st.text(max_size=5))
                if isinstance(parent, dict):
                    parent[other] = deepcopy(parent[key])
                else:
                    parent.append(deepcopy(parent[key]))
            case _ if isinstance(parent, dict):
                parent[draw(st.text(max_size=5))] = deepcopy(draw(ODD))
            case _:
                parent.append(deepcopy(draw(ODD)))
    indent = draw(st.sampled_from([None, 2]))
    return json.dumps(value, indent=indent, sort_keys=True).encode("utf-8") + b"\n"


def parts_of(file: Path) -> Any:
    return json.loads((COMPOSITION / file).read_bytes())


def genuine_proof() -> Any:
    trust = COMPOSITION / TRUST
    made = prove(COMPOSITION / MANIFEST, "3", VerifyOptions(trust=trust))
    return json.loads(made.proof.to_bytes())


MANIFESTS = mutated(parts_of(MANIFEST)) | st.binary(max_size=200)
BUNDLES = mutated(parts_of(BUNDLE)) | st.binary(max_size=200)
LOCK = {
    "format": "teapot/lock/v1", "teapot": "0.1.0",
    "sources": {"a b": {"kind": "jsonl", "revision": None, "rows": 1, "sha256": "0", "uri": "x"}},
}  # fmt: skip


@given(MANIFESTS)
def test_any_bytes_are_a_manifest_or_refused_in_words(data: bytes) -> None:
    with suppress(DataError):
        read, told = json.loads(read_manifest(data, "m").to_bytes()), json.loads(data)
        for value in (told, read):  # what the recipe is stated to hash to is a check of its own
            del value["predicate"]["buildDefinition"]["externalParameters"]["recipe_sha256"]
        assert read == told


@given(BUNDLES)
def test_any_bytes_are_a_bundle_or_refused_in_words(data: bytes) -> None:
    with suppress(BundleError):
        bundle = Bundle.parse(data)
        assert isinstance(bundle.payload, bytes) and isinstance(bundle.signature, bytes)


@given(st.data())
def test_any_bytes_are_a_proof_or_refused_in_words(data: st.DataObject) -> None:
    drawn = data.draw(mutated(genuine_proof()) | st.binary(max_size=200))
    manifest = read_manifest((COMPOSITION / MANIFEST).read_bytes(), "m")
    with suppress(DataError):
        for fault in Proof.parse(drawn, "p").faults(manifest):
            assert fault


WORDS = st.sampled_from(
    [
        "alice", '"al ice"', "#sigstore", "#timestamp-authority", 'namespaces="teapot"',
        "namespaces=", 'valid-before="20260101Z"', 'valid-after="99999999"', "cert-authority",
        own_key().public.ssh, "ecdsa-sha2-nistp256", "ssh-ed25519", "AAAA", '"', "\\", "\0", "\r",
        "é", 'identity="a"', 'issuer="b"', 'certificate="c"', "=", ",",
    ]
)  # fmt: skip
LINES = st.lists(WORDS | st.text(max_size=10), max_size=6).map(" ".join)


@given(st.lists(LINES, max_size=4).map("\n".join))
def test_any_text_is_a_trust_file_or_refused_with_its_lines(text: str) -> None:
    for parse in (parse_trust, parse_revoked):
        try:
            parse(text, "t")
        except TrustFileError as error:
            assert error.problems
            assert all(problem.where.startswith("t:") for problem in error.problems)


@given(mutated(LOCK) | st.binary(max_size=200))
def test_any_bytes_are_a_lock_or_refused_in_words(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "teapot.lock")
        path.write_bytes(data)
        with suppress(UsageError):
            lock = Lock.read(path)
            assert isinstance(lock.pins, dict)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
@pytest.mark.parametrize(
    ("file", "arguments"),
    [
        (MANIFEST, ["verify", "tea.jsonl", "--allow-unsigned"]),
        (BUNDLE, ["verify", "tea.jsonl"]),
        (BUNDLE, ["prove", "tea.manifest.json", "3", "-o", "-"]),
        (MANIFEST, ["sign", "tea.manifest.json"]),
    ],
    ids=["manifest-verify", "bundle-verify", "bundle-prove", "manifest-sign"],
)
def test_hostile_files_end_every_command_with_a_documented_exit_code(
    composition: Path, file: Path, arguments: list[str], data: st.DataObject
) -> None:
    for path in COMPOSITION.iterdir():
        shutil.copy(path, composition)
    for path in set(composition.iterdir()) - {composition / p.name for p in COMPOSITION.iterdir()}:
        path.unlink()
    content = data.draw(MANIFESTS if file == MANIFEST else BUNDLES)
    file.write_bytes(content)
    if file == MANIFEST and data.draw(st.booleans()):
        BUNDLE.write_bytes(Bundle.sign(content, own_key()).to_bytes())  # as a careless signer would
    elif file == MANIFEST:
        BUNDLE.unlink()
    assert run(arguments) in EXIT_CODES


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_hostile_proof_ends_with_a_documented_exit_code(
    composition: Path, data: st.DataObject
) -> None:
    Path("x.proof.json").write_bytes(data.draw(mutated(genuine_proof()) | st.binary(max_size=200)))
    assert run(["verify", "x.proof.json"]) in EXIT_CODES

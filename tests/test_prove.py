"""Proofs: what is in a composition can be proven, what is not cannot, and nobody can lie."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import jsonschema
import pyarrow as arrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

import teapot
from teapot import VerifyOptions, contents
from teapot.allowed_signers import NAMESPACE, TrustedKey
from teapot.canonical import dumps
from teapot.errors import DataError, TeapotError, UnsignedError, UntrustedError, UsageError
from teapot.files import OutputPaths
from teapot.ledger import LEDGER, read_ledger
from teapot.merkle import PathBuilder
from teapot.model.manifest import Manifest
from teapot.model.verification import Status
from teapot.proof import Leaf, Proof
from teapot.schemas import schema_text
from teapot.usecases.prove import Proven
from tests.support.compositions import compose, make, manifest_of, sign_again
from tests.support.environment import own_key
from tests.support.keys import key
from tests.support.project import chat_row, chat_rows, write_config, write_module

PAGE = 3


@pytest.fixture(scope="module", autouse=True)
def small_pages() -> Iterator[None]:
    """Let a few contents fill several pages."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(contents, "PAGE_DIGESTS", PAGE)
        yield


@pytest.fixture(scope="module")
def master(tmp_path_factory: pytest.TempPathFactory) -> teapot.Composition:
    """The composition that tests read, or get copies of."""
    return make(tmp_path_factory.mktemp("master"))


@pytest.fixture
def made(
    master: teapot.Composition, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> teapot.Composition:
    """A composition in the working folder, without its config and sources."""
    monkeypatch.chdir(tmp_path)
    paths = master.paths
    for path in (paths.data, paths.ledger, paths.manifest, paths.bundle):
        shutil.copy(path, tmp_path)
    return dataclasses.replace(master, paths=OutputPaths(Path("mix.jsonl")))


@pytest.fixture(scope="module")
def manifest(master: teapot.Composition) -> Manifest:
    return manifest_of(master)


@pytest.fixture(scope="module")
def fifth(master: teapot.Composition) -> Proof:
    """The proof that the fifth line is there."""
    digests = [sha256(line).digest() for line in lines_of(master)]
    builder = PathBuilder(4, len(digests))
    builder.extend(digests)
    leaf = Leaf(index=4, digests=(digests[4],), path=builder.path())
    bundles = (master.paths.bundle.read_bytes(),)
    return Proof(kind="inclusion", digest=digests[4], leaves=(leaf,), bundles=bundles)


def prove(made: teapot.Composition, query: str | Path, **options: Any) -> Proven:
    return teapot.prove(made.paths.manifest, str(query), **options)


def written(proven: Proven, folder: Path = Path()) -> Path:
    path = folder / "x.proof.json"
    path.write_bytes(proven.proof.to_bytes())
    return path


def lines_of(made: teapot.Composition) -> list[bytes]:
    return made.paths.data.read_bytes().splitlines()


def kept_rows(made: teapot.Composition) -> list[dict[str, Any]]:
    return [row for batch in read_ledger(made.paths.ledger) for row in batch if row["lines"]]


def wrong(found: teapot.Verification) -> dict[str, Status]:
    fine = (Status.OK, Status.NOTE, Status.SKIPPED)
    return {result.name: result.status for result in found.results if result.status not in fine}


# Inclusion.


def test_every_line_can_be_proven(master: teapot.Composition, manifest: Manifest) -> None:
    for number, line in enumerate(lines_of(master), start=1):
        proven = prove(master, str(number))
        assert list(proven.proof.faults(manifest)) == []
        assert proven.proof.digest == sha256(line).digest()
        assert (proven.proof.kind, proven.proof.leaves[0].index) == ("inclusion", number - 1)
        assert proven.name == f"mix.line-{number}"


@settings(max_examples=8)
@given(count=st.integers(1, 40), data=st.data())
def test_any_line_of_a_mix_of_any_size_can_be_proven(
    count: int, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("mix")
    write_module(folder, "t/a", chat_rows("a", count))
    made = compose(write_config(folder, {"t/a": 1}))
    line = data.draw(st.integers(1, count))
    (found,) = [teapot.verify_proof(written(prove(made, str(line)), folder))]
    assert found.is_ok
    absent = prove(made, sha256(b"%d" % line).hexdigest(), absent=True)
    assert teapot.verify_proof(written(absent, folder)).is_ok


def test_a_record_is_found_by_id_and_by_its_digests(master: teapot.Composition) -> None:
    for row in kept_rows(master):
        if len(row["lines"]) > 1:
            continue
        assert prove(master, row["record_digest"]).proof == prove(master, row["id"]).proof
        assert prove(master, row["id"]).proof.leaves[0].index == row["lines"][0] - 1


@pytest.mark.parametrize(
    "form",
    [
        lambda line: line,
        lambda line: line + b"\n",
        lambda line: json.dumps(json.loads(line), indent=2).encode(),
        lambda line: json.dumps(dict(reversed(json.loads(line).items()))).encode() + b"\n",
    ],
    ids=["line", "line with LF", "pretty-printed", "other order of keys"],
)
def test_a_record_is_found_by_a_file_that_holds_it(
    form: Callable[[bytes], bytes], made: teapot.Composition
) -> None:
    Path("record.json").write_bytes(form(lines_of(made)[6]))
    proven = prove(made, "record.json")
    assert proven.proof.digest == sha256(lines_of(made)[6]).digest()
    assert teapot.verify_proof(written(proven), Path("record.json")).is_ok


def test_a_record_that_is_not_there_is_refused(made: teapot.Composition) -> None:
    record = json.loads(lines_of(made)[0])
    Path("record.json").write_bytes(dumps({**record, "id": "another"}))
    with pytest.raises(DataError, match="is on no line of the data file, byte for byte"):
        prove(made, "record.json")
    for query in ("0", "28", "-1", "none", "0" * 64, "", "9" * 5000, "x" * 5000, "a\0b", "²"):
        with pytest.raises(UsageError, match="is no line \\(1 to 27\\), no id or digest"):
            prove(made, query)


def test_an_id_on_several_lines_names_them(made: teapot.Composition) -> None:
    (row,) = [row for row in kept_rows(made) if row["id"] == "b-1"]
    first, second = sorted(row["lines"])[:2]
    with pytest.raises(UsageError, match="is on several lines") as caught:
        prove(made, "b-1")
    assert str(first) in str(caught.value) and str(second) in str(caught.value)


def test_a_long_id_is_found(tmp_path: Path) -> None:
    write_module(tmp_path, "t/a", [*chat_rows("a", 3), chat_row("x" * 3000, "Why?")])
    made = compose(write_config(tmp_path, {"t/a": 1}))
    assert b"xxxxxxxx" in lines_of(made)[prove(made, "x" * 3000).proof.leaves[0].index]


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b'{"a": 1e999}', b'{"a": %b}' % (b"9" * 30)])
def test_a_file_that_holds_no_record_is_refused(data: bytes, made: teapot.Composition) -> None:
    Path("record.json").write_bytes(data)
    for absent in (False, True):
        with pytest.raises(DataError):
            prove(made, "record.json", absent=absent)


# Absence.


@settings(max_examples=20)
@given(content=st.binary(min_size=32, max_size=32) | st.sampled_from([bytes(32), b"\xff" * 32]))
def test_any_content_that_is_not_there_can_be_proven_absent(
    content: bytes, master: teapot.Composition, manifest: Manifest
) -> None:
    proof = prove(master, content.hex(), absent=True).proof
    assert list(proof.faults(manifest)) == []
    assert (proof.kind, proof.digest) == ("absence", content)
    if content in (bytes(32), b"\xff" * 32):
        assert len(proof.leaves) == 1


def test_contents_beside_those_that_are_there_can_be_proven_absent(
    master: teapot.Composition, manifest: Manifest
) -> None:
    there = sorted({row["content_digest"] for row in kept_rows(master)})
    seen = set()
    for content in there:
        for step in (-1, 1):
            beside = (int(content, 16) + step).to_bytes(32)
            proof = prove(master, beside.hex(), absent=True).proof
            assert list(proof.faults(manifest)) == []
            seen.add(tuple(leaf.index for leaf in proof.leaves))
    pages = -(-len(there) // PAGE)
    assert seen == {(n,) for n in range(pages)} | {(n, n + 1) for n in range(pages - 1)}


def test_no_content_that_is_there_can_be_proven_absent(master: teapot.Composition) -> None:
    for row in kept_rows(master):
        with pytest.raises(DataError, match="is in the data file; leave out --absent to prove it"):
            prove(master, row["content_digest"], absent=True)


def test_a_row_that_was_not_drawn_can_be_proven_absent(made: teapot.Composition) -> None:
    rows = [row for batch in read_ledger(made.paths.ledger) for row in batch]
    left_out = [row for row in rows if row["reason"] == "not-drawn"]
    assert left_out
    for row in left_out:
        number = row["id"].removeprefix("a-")
        Path("row.json").write_text(json.dumps(chat_row("any id", f"Question {number} of a?")))
        proven = prove(made, "row.json", absent=True)
        assert proven.proof.digest.hex() == row["content_digest"]
        assert teapot.verify_proof(written(proven), Path("row.json")).is_ok


def test_a_record_that_is_there_is_not_absent_under_another_id(made: teapot.Composition) -> None:
    Path("row.json").write_text(json.dumps(chat_row("another id", "Question 1 of c?")))
    with pytest.raises(DataError, match="is in the data file"):
        prove(made, "row.json", absent=True)
    Path("line.json").write_bytes(lines_of(made)[0])
    with pytest.raises(DataError, match="is in the data file"):
        prove(made, "line.json", absent=True)


def test_absence_is_proven_where_whole_batches_of_the_ledger_were_dropped(
    master: teapot.Composition, manifest: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("teapot.ledgerqueries._BATCH_ROWS", 1)
    monkeypatch.setattr("teapot.ledgeraudit.BATCH_ROWS", 1)
    assert list(prove(master, "77" * 32, absent=True).proof.faults(manifest)) == []


@pytest.mark.parametrize("query", ["1", "mix", "0" * 63, "0" * 65, "zz" * 32, "", "x" * 5000])
def test_what_is_no_content_is_refused(query: str, made: teapot.Composition) -> None:
    with pytest.raises(UsageError, match="is no file that holds a chat record, and no content"):
        prove(made, query, absent=True)


def test_a_row_that_no_data_file_could_hold_is_refused(made: teapot.Composition) -> None:
    Path("row.json").write_text(json.dumps(chat_row("x", "Why?", "<think>It is")))
    with pytest.raises(DataError, match="could be in no data file: "):
        prove(made, "row.json", absent=True)


# From what proofs are made.


def test_files_that_are_not_the_manifests_prove_nothing(made: teapot.Composition) -> None:
    data = made.paths.data.read_bytes()
    made.paths.data.write_bytes(data + b"{}\n")
    for query in ("1", "a-1"):
        with pytest.raises(DataError, match="is not what its manifest states"):
            prove(made, query)
    made.paths.data.write_bytes(data)
    rows = parquet.read_table(made.paths.ledger).to_pylist()
    kept = [row for row in rows if len(row["lines"]) == 1]
    kept[0]["id"], kept[1]["id"] = kept[1]["id"], kept[0]["id"]
    parquet.write_table(arrow.Table.from_pylist(rows, LEDGER), made.paths.ledger)
    assert prove(made, "1").proof.kind == "inclusion"
    for query, absent in ((kept[0]["id"], False), ("00" * 32, True)):
        with pytest.raises(DataError, match="is not what its manifest states"):
            prove(made, query, absent=absent)
    made.paths.ledger.unlink()
    with pytest.raises(DataError, match="No such file"):
        prove(made, "00" * 32, absent=True)


def test_only_what_is_believed_is_proven_from(made: teapot.Composition) -> None:
    sign_again(made, key(77))
    with pytest.raises(UntrustedError):
        prove(made, "1")
    made.paths.bundle.unlink()
    with pytest.raises(UnsignedError):
        prove(made, "1")
    proof = prove(made, "1", options=VerifyOptions(allow_unsigned=True)).proof
    assert (proof.bundles, proof.manifest) == ((), made.paths.manifest.read_bytes())


def test_sources_that_have_changed_since_are_no_hindrance(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    made = make(Path())
    Path("modules/t/t-a.jsonl").write_bytes(b"")
    assert wrong(teapot.verify(made.paths.data)[0]) == {"source t-a": Status.FAULT}
    assert prove(made, "1").proof.kind == "inclusion"


# Verifying proofs.


def test_a_proof_needs_nothing_but_itself_and_a_trust_file(
    master: teapot.Composition, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "nobody"))
    entry = TrustedKey(principals="p", key=own_key().public, where="", namespaces=NAMESPACE)
    trust = tmp_path / "trusted"
    trust.write_text(f"{entry.to_line()}\n")
    options = VerifyOptions(trust=trust)
    for query, absent in (("3", False), ("00" * 32, True)):
        proven = teapot.prove(master.paths.manifest, query, options, absent=absent)
        found = teapot.verify_proof(written(proven), options=options)
        assert found.is_ok
        names = [result.name for result in found.results]
        assert names == ["signature", "schema", "sums", "path", "record"]
        assert found.manifest_sha256 == master.manifest_sha256
        assert teapot.verify_proof(written(proven)).exit_code == 5
    assert sorted(path.name for path in tmp_path.iterdir()) == ["trusted", "x.proof.json"]


def test_a_proof_about_another_record_is_a_fault(made: teapot.Composition) -> None:
    first, *others = lines_of(made)
    Path("record.json").write_bytes(next(line for line in others if line != first))
    proof = written(prove(made, "1"))
    found = teapot.verify_proof(proof, Path("record.json"))
    assert (wrong(found), found.exit_code) == ({"record": Status.FAULT}, 1)
    Path("row.json").write_text(json.dumps(chat_row("x", "Anything?")))
    proof = written(prove(made, "00" * 32, absent=True))
    found = teapot.verify_proof(proof, Path("row.json"))
    assert wrong(found) == {"record": Status.FAULT}


def test_an_unsigned_proof_is_believed_where_that_is_allowed_or_its_manifest_pinned(
    made: teapot.Composition,
) -> None:
    made.paths.bundle.unlink()
    proof = written(prove(made, "1", options=VerifyOptions(allow_unsigned=True)))
    found = teapot.verify_proof(proof)
    assert (wrong(found), found.exit_code) == ({"signature": Status.UNSIGNED}, 4)
    assert [result.name for result in found.results] == ["signature", "contents"]
    assert teapot.verify_proof(proof, options=VerifyOptions(allow_unsigned=True)).is_ok
    pinned = VerifyOptions(expect=made.manifest_sha256)
    assert wrong(teapot.verify_proof(proof, options=pinned)) == {"signature": Status.UNSIGNED}
    other = VerifyOptions(expect="0" * 64, allow_unsigned=True)
    assert wrong(teapot.verify_proof(proof, options=other)) == {"expect": Status.FAULT}


def test_a_pinned_manifest_of_a_signed_proof_is_compared(made: teapot.Composition) -> None:
    proof = written(prove(made, "1"))
    good = VerifyOptions(expect=made.manifest_sha256)
    assert teapot.verify_proof(proof, options=good).is_ok
    other = teapot.verify_proof(proof, options=VerifyOptions(expect="0" * 64))
    assert wrong(other) == {"expect": Status.FAULT}
    assert other.results[-1].status == Status.SKIPPED


def _altered(value: Any, *path: str | int, to: Any) -> None:
    for part in path[:-1]:
        value = value[part]
    assert value[path[-1]] != to
    value[path[-1]] = to


@pytest.mark.parametrize(
    "change",
    [
        lambda v: _altered(v, "digest", to="0" * 64),
        lambda v: _altered(v, "leaves", 0, "digests", 0, to="0" * 64),
        lambda v: (v.update(digest="0" * 64), _altered(v, "leaves", 0, "digests", 0, to="0" * 64)),
        lambda v: v["leaves"][0]["digests"].append("0" * 64),
        lambda v: _altered(v, "leaves", 0, "index", to=3),
        lambda v: _altered(v, "leaves", 0, "index", to=2**70),
        lambda v: _altered(v, "leaves", 0, "index", to=10**4000),
        lambda v: _altered(v, "leaves", 0, "path", 0, to="0" * 64),
        lambda v: v["leaves"][0]["path"].pop(),
        lambda v: v["leaves"][0]["path"].append("0" * 64),
        lambda v: v["leaves"][0]["path"].reverse(),
        lambda v: v["leaves"].clear(),
        lambda v: v["leaves"].append(v["leaves"][0]),
        lambda v: v.update(kind="absence"),
    ],
)
def test_an_altered_proof_proves_nothing(
    change: Callable[[Any], object], made: teapot.Composition
) -> None:
    path = written(prove(made, "2"))
    value = json.loads(path.read_bytes())
    change(value)
    path.write_text(json.dumps(value))
    found = teapot.verify_proof(path)
    assert (wrong(found), found.exit_code) == ({"path": Status.FAULT}, 1)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ({}, "is missing"),
        ([], "expected a mapping"),
        (None, "expected a mapping"),
        ({"more": 1}, "no such key"),
        ({"kind": "both"}, "both"),
        ({"digest": "0" * 63}, "digest"),
        ({"bundles": [{"a": 10**30}]}, "has a bundle that is none: the integer"),
        ({"bundles": [{"a": float("inf")}]}, "is not strict JSON"),
        ({"leaves": [{"index": -1, "digests": ["0" * 64], "path": []}]}, "a number not below 0"),
        ({"leaves": [{"index": 0, "digests": ["0" * 64], "path": ["0" * 64] * 65}]}, "path"),
        ({"leaves": [{"index": 0, "digests": [], "path": []}]}, "the list is empty"),
    ],
)
def test_what_is_no_proof_is_a_fault_in_words(
    value: Any, told: str, made: teapot.Composition
) -> None:
    path = written(prove(made, "2"))
    if isinstance(value, dict) and value:
        value = {**json.loads(path.read_bytes()), **value}
    path.write_text(json.dumps(value))
    found = teapot.verify_proof(path)
    assert (wrong(found), found.exit_code) == ({"proof": Status.FAULT}, 1)
    assert any(told in line for line in found.results[0].details)


@pytest.mark.parametrize("data", [b"", b"{", b"[" * 100_000, b"\xff", b'{"a": 1, "a": 1}'])
def test_a_proof_that_is_no_json_is_a_fault(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.proof.json"
    path.write_bytes(data)
    found = teapot.verify_proof(path)
    assert wrong(found) == {"proof": Status.FAULT}
    assert "is not strict JSON" in found.results[0].details[0]


def test_a_bundle_of_deep_nesting_in_a_proof_is_a_fault(made: teapot.Composition) -> None:
    path = written(prove(made, "2"))
    value = json.loads(path.read_bytes())
    value["bundles"] = ["DEEP"]
    deep = b'{"a":' * 150 + b"1" + b"}" * 150
    path.write_bytes(json.dumps(value).encode().replace(b'"DEEP"', deep))
    assert wrong(teapot.verify_proof(path)) == {"proof": Status.FAULT}


def test_a_missing_proof_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        teapot.verify_proof(tmp_path / "x.proof.json")


def test_a_proof_for_another_composition_proves_nothing(
    made: teapot.Composition, tmp_path: Path
) -> None:
    other = make(tmp_path / "other", training={"seed": 7})
    proof = dataclasses.replace(
        prove(made, "2").proof, bundles=(other.paths.bundle.read_bytes(),)
    )  # fmt: skip
    path = tmp_path / "x.proof.json"
    path.write_bytes(proof.to_bytes())
    assert wrong(teapot.verify_proof(path)) == {"path": Status.FAULT}


def _pages(master: teapot.Composition) -> list[Leaf]:
    """Return every page of the tree over the contents, each with its true path."""
    leaves: dict[int, Leaf] = {}
    for row in kept_rows(master):
        beside = (int(row["content_digest"], 16) + 1).to_bytes(32).hex()
        for leaf in prove(master, beside, absent=True).proof.leaves:
            leaves[leaf.index] = leaf
    return [leaves[index] for index in range(len(leaves))]


def test_pages_that_do_not_hold_the_place_prove_no_absence(
    master: teapot.Composition, manifest: Manifest
) -> None:
    leaves = _pages(master)
    assert sum(len(leaf.digests) for leaf in leaves) == manifest.data.contents
    assert len(leaves) >= 5

    def after(digest: bytes) -> bytes:
        return (int.from_bytes(digest) + 1).to_bytes(32)

    def faults(digest: bytes, *chosen: Leaf) -> list[str]:
        proof = Proof(kind="absence", digest=digest, leaves=chosen, bundles=())
        return list(proof.faults(manifest))

    there, within = leaves[2].digests[1], after(leaves[2].digests[1])
    between, last = after(leaves[2].digests[-1]), after(leaves[-1].digests[-1])
    first = (int.from_bytes(leaves[0].digests[0]) - 1).to_bytes(32)
    assert faults(within, leaves[2]) == faults(between, leaves[2], leaves[3]) == []
    assert faults(first, leaves[0]) == faults(last, leaves[-1]) == []
    assert (
        faults(there, leaves[2]) == faults(there, leaves[2], leaves[3]) == ["the content is there"]
    )
    for digest, chosen in (
        (there, (leaves[1],)),
        (there, (leaves[1], leaves[3])),
        (between, (leaves[3], leaves[2])),
        (between, (leaves[2],)),
        (between, (leaves[3],)),
        (between, (leaves[2], leaves[2])),
        (within, (leaves[0], leaves[1])),
        (within, ()),
        (last, (leaves[0],)),
        (first, (leaves[-1],)),
        (there, (leaves[-1], leaves[0])),
    ):
        assert faults(digest, *chosen) == [
            "the pages are not those in which the content would stand"
        ]


def test_a_page_that_is_not_of_the_tree_proves_nothing(
    master: teapot.Composition, manifest: Manifest
) -> None:
    leaves = _pages(master)
    page, there = leaves[2], leaves[2].digests[1]

    def faults(**changes: Any) -> list[str]:
        leaf = dataclasses.replace(page, **changes)
        proof = Proof(kind="absence", digest=there, leaves=(leaf,), bundles=())
        return list(proof.faults(manifest))

    without = (page.digests[0], page.digests[2])
    assert "leads to the root" in faults(digests=without)[0]
    assert faults(digests=without)[1] == "page 2 has 2 digests, which no such page has"
    assert "the digests of a page are not in order, each once" in faults(
        digests=(page.digests[2], page.digests[0], page.digests[0])
    )
    assert faults(index=len(leaves))[0].startswith("no leaf ")


@settings(max_examples=40)
@given(index=st.integers(-3, 40), other=st.integers(0, 26))
def test_no_leaf_stands_for_another_line(
    index: int, other: int, fifth: Proof, master: teapot.Composition, manifest: Manifest
) -> None:
    (leaf,) = fifth.leaves
    lines = [sha256(line).digest() for line in lines_of(master)]
    moved = dataclasses.replace(fifth, leaves=(dataclasses.replace(leaf, index=index),))
    assert (not list(moved.faults(manifest))) == (index == 4)
    digest = lines[other]
    told = dataclasses.replace(
        fifth, digest=digest, leaves=(dataclasses.replace(leaf, digests=(digest,)),)
    )
    assert (not list(told.faults(manifest))) == (digest == lines[4])


# The file.


def test_a_proof_fits_its_schema_and_comes_back(master: teapot.Composition) -> None:
    validator = jsonschema.Draft202012Validator(json.loads(schema_text("proof")))
    for query, absent in (("1", False), ("00" * 32, True), ("77" * 32, True)):
        proof = prove(master, query, absent=absent).proof
        value = json.loads(proof.to_bytes())
        validator.validate(value)
        parsed = Proof.parse(proof.to_bytes(), "x.proof.json")
        assert parsed.to_bytes() == proof.to_bytes()
        assert (parsed.digest, parsed.leaves) == (proof.digest, proof.leaves)


@pytest.mark.parametrize(
    ("made_of", "path", "others"), [(Proof, (), {"format"}), (Leaf, ("leaves",), set())]
)
def test_a_value_has_exactly_the_fields_of_its_schema(
    made_of: Any, path: tuple[str, ...], others: set[str]
) -> None:
    schema: dict[str, Any] = json.loads(schema_text("proof"))
    for part in path:
        schema = schema["properties"][part]["items"]
    fields = {field.name for field in dataclasses.fields(made_of)}
    assert fields | others == set(schema["properties"]) == set(schema["required"])


@settings(max_examples=30)
@given(place=st.integers(0, 2**20), bit=st.integers(0, 7))
def test_a_flipped_bit_never_proves_something_else(
    place: int, bit: int, fifth: Proof, tmp_path_factory: pytest.TempPathFactory
) -> None:
    altered = bytearray(fifth.to_bytes())
    altered[place % len(altered)] ^= 1 << bit
    path = tmp_path_factory.mktemp("proof") / "x.proof.json"
    path.write_bytes(altered)
    try:
        found = teapot.verify_proof(path)
    except TeapotError as error:
        pytest.fail(f"a proof is judged, not refused: {error}")
    if found.is_ok:
        parsed = Proof.parse(bytes(altered), "x")
        assert (parsed.kind, parsed.digest, parsed.leaves) == (
            fifth.kind, fifth.digest, fifth.leaves
        )  # fmt: skip

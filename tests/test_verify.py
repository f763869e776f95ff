"""Verifying a composition: what is checked, in which order, and what each fault is called."""

from __future__ import annotations

import copy
import dataclasses
import json
import shutil
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as arrow
import pytest
from pyarrow import parquet

import teapot
from teapot import MixOptions, Verification, Verified, VerifyOptions
from teapot.allowed_signers import NAMESPACE, TrustedKey
from teapot.bundle import Bundle
from teapot.digest import sha256_hex
from teapot.errors import DataError, DigestError, UnsignedError, UntrustedError, UsageError
from teapot.files import OutputPaths
from teapot.ledger import LEDGER
from teapot.model.verification import Status
from tests.support.compositions import (
    UNCLOSED,
    compose,
    make,
    restate,
    sign_again,
    write_project,
)
from tests.support.keys import key
from tests.support.project import chat_row, chat_rows, jsonl, write_config, write_module

ALL = [
    "signature", "payload", "schema", "sums", "data", "merkle", "ledger", "conservation",
    "contents", "lines", "recipe", "source t-a", "source t-b", "source t-c",
]  # fmt: skip
STRANGER = key(77)


@pytest.fixture(scope="module")
def master(tmp_path_factory: pytest.TempPathFactory) -> teapot.Composition:
    """The composition that tests get copies of."""
    return make(tmp_path_factory.mktemp("master"))


@pytest.fixture
def made(
    master: teapot.Composition, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> teapot.Composition:
    """A signed composition in the working folder, with its config, modules and sources."""
    shutil.copytree(master.paths.data.parent, tmp_path / "project")
    monkeypatch.chdir(tmp_path / "project")
    return dataclasses.replace(master, paths=OutputPaths(Path("mix.jsonl")))


@pytest.fixture
def unsigned(made: teapot.Composition) -> teapot.Composition:
    """The same, which nobody has signed."""
    made.paths.bundle.unlink()
    return made


def verify(made: teapot.Composition, **options: Any) -> Verification:
    (found,) = teapot.verify(made.paths.manifest, options=VerifyOptions(**options))
    return found


def names(found: Verification) -> list[str]:
    return [result.name for result in found.results]


def wrong(found: Verification) -> dict[str, Status]:
    """Return the checks that do not hold."""
    fine = (Status.OK, Status.NOTE, Status.SKIPPED)
    return {result.name: result.status for result in found.results if result.status not in fine}


def details(found: Verification, name: str) -> list[str]:
    return [told for one in found.results if one.name == name for told in one.details]


def one_result(found: Verification, name: str) -> Any:
    (result,) = [result for result in found.results if result.name == name]
    return result


def trust_file(folder: Path, *keys: int) -> Path:
    path = folder / "trusted"
    lines = [
        TrustedKey(
            principals=f"p{n}", key=key(n).public, where="", namespaces=NAMESPACE
        ).to_line()
        for n in keys
    ]  # fmt: skip
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def edit_lines(made: teapot.Composition, change: Callable[[list[bytes]], object]) -> None:
    lines = made.paths.data.read_bytes().splitlines(keepends=True)
    change(lines)
    made.paths.data.write_bytes(b"".join(lines))


def edit_ledger(made: teapot.Composition, change: Callable[[list[dict[str, Any]]], object]) -> None:
    rows = parquet.read_table(made.paths.ledger).to_pylist()
    change(rows)
    parquet.write_table(arrow.Table.from_pylist(rows, LEDGER), made.paths.ledger)


# What holds.


def test_every_claim_of_a_good_composition_is_checked_in_order(made: teapot.Composition) -> None:
    found = verify(made)
    assert names(found) == ALL
    assert {result.status for result in found.results} == {Status.OK}
    assert (found.exit_code, found.is_ok) == (0, True)
    assert found.manifest_sha256 == made.manifest_sha256
    assert all(result.expected and result.found for result in found.results)


@pytest.mark.parametrize(
    "config",
    [{"duplicates": "drop"}, {"training": {"seed": 7}}, {"training": {"strip_think": True}}],
    ids=str,
)
def test_mixes_of_other_policies_hold(config: dict[str, Any], tmp_path: Path) -> None:
    made = make(tmp_path, **config)
    assert wrong(verify(made)) == {}


def test_a_mix_that_only_a_tiny_fraction_adds_to_holds(tmp_path: Path) -> None:
    write_module(tmp_path, "t/a", chat_rows("a", 3))
    made = compose(write_config(tmp_path, {"t/a": "1.0000001"}))
    write_module(tmp_path, "t/b", chat_rows("b", 3))
    assert wrong(verify(made)) == {}
    made = compose(write_config(tmp_path, {"t/a": 1, "t/b": "0.0000001"}))
    assert wrong(verify(made)) == {}


def test_a_composition_holds_elsewhere_with_nothing_but_its_files(
    made: teapot.Composition, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "else").mkdir()
    for path in (made.paths.data, made.paths.ledger, made.paths.manifest, made.paths.bundle):
        shutil.copy(path, tmp_path / "else")
    monkeypatch.chdir(tmp_path / "else")
    (found,) = teapot.verify("mix.jsonl")
    assert found.is_ok
    assert names(found) == [*ALL[:11], "sources"]
    sources = one_result(found, "sources")
    assert sources.status == Status.SKIPPED
    assert "no module file here says where they lie (--modules): t/a t-a, t/b" in sources.compared


def test_verifying_changes_no_file(made: teapot.Composition) -> None:
    before = {path: path.stat() for path in Path().rglob("*")}
    assert verify(made, rebuild=True).is_ok
    after = {path: path.stat() for path in Path().rglob("*")}
    assert before.keys() == after.keys()
    assert all(before[path].st_mtime_ns == after[path].st_mtime_ns for path in before)


# Data and ledger.


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda lines: lines.__setitem__(4, b"{}\n"), "line 5 was altered: "),
        (lambda lines: lines.pop(4), "line 5 as composed is missing: "),
        (lambda lines: lines.insert(4, b"{}\n"), "line 5 was added: no row of the ledger is on it"),
        (lambda lines: lines.insert(9, lines.pop(4)), "line 10 was moved: it is line 5 as"),
        (lambda lines: lines.append(b"{}"), "line 28 has no LF at its end: the file was cut"),
        (lambda lines: lines.append(b"{}\n"), "line 28 was added: no row of the ledger is on it"),
        (lambda lines: lines.pop(), "line 27 as composed is missing: "),
    ],
)
def test_changed_lines_are_named_with_where_they_came_from(
    change: Callable[[list[bytes]], object], told: str, made: teapot.Composition
) -> None:
    edit_lines(made, change)
    found = verify(made)
    assert found.exit_code == 1
    assert wrong(found) == {"data": Status.FAULT, "merkle": Status.FAULT}
    lines = [line for line in details(found, "data") if line.startswith(told)]
    assert lines
    if told.endswith(": "):
        assert ", id " in lines[0] and " t-" in lines[0]
    assert one_result(found, "lines").status == Status.SKIPPED


def test_of_many_changed_lines_the_first_are_named_and_the_rest_counted(
    made: teapot.Composition,
) -> None:
    edit_lines(made, lambda lines: lines.__setitem__(slice(0, 15), [b"{}\n"] * 15))
    told = details(verify(made), "data")
    assert len(told) == 11
    assert told[-1] == "and 5 more altered lines"


def test_an_emptied_data_file_is_a_fault(made: teapot.Composition) -> None:
    made.paths.data.write_bytes(b"")
    found = verify(made)
    assert wrong(found) == {"data": Status.FAULT, "merkle": Status.FAULT}
    assert details(found, "data")[-1] == "and 17 more missing lines"


def test_missing_data_is_a_fault_and_the_ledger_is_checked_all_the_same(
    made: teapot.Composition,
) -> None:
    made.paths.data.unlink()
    found = verify(made)
    assert wrong(found) == {"data": Status.FAULT}
    assert one_result(found, "ledger").status == Status.OK
    assert "merkle" not in names(found) and "lines" not in names(found)


def test_a_missing_ledger_is_a_fault_and_the_data_is_checked_all_the_same(
    made: teapot.Composition,
) -> None:
    made.paths.ledger.unlink()
    found = verify(made)
    assert wrong(found) == {"ledger": Status.FAULT}
    assert one_result(found, "merkle").status == Status.OK


def test_without_its_ledger_altered_data_is_a_fault_that_names_no_line(
    made: teapot.Composition,
) -> None:
    made.paths.ledger.unlink()
    edit_lines(made, lambda lines: lines.pop())
    assert details(verify(made), "data") == [
        "which records differ cannot be told: the ledger is not the one stated"
    ]


def _swap_lines(rows: list[dict[str, Any]]) -> None:
    kept = [row for row in rows if row["lines"]]
    kept[0]["lines"], kept[-1]["lines"] = kept[-1]["lines"], kept[0]["lines"]


@pytest.mark.parametrize(
    ("change", "faults"),
    [
        (lambda rows: rows[0].update(detail="altered"), {"ledger"}),
        (lambda rows: rows[0].update(license="GPL-3.0-only"), {"ledger", "conservation"}),
        (lambda rows: rows[0].update(module="t/b"), {"ledger", "conservation"}),
        (lambda rows: rows[0].update(source="t-x"), {"ledger", "conservation"}),
        (lambda rows: rows[0].update(record_digest="0" * 64), {"ledger"}),
        (lambda rows: rows.reverse(), {"ledger", "conservation"}),
        (lambda rows: rows[-1].update(content_digest="0" * 64), {"ledger", "contents"}),
        (_swap_lines, {"ledger", "lines"}),
        (lambda rows: rows[-1].update(lines=[99]), {"ledger", "lines"}),
        (lambda rows: rows[-1].update(lines=[1]), {"ledger", "lines"}),
        (lambda rows: rows[0].update(source=None), {"ledger"}),
        (lambda rows: rows[0].update(lines=[None]), {"ledger"}),
        (lambda rows: rows[0].update(repairs=[None]), {"ledger"}),
        (lambda rows: rows.pop(), {"ledger"}),
    ],
)  # fmt: skip
def test_each_lie_of_a_ledger_is_a_fault_of_its_name(
    change: Callable[[list[dict[str, Any]]], object], faults: set[str], made: teapot.Composition
) -> None:
    edit_ledger(made, change)
    found = verify(made)
    assert found.exit_code == 1
    assert faults <= wrong(found).keys()
    assert {"data", "merkle"} & wrong(found).keys() == set()


def test_the_same_ledger_rows_in_other_parquet_hold(made: teapot.Composition) -> None:
    before = made.paths.ledger.read_bytes()
    table = parquet.read_table(made.paths.ledger)
    parquet.write_table(table, made.paths.ledger, compression="none", row_group_size=3)
    assert made.paths.ledger.read_bytes() != before
    assert wrong(verify(made)) == {}


def test_memory_does_not_grow_with_the_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("teapot.usecases.verify.MAX_BYTES", 1 << 20)
    monkeypatch.setattr("teapot.usecases.verify.MAX_BUNDLE_BYTES", 1 << 20)
    rows = [chat_row(f"a-{n}", f"Question {n}?", "tea " * 25_000) for n in range(300)]
    write_module(tmp_path, "t/a", rows)
    made = compose(write_config(tmp_path, {"t/a": 1}))
    assert made.data.bytes > 30_000_000
    tracemalloc.start()
    try:
        found = verify(made)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found.is_ok
    assert peak < 12_000_000


# What the manifest says.


@pytest.mark.parametrize(
    ("change", "faults"),
    [
        (lambda value: composition(value)["data"].update(merkle_root="0" * 64), {"merkle"}),
        (lambda value: composition(value)["data"].update(bytes=1), {"data"}),
        (lambda value: composition(value)["data"].update(contents=1), {"contents"}),
        (lambda value: composition(value)["data"].update(contents_root="0" * 64), {"contents"}),
        (lambda value: composition(value)["ledger"].update(rows_sha256="0" * 64), {"ledger"}),
        (lambda value: composition(value)["ledger"].update(rows=1), {"ledger", "sums"}),
        (
            lambda value: composition(value)["modules"][0].update(lines=7),
            {"sums", "conservation", "recipe"},
        ),
        (lambda value: composition(value)["data"].update(records=23), {"data", "sums", "lines"}),
        (lambda value: parameters(value).update(recipe_sha256="0" * 64), {"recipe"}),
        (lambda value: composition(value)["data"].update(tokens=9), {"sums"}),
        (lambda value: parameters(value)["recipe"].update(strip_think=True), {"recipe"}),
    ],
)
def test_each_lie_of_a_signed_manifest_is_a_fault_of_its_name(
    change: Callable[[Any], object], faults: set[str], made: teapot.Composition
) -> None:
    restate(made, change)
    found = verify(made)
    assert set(wrong(found)) == faults
    assert found.exit_code == 1


def composition(value: Any) -> Any:
    return value["predicate"]["teapot_composition"]


def parameters(value: Any) -> Any:
    return value["predicate"]["buildDefinition"]["externalParameters"]


def test_a_signed_manifest_of_another_form_is_a_fault_and_read_no_further(
    made: teapot.Composition,
) -> None:
    restate(made, lambda value: value.update(more=1))
    found = verify(made)
    assert wrong(found) == {"schema": Status.FAULT}
    assert names(found) == ["signature", "payload", "schema"]
    (told,) = details(found, "schema")
    assert told.startswith("mix.manifest.json:1: more: no such key")


def test_a_composition_under_another_name_is_a_fault(made: teapot.Composition) -> None:
    for path in (made.paths.data, made.paths.ledger, made.paths.manifest, made.paths.bundle):
        path.rename(path.name.replace("mix", "tea"))
    (found,) = teapot.verify("tea.jsonl")
    assert wrong(found) == {"data": Status.FAULT}
    assert names(found) == ["signature", "payload", "schema", "data"]


# Signatures.


def test_an_edited_manifest_is_a_fault_and_the_signed_one_is_followed(
    made: teapot.Composition,
) -> None:
    data = made.paths.manifest.read_bytes()
    made.paths.manifest.write_bytes(data.replace(b'"records": 27', b'"records": 28'))
    found = verify(made)
    assert wrong(found) == {"payload": Status.FAULT}
    assert names(found) == ALL
    assert found.manifest_sha256 == made.manifest_sha256


def test_a_missing_manifest_is_a_fault_though_the_bundle_holds_it(
    made: teapot.Composition,
) -> None:
    made.paths.manifest.unlink()
    (found,) = teapot.verify(made.paths.data)
    assert wrong(found) == {"payload": Status.FAULT}
    assert names(found) == ALL


def test_an_unsigned_manifest_is_not_looked_at(unsigned: teapot.Composition) -> None:
    found = verify(unsigned)
    assert names(found) == ["signature", "contents"]
    assert wrong(found) == {"signature": Status.UNSIGNED}
    assert (found.exit_code, found.is_ok) == (4, False)


def test_a_manifest_signed_by_a_stranger_is_not_looked_at(made: teapot.Composition) -> None:
    sign_again(made, STRANGER)
    found = verify(made)
    assert names(found) == ["signature", "contents"]
    assert wrong(found) == {"signature": Status.UNTRUSTED}
    assert found.exit_code == 5


def test_a_signature_that_its_key_has_not_made_is_a_fault(made: teapot.Composition) -> None:
    bundle = json.loads(made.paths.bundle.read_bytes())
    forged = Bundle.sign(made.paths.manifest.read_bytes(), STRANGER)
    other = json.loads(forged.to_bytes())["dsseEnvelope"]["signatures"][0]["sig"]
    bundle["dsseEnvelope"]["signatures"][0]["sig"] = other
    made.paths.bundle.write_text(json.dumps(bundle))
    found = verify(made, allow_unsigned=True)
    assert wrong(found) == {"signature": Status.FAULT}
    assert names(found) == ["signature", "contents"]
    assert found.exit_code == 1


@pytest.mark.parametrize("how", ["unsigned", "stranger", "broken", "revoked", "pin"])
def test_what_nobody_vouches_for_is_never_parsed(
    how: str, made: teapot.Composition, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made.paths.manifest.write_bytes(b"[" * 1_000_000)
    sign_again(made, STRANGER if how == "stranger" else None)
    options: dict[str, Any] = {}
    if how == "unsigned":
        made.paths.bundle.unlink()
    elif how == "broken":
        made.paths.bundle.write_bytes(made.paths.bundle.read_bytes()[:-9])
    elif how == "revoked":
        options["trust"] = trust_file(tmp_path, 2)
        revoked = tmp_path / "trusted.revoked_keys"
        revoked.write_text(f"{key(1).public.ssh}\n")
    elif how == "pin":
        options |= {"expect": "0" * 64, "allow_unsigned": True}
    for place in ("verify.read_manifest", "remaking.loads", "verify.stated_recipe_sha256"):
        monkeypatch.setattr(f"teapot.usecases.{place}", lambda *_: pytest.fail("it was parsed"))
    found = verify(made, **options)
    assert not found.is_ok
    assert names(found)[-1] == "contents"
    assert one_result(found, "contents").status == Status.SKIPPED


def test_a_bomb_that_is_signed_is_a_fault_of_the_schema(made: teapot.Composition) -> None:
    made.paths.manifest.write_bytes(b'{"a":' * 100_000)
    sign_again(made)
    assert wrong(verify(made)) == {"schema": Status.FAULT}


def test_allow_unsigned_checks_that_the_files_agree(unsigned: teapot.Composition) -> None:
    found = verify(unsigned, allow_unsigned=True)
    assert names(found) == [name for name in ALL if name != "payload"]
    assert one_result(found, "signature").status == Status.NOTE
    assert found.exit_code == 0
    edit_lines(unsigned, lambda lines: lines.pop())
    assert verify(unsigned, allow_unsigned=True).exit_code == 1


def test_allow_unsigned_goes_on_where_a_stranger_has_signed(made: teapot.Composition) -> None:
    sign_again(made, STRANGER)
    found = verify(made, allow_unsigned=True)
    assert one_result(found, "signature").status == Status.NOTE
    assert found.exit_code == 0 and "lines" in names(found)


def test_allow_unsigned_forgives_no_payload_that_is_not_the_manifest(
    made: teapot.Composition,
) -> None:
    made.paths.bundle.write_bytes(Bundle.sign(b"something else", STRANGER).to_bytes())
    assert wrong(verify(made)) == {"signature": Status.UNTRUSTED}
    found = verify(made, allow_unsigned=True)
    assert wrong(found) == {"payload": Status.FAULT}


@pytest.mark.parametrize("allow_unsigned", [False, True])
def test_where_there_is_no_manifest_nothing_is_verified(
    allow_unsigned: bool, unsigned: teapot.Composition
) -> None:
    unsigned.paths.manifest.unlink()
    (found,) = teapot.verify("mix.jsonl", options=VerifyOptions(allow_unsigned=allow_unsigned))
    assert found.exit_code == 1
    assert wrong(found)["payload"] == Status.FAULT
    assert found.manifest_sha256 is None


def test_a_pinned_manifest_is_compared(made: teapot.Composition) -> None:
    found = verify(made, expect=made.manifest_sha256)
    assert found.is_ok
    assert names(found) == [*ALL[:2], "expect", *ALL[2:]]


def test_another_manifest_than_the_pinned_is_a_fault_and_not_looked_at(
    made: teapot.Composition,
) -> None:
    found = verify(made, expect="0" * 64)
    assert wrong(found) == {"expect": Status.FAULT}
    assert names(found) == ["signature", "payload", "expect", "contents"]
    assert one_result(found, "expect").found == made.manifest_sha256


def test_a_pinned_manifest_without_signature_is_checked_and_still_unsigned(
    unsigned: teapot.Composition,
) -> None:
    found = verify(unsigned, expect=unsigned.manifest_sha256)
    assert wrong(found) == {"signature": Status.UNSIGNED}
    assert "lines" in names(found) and found.exit_code == 4
    found = verify(unsigned, expect=unsigned.manifest_sha256, allow_unsigned=True)
    assert found.exit_code == 0


def test_the_pin_is_of_the_signed_bytes_where_the_file_is_another(
    made: teapot.Composition,
) -> None:
    made.paths.manifest.write_bytes(b"{}")
    assert wrong(verify(made, expect=made.manifest_sha256)) == {"payload": Status.FAULT}
    assert "expect" in wrong(verify(made, expect=sha256_hex(b"{}")))


def second_signature(made: teapot.Composition, number: int) -> Path:
    path = made.paths.manifest.with_name(f"mix.manifest.{number:08}.sigstore.json")
    path.write_bytes(Bundle.sign(made.paths.manifest.read_bytes(), key(number)).to_bytes())
    return path


def test_as_many_signers_as_asked_for_are_needed(made: teapot.Composition, tmp_path: Path) -> None:
    trust = trust_file(tmp_path, 1, 2, 3)
    assert wrong(verify(made, trust=trust, threshold=2)) == {"threshold": Status.UNTRUSTED}
    second_signature(made, 2)
    assert wrong(verify(made, trust=trust, threshold=2)) == {}
    found = verify(made, trust=trust, threshold=3)
    assert (wrong(found), found.exit_code) == ({"threshold": Status.UNTRUSTED}, 5)
    assert names(found)[-1] == "contents"
    second_signature(made, 3)
    assert wrong(verify(made, trust=trust, threshold=3)) == {}


def test_one_key_counts_once_however_often_it_has_signed(
    made: teapot.Composition, tmp_path: Path
) -> None:
    shutil.copy(made.paths.bundle, "mix.manifest.again.sigstore.json")
    trust = trust_file(tmp_path, 1, 2)
    assert wrong(verify(made, trust=trust, threshold=2)) == {"threshold": Status.UNTRUSTED}


def test_a_further_stranger_is_a_note_where_enough_have_signed(made: teapot.Composition) -> None:
    second_signature(made, 77)
    found = verify(made)
    assert found.is_ok
    assert [r.status for r in found.results if r.name == "signature"] == [Status.OK, Status.NOTE]


def test_a_further_bundle_that_is_broken_is_a_fault(made: teapot.Composition) -> None:
    Path("mix.manifest.more.sigstore.json").write_bytes(b"{}")
    assert wrong(verify(made)) == {"signature": Status.FAULT}


def test_a_threshold_below_one_is_refused(made: teapot.Composition) -> None:
    with pytest.raises(UsageError, match="the threshold of signers is 1 at least"):
        verify(made, threshold=0)


# Targets.


def test_each_file_of_a_composition_stands_for_it(made: teapot.Composition) -> None:
    further = second_signature(made, 77)
    paths = made.paths
    for target in (paths.data, paths.ledger, paths.manifest, paths.bundle, further):
        (found,) = teapot.verify(target)
        assert found.target == "mix.manifest.json"
        assert found.is_ok


def test_a_composition_named_twice_is_verified_once(made: teapot.Composition) -> None:
    assert len(teapot.verify(made.paths.data, made.paths.ledger, ".", Path().absolute())) == 1


def test_a_folder_stands_for_all_compositions_in_it_and_none_below(
    made: teapot.Composition,
) -> None:
    teapot.compose("mix.config", output="other.jsonl")
    Path("sub").mkdir()
    teapot.compose("mix.config", output="sub/deep.jsonl")
    Path("gone.manifest.sigstore.json").write_bytes(made.paths.bundle.read_bytes())
    found = teapot.verify(".")
    assert [Path(one.target).name for one in found] == [
        "gone.manifest.json", "mix.manifest.json", "other.manifest.json"
    ]  # fmt: skip
    assert [one.exit_code for one in found] == [1, 0, 4]


def test_no_target_stands_for_the_project(made: teapot.Composition) -> None:
    for folder in ("sub/deep", ".hidden", "build", "node_modules"):
        Path(folder).mkdir(parents=True)
        teapot.compose("mix.config", output=f"{folder}/x.jsonl")
    Path("sub/gone.manifest.sigstore.json").write_bytes(made.paths.bundle.read_bytes())
    assert [one.target for one in teapot.verify()] == [
        "mix.manifest.json", "sub/gone.manifest.json", "sub/deep/x.manifest.json"
    ]  # fmt: skip


def test_a_target_without_anything_to_verify_is_refused(made: teapot.Composition) -> None:
    Path("empty").mkdir()
    Path("notes.txt").write_text("")
    for target, told in (
        ("empty", "holds no *.manifest.json, so nothing to verify"),
        ("none.jsonl", "no such file or folder"),
        ("notes.txt", "is no part of a composition"),
    ):
        for targets in ([target], [made.paths.data, target]):
            with pytest.raises(UsageError, match=r"^" + target) as caught:
                teapot.verify(*targets)
            assert told in str(caught.value)


def test_a_project_without_compositions_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=r"no \*\.manifest\.json in this project"):
        teapot.verify()


def test_a_pin_for_several_compositions_is_refused(made: teapot.Composition) -> None:
    teapot.compose("mix.config", output="other.jsonl")
    with pytest.raises(UsageError, match="--expect pins one manifest, and the targets name 2"):
        teapot.verify(options=VerifyOptions(expect=made.manifest_sha256))


def test_manifest_only_leaves_data_and_ledger_aside(made: teapot.Composition) -> None:
    made.paths.data.unlink()
    made.paths.ledger.write_bytes(b"")
    found = verify(made, manifest_only=True)
    assert found.is_ok
    assert one_result(found, "data").status == Status.SKIPPED
    assert names(found) == [name for name in ALL if name not in ALL[5:10]]


def test_a_published_manifest_needs_no_data(made: teapot.Composition) -> None:
    Path("manifests").mkdir()
    for path in (made.paths.manifest, made.paths.bundle):
        shutil.copy(path, "manifests")
    (found,) = teapot.verify("manifests")
    assert found.is_ok
    assert one_result(found, "data").status == Status.SKIPPED
    shutil.copy(made.paths.ledger, "manifests")
    (found,) = teapot.verify("manifests")
    assert wrong(found) == {"data": Status.FAULT}


def test_a_killed_run_is_finished_first(made: teapot.Composition) -> None:
    folder = made.paths.run_folder
    folder.mkdir()
    for path in (made.paths.data, made.paths.manifest):
        path.rename(folder / path.name)
    journal = {"rename": ["mix.jsonl", "mix.manifest.json"], "remove": []}
    (folder / "commit.json").write_text(json.dumps(journal))
    assert verify(made).is_ok
    assert not folder.exists() and made.paths.data.exists()


# Verified.


def test_what_is_verified_gives_its_lines(made: teapot.Composition) -> None:
    proven = teapot.verified("mix.jsonl")
    assert list(proven.lines()) == made.paths.data.read_bytes().splitlines()
    assert proven.manifest_sha256 == made.manifest_sha256
    assert proven.manifest.data == made.data
    assert [signer.principals for signer in proven.signers] == ["self"]


def test_lines_of_a_file_that_has_changed_end_in_an_error(made: teapot.Composition) -> None:
    proven = teapot.verified("mix.jsonl")
    edit_lines(made, lambda lines: lines.reverse())
    with pytest.raises(DigestError, match="has changed since it was verified"):
        list(proven.lines())
    made.paths.data.unlink()
    with pytest.raises(DataError):
        list(proven.lines())


def test_verified_is_made_by_verifying_alone(made: teapot.Composition) -> None:
    proven = teapot.verified("mix.jsonl")
    parts: dict[str, Any] = {
        field.name: getattr(proven, field.name) for field in dataclasses.fields(proven)
    }
    for seal in (None, object(), True, proven):
        with pytest.raises(TypeError, match=r"only teapot\.verify makes a Verified"):
            Verified(**parts, seal=seal)
    with pytest.raises((TypeError, ValueError)):
        dataclasses.replace(proven, manifest_sha256="0" * 64)
    with pytest.raises(dataclasses.FrozenInstanceError):
        proven.manifest_sha256 = "0" * 64  # type: ignore[misc]
    assert copy.copy(proven) == proven


def test_only_what_holds_is_verified(made: teapot.Composition) -> None:
    with pytest.raises(UsageError, match="so nothing to verify"):
        teapot.verified("modules")
    edit_lines(made, lambda lines: lines.pop())
    with pytest.raises(DataError, match=r"data: expected .* found ") as caught:
        teapot.verified("mix.jsonl")
    assert len(caught.value.problems) == 2


def test_the_unsigned_is_verified_only_where_that_is_allowed(unsigned: teapot.Composition) -> None:
    with pytest.raises(UnsignedError):
        teapot.verified("mix.jsonl")
    assert teapot.verified("mix.jsonl", VerifyOptions(allow_unsigned=True)).signers == ()
    sign_again(unsigned, STRANGER)
    with pytest.raises(UntrustedError):
        teapot.verified("mix.jsonl")


def test_what_lacks_its_data_is_not_verified_though_nothing_is_wrong(
    made: teapot.Composition,
) -> None:
    Path("manifests").mkdir()
    for path in (made.paths.manifest, made.paths.bundle):
        shutil.copy(path, "manifests")
    assert teapot.verify("manifests")[0].is_ok
    with pytest.raises(DataError, match="are not here, so nothing was proven"):
        teapot.verified("manifests")
    options = VerifyOptions(manifest_only=True)
    assert list(teapot.verified("mix.jsonl", options).lines())


# Sources.


def test_a_changed_source_is_a_fault(made: teapot.Composition) -> None:
    source = Path("modules/t/t-a.jsonl")
    source.write_bytes(source.read_bytes() + b"\n")
    found = verify(made)
    assert wrong(found) == {"source t-a": Status.FAULT}
    assert one_result(found, "source t-a").found.startswith(sha256_hex(source.read_bytes()))


def test_a_missing_source_is_out_of_reach(made: teapot.Composition) -> None:
    Path("modules/t/t-a.jsonl").unlink()
    found = verify(made)
    assert found.is_ok
    sources = one_result(found, "sources")
    assert (sources.status, "out of reach" in sources.compared) == (Status.SKIPPED, True)
    assert "t/a t-a" in sources.compared and "1 source;" in sources.compared


def test_a_missing_module_is_skipped(made: teapot.Composition) -> None:
    Path("modules/t/a.yaml").unlink()
    found = verify(made)
    assert found.is_ok
    assert "no module file here says where they lie" in one_result(found, "sources").compared
    assert "source t-b" in names(found)


def test_a_module_that_declares_another_source_is_skipped(made: teapot.Composition) -> None:
    write_module(Path(), "t/a", b"", sources=[{"id": "t-a", "kind": "jsonl", "path": "new.jsonl"}])
    found = verify(made)
    assert found.is_ok
    assert "the module files here declare others" in one_result(found, "sources").compared


def test_a_source_is_looked_for_where_the_caller_says(made: teapot.Composition) -> None:
    Path("modules/t/t-a.jsonl").rename("moved.jsonl")
    mix = MixOptions(sources={"t-a": "moved.jsonl"})
    assert one_result(verify(made, mix=mix), "source t-a").status == Status.OK
    Path("moved.jsonl").write_bytes(b"other\n")
    assert wrong(verify(made, mix=mix)) == {"source t-a": Status.FAULT}


def test_a_source_that_the_mix_has_not_is_a_fault(made: teapot.Composition) -> None:
    found = verify(made, mix=MixOptions(sources={"t-x": "x.jsonl"}))
    assert wrong(found) == {"sources": Status.FAULT}


def _with_source(sources: list[dict[str, Any]]) -> Callable[[Any], None]:
    """Return what lets a manifest say that t/a was read from one other place."""

    def change(value: Any) -> None:
        dependency = value["predicate"]["buildDefinition"]["resolvedDependencies"][0]
        dependency["uri"] = sources[0].get("url") or sources[0]["path"]
        declared = parameters(value)["recipe"]["modules"][0]["sources"][0]
        declared.update(uri=dependency["uri"], kind=sources[0]["kind"])

    return change


def test_offline_never_touches_the_network(
    made: teapot.Composition, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = "https://localhost:9/a.jsonl"
    sources = [{"id": "t-a", "kind": "https", "url": url, "sha256": "0" * 64}]
    write_module(Path(), "t/a", b"", sources=sources)
    restate(made, _with_source(sources))
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("it went to the network"))
    found = verify(made, mix=MixOptions(offline=True))
    sources_result = one_result(found, "sources")
    assert sources_result.status == Status.SKIPPED
    assert "out of reach" in sources_result.compared and "t/a t-a" in sources_result.compared


def test_a_source_that_needs_an_extra_is_skipped_and_the_extra_named(
    made: teapot.Composition, monkeypatch: pytest.MonkeyPatch
) -> None:
    from teapot.errors import MissingExtraError

    def refuse(*_: object) -> None:
        raise MissingExtraError("source t-a", "datasets")

    monkeypatch.setattr("teapot.usecases.remaking._digest", refuse)
    found = verify(made)
    assert found.is_ok
    assert "pip install 'teapot[datasets]'" in one_result(found, "sources").compared


# The published twin, and composing again.


def publish(made: teapot.Composition, change: Callable[[bytes], bytes] = lambda data: data) -> None:
    Path("manifests").mkdir()
    Path("manifests/mix.manifest.json").write_bytes(change(made.paths.manifest.read_bytes()))


def test_a_published_manifest_that_is_the_same_holds(made: teapot.Composition) -> None:
    publish(made)
    found = verify(made)
    assert (names(found), found.is_ok) == ([*ALL, "published"], True)


def test_a_published_manifest_that_is_another_is_a_fault_that_says_where(
    made: teapot.Composition,
) -> None:
    publish(made, lambda data: data.replace(b'"seed": 42', b'"seed": 43'))
    found = verify(made)
    assert wrong(found) == {"published": Status.FAULT}
    told = "predicate.buildDefinition.externalParameters.recipe.seed: expected 43, found 42"
    assert told in details(found, "published")


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"[]", b"{}", b"[" * 10_000, b'{"predicate": {"runDetails": {"builder": []}}}',
     b'{"predicate": {"runDetails": {"builder": {"version": 1}}}}'],
    ids=lambda data: data[:50],
)  # fmt: skip
def test_a_published_file_that_is_no_manifest_is_a_fault(
    data: bytes, made: teapot.Composition
) -> None:
    publish(made, lambda _: data)
    found = verify(made)
    assert (wrong(found), found.exit_code) == ({"published": Status.FAULT}, 1)


def test_composed_again_the_bytes_are_the_same(made: teapot.Composition) -> None:
    found = verify(made, rebuild=True)
    assert (names(found), found.is_ok) == ([*ALL, "rebuild"], True)
    assert one_result(found, "rebuild").compared.endswith("composed again from mix.config")


def test_composed_again_from_another_config_the_difference_is_told(
    made: teapot.Composition,
) -> None:
    write_config(Path(), {"t/a": "0.5", "t/b": "2.3", "t/c": 2})
    found = verify(made, rebuild=True)
    assert wrong(found) == {"rebuild": Status.FAULT}
    assert any("weight: expected" in told for told in details(found, "rebuild"))


def test_composed_again_from_a_config_of_another_name(made: teapot.Composition) -> None:
    Path("mix.config").rename("other.config")
    found = verify(made, rebuild=True)
    assert wrong(found) == {"rebuild": Status.UNREACHABLE}
    assert found.exit_code == 3
    assert verify(made, rebuild=True, config=Path("other.config")).is_ok


def test_composed_again_with_the_seed_of_the_manifest(tmp_path: Path) -> None:
    made = compose(write_project(tmp_path), seed=7)
    assert verify(made, rebuild=True, config=tmp_path / "mix.config").is_ok


def test_a_source_that_is_missing_for_composing_again_is_unreachable(
    made: teapot.Composition,
) -> None:
    Path("modules/t/t-a.jsonl").unlink()
    found = verify(made, rebuild=True)
    assert wrong(found) == {"rebuild": Status.UNREACHABLE}
    assert found.exit_code == 3


def test_rows_that_no_longer_compose_are_a_fault(made: teapot.Composition) -> None:
    Path("modules/t/t-a.jsonl").write_bytes(jsonl([UNCLOSED]))
    found = verify(made, rebuild=True)
    assert wrong(found) == {"source t-a": Status.FAULT, "rebuild": Status.FAULT}


def test_other_versions_that_make_the_same_are_no_fault_but_are_told(
    made: teapot.Composition, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("teapot.usecases.compose.version", lambda name: "99.9")
    found = verify(made, rebuild=True)
    assert found.is_ok
    rebuild = one_result(found, "rebuild")
    assert rebuild.expected != rebuild.found
    (told,) = rebuild.details
    assert "license-expression 99.9" in told.partition(";")[2]
    assert "99.9" not in told.partition(";")[0]


def test_the_report_as_json_values_says_everything(made: teapot.Composition) -> None:
    value = json.loads(json.dumps(verify(made).to_dict()))
    assert value.keys() == {"target", "ok", "exit_code", "manifest_sha256", "checks"}
    assert [check["name"] for check in value["checks"]] == ALL
    assert all(
        check.keys() == {"name", "status", "compared", "expected", "found", "details"}
        for check in value["checks"]
    )

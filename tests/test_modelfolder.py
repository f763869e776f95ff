"""Model folders: what finishing one writes and refuses, and that no tampered link is missed."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import teapot
from teapot import VerifyOptions
from teapot.errors import DataError
from teapot.model.verification import Status, Verification
from teapot.signed_folder import sign_folder
from teapot.usecases.modelfolder import finish_model_folder
from teapot.usecases.verifymodel import verify_model
from tests.support.compositions import compose, make, sign_again
from tests.support.environment import own_key
from tests.support.finetunes import WEIGHTS, outcome_for, plan_for, verified
from tests.support.keys import key
from tests.support.modelfolders import finish, signer, write_training_files
from tests.support.project import chat_rows, write_config, write_module

MODEL = Path("model")
STATEMENT, BUNDLE = MODEL / "train.statement.json", MODEL / "train.statement.sigstore.json"
CARD, SIGNATURE = MODEL / "README.md", MODEL / "model.sig"
COPY, COPY_BUNDLE = MODEL / "mix.manifest.json", MODEL / "mix.manifest.sigstore.json"
UNSIGNED = VerifyOptions(allow_unsigned=True)


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> teapot.Composition:
    """A signed composition in the working folder, and a finished model folder over it."""
    monkeypatch.chdir(tmp_path)
    made = make(Path())
    finish(MODEL, made)
    return made


def wrong(found: Verification) -> dict[str, Status]:
    good = (Status.OK, Status.NOTE, Status.SKIPPED)
    return {result.name: result.status for result in found.results if result.status not in good}


def edit(path: Path, old: bytes, new: bytes) -> None:
    data = path.read_bytes()
    assert old in data
    path.write_bytes(data.replace(old, new, 1))


def test_a_folder_has_the_attribution_and_its_card_links_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    made = make(Path(), output={"attribution": True})
    finish(MODEL, made)
    copy = MODEL / "ATTRIBUTION.md"
    assert copy.read_bytes() == made.paths.attribution.read_bytes()
    assert "Whose data it is: [ATTRIBUTION.md](ATTRIBUTION.md)." in CARD.read_text()
    assert wrong(verify_model(MODEL)) == {}
    copy.write_text("nobody")
    assert set(wrong(verify_model(MODEL))) == {"folder files", "attribution"}


def test_an_attribution_that_is_not_the_one_stated_is_not_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    made = make(Path(), output={"attribution": True})
    composition = verified(made)
    plan = plan_for(composition)
    write_training_files(MODEL, plan)
    made.paths.attribution.write_text("nobody")
    with pytest.raises(DataError, match=r"mix\.ATTRIBUTION\.md: sha256 .*as the manifest states"):
        finish_model_folder(MODEL, composition, plan, outcome_for(plan), None)


def test_a_finished_folder_holds_everything_and_verifies(made: teapot.Composition) -> None:
    names = {path.name for path in MODEL.iterdir()}
    assert names == {
        "README.md", "adapter_config.json", WEIGHTS, "chat_template.jinja", "loss.png",
        "loss.svg", "metrics.jsonl", "mix.manifest.json", "mix.manifest.sigstore.json", "model.sig",
        "plan.json", "system-prompt.txt", "tokenizer.json", "tokenizer_config.json",
        "train.statement.json", "train.statement.sigstore.json",
    }  # fmt: skip
    assert COPY.read_bytes() == made.paths.manifest.read_bytes()
    found = verify_model(MODEL)
    assert wrong(found) == {}
    assert (found.exit_code, found.manifest_sha256) == (0, made.manifest_sha256)
    assert [result.name for result in found.results] == [
        "folder signature", "folder files", "folder coverage", "statement signature",
        "statement payload", "statement form", "weights", "weight files", "header", "plan",
        "tokenizer", "chat template", "card", "manifest copy", "manifest signature",
        "manifest payload", "manifest schema", "manifest sums", "data",
    ]  # fmt: skip


def test_finishing_twice_gives_the_same_folder(made: teapot.Composition) -> None:
    before = {path.name: path.read_bytes() for path in MODEL.iterdir()}
    finish(MODEL, made)
    after = {path.name: path.read_bytes() for path in MODEL.iterdir()}
    unlike = {name for name in before if before[name] != after[name]}
    assert unlike <= {BUNDLE.name, SIGNATURE.name}  # a signature may draw a number


def test_an_unsigned_folder_says_so_and_agrees_with_itself(made: teapot.Composition) -> None:
    finished = finish(MODEL, made, signed=False)
    assert finished.signature is None
    assert not BUNDLE.exists() and not SIGNATURE.exists()
    assert "**This model is not signed:**" in CARD.read_text()
    found = verify_model(MODEL)
    assert (found.exit_code, found.results[-1].status) == (4, Status.SKIPPED)
    assert wrong(found) == {
        "folder signature": Status.UNSIGNED, "statement signature": Status.UNSIGNED
    }  # fmt: skip
    assert verify_model(MODEL, UNSIGNED).exit_code == 0


def test_unsigned_data_is_told_in_the_card_and_found_again(made: teapot.Composition) -> None:
    made.paths.bundle.unlink()
    shutil.rmtree(MODEL)
    finish(MODEL, made, allow_unsigned=True)
    assert "**The composition was taken unsigned:**" in CARD.read_text()
    assert wrong(verify_model(MODEL)) == {"manifest signature": Status.UNSIGNED}
    assert verify_model(MODEL, UNSIGNED).exit_code == 0


def test_the_copy_of_a_manifest_is_no_composition_of_the_project(made: teapot.Composition) -> None:
    (found,) = teapot.verify()
    assert (found.target, found.exit_code) == ("mix.manifest.json", 0)


# What finishing refuses.


@pytest.mark.parametrize(
    ("plan", "outcome", "told"),
    [
        ({}, {"data_sha256": "0" * 64}, "data: the data that the train statement names with"),
        ({"manifest_sha256": "0" * 64}, {}, "plan: the manifest that was planned for with the"),
        ({"optimizer_steps": 7}, {}, "plan: SHA-256 of plan.json with the train statement's"),
        ({"optimizer_steps": 7}, {}, "header: the metadata in the header of adapter_model.safe"),
        ({}, {"weights": ("none.safetensors",)}, "cannot be read: No such file or directory"),
    ],
)
def test_what_does_not_agree_is_not_finished(
    plan: dict[str, object], outcome: dict[str, object], told: str, made: teapot.Composition
) -> None:
    composition = verified(made)
    write_training_files(Path("new"), plan_for(composition))
    planned = plan_for(composition, **plan)
    with pytest.raises(DataError, match=told):
        finish_model_folder(
            Path("new"), composition, planned, outcome_for(planned, **outcome), signer()
        )
    assert not Path("new/train.statement.json").exists()


# What is tampered with.


def another_mix() -> teapot.Composition:
    folder = Path("other")
    write_module(folder, "t/z", chat_rows("z", 3))
    return compose(write_config(folder, {"t/z": 1}))


def swap_composition() -> None:
    other = another_mix()
    shutil.copy(other.paths.manifest, COPY)
    shutil.copy(other.paths.bundle, COPY_BUNDLE)


def swap_bundle() -> None:
    BUNDLE.write_bytes(signer(key(77))(STATEMENT.read_bytes()))


def take_manifest_for_statement() -> None:
    shutil.copy(COPY, STATEMENT)
    shutil.copy(COPY_BUNDLE, BUNDLE)


def flip_weight() -> None:
    data = bytearray((MODEL / WEIGHTS).read_bytes())
    data[-1] ^= 1
    (MODEL / WEIGHTS).write_bytes(data)


TAMPERED: dict[str, tuple[Callable[[], object], dict[str, Status]]] = {
    "weights": (flip_weight, {"weights": Status.FAULT}),
    "weights removed": (
        (MODEL / WEIGHTS).unlink,
        {"weights": Status.FAULT, "weight files": Status.FAULT, "header": Status.FAULT},
    ),
    "weights added": (
        lambda: shutil.copy(MODEL / WEIGHTS, MODEL / "more.safetensors"),
        {"weight files": Status.FAULT},
    ),
    "header": (
        lambda: edit(MODEL / WEIGHTS, b"teapot.data_sha256", b"teapot.data_sha255"),
        {"weights": Status.FAULT, "header": Status.FAULT},
    ),
    "card": (lambda: edit(CARD, b"records: 27", b"records: 26"), {"card": Status.FAULT}),
    "card removed": (CARD.unlink, {"card": Status.FAULT}),
    "statement": (
        lambda: edit(STATEMENT, b'"steps": 6', b'"steps": 7'),
        {"statement payload": Status.FAULT},
    ),
    "statement's bundle": (
        lambda: edit(BUNDLE, b'"payload": "ew', b'"payload": "fw'),
        {"statement signature": Status.FAULT},
    ),
    "statement by a stranger": (swap_bundle, {"statement signature": Status.UNTRUSTED}),
    "statement is a manifest": (take_manifest_for_statement, {"statement form": Status.FAULT}),
    "statement's bundle removed": (
        BUNDLE.unlink, {"statement signature": Status.UNSIGNED}
    ),
    "manifest": (
        lambda: edit(COPY, b'"seed": 42', b'"seed": 43'),
        {"manifest copy": Status.FAULT, "manifest payload": Status.FAULT},
    ),
    "manifest of another mix": (swap_composition, {"manifest copy": Status.FAULT}),
    "manifest's bundle removed": (
        COPY_BUNDLE.unlink, {"manifest signature": Status.UNSIGNED}
    ),
    "plan": (lambda: edit(MODEL / "plan.json", b'"rows": 27', b'"rows": 26'),
             {"plan": Status.FAULT}),
    "prose of the card": (lambda: edit(CARD, b"## Limits", b"## No limits"), {}),
    "file added": (lambda: (MODEL / "code.py").write_text("x"), {}),
    "tokenizer removed": ((MODEL / "tokenizer.json").unlink, {"tokenizer": Status.FAULT}),
    "chat template": (
        lambda: (MODEL / "chat_template.jinja").write_text("{{ 1 }}"),
        {"chat template": Status.FAULT},
    ),
    "file removed": ((MODEL / "metrics.jsonl").unlink, {}),
}  # fmt: skip


@pytest.mark.parametrize("what", TAMPERED)
def test_a_tampered_link_is_named_at_its_place(what: str, made: teapot.Composition) -> None:
    change, expected = TAMPERED[what]
    change()
    found = verify_model(MODEL)
    # The signature over the folder notices every change; the place is told by the others.
    assert wrong(found).items() >= {"folder files": Status.FAULT, **expected}.items()
    assert found.exit_code == 1


@pytest.mark.parametrize("what", TAMPERED)
def test_a_link_is_named_too_where_the_folder_is_signed_again(
    what: str, made: teapot.Composition
) -> None:
    change, expected = TAMPERED[what]
    change()
    sign_folder(MODEL, own_key())
    found = wrong(verify_model(MODEL))
    assert found.items() >= expected.items()
    assert bool(found) == bool(expected)


def test_without_its_signature_a_folder_is_unsigned(made: teapot.Composition) -> None:
    SIGNATURE.unlink()
    assert wrong(verify_model(MODEL)) == {"folder signature": Status.UNSIGNED}
    BUNDLE.unlink()
    assert wrong(verify_model(MODEL, UNSIGNED)) == {"card": Status.FAULT}


def test_a_signature_that_ignores_the_card_is_a_fault(made: teapot.Composition) -> None:
    from teapot.bundle import Bundle
    from teapot.model_signing import FolderStatement

    found = FolderStatement.parse(Bundle.parse(SIGNATURE.read_bytes()).payload)
    resources = tuple(pair for pair in found.resources if pair[0] != CARD.name)
    ignoring = replace(found, resources=resources, ignored=(*found.ignored, CARD.name))
    SIGNATURE.write_bytes(Bundle.sign(ignoring.to_bytes(), own_key()).to_bytes())
    assert wrong(verify_model(MODEL)) == {"folder coverage": Status.FAULT}


def test_a_manifest_that_was_signed_by_a_stranger_is_not_believed(
    made: teapot.Composition,
) -> None:
    sign_again(made, key(77))
    shutil.copy(made.paths.bundle, COPY_BUNDLE)
    sign_folder(MODEL, own_key())
    found = verify_model(MODEL)
    assert wrong(found) == {"manifest signature": Status.UNTRUSTED}
    assert found.exit_code == 5


def test_a_pinned_manifest_is_compared(made: teapot.Composition) -> None:
    assert verify_model(MODEL, VerifyOptions(expect=made.manifest_sha256)).exit_code == 0
    found = verify_model(MODEL, VerifyOptions(expect="0" * 64))
    assert wrong(found) == {"manifest expect": Status.FAULT}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that is signed by nobody, so that only the links themselves can notice a change."""
    folder = tmp_path_factory.mktemp("flips")
    finish(folder / "model", make(folder), signed=False, allow_unsigned=True)
    return folder / "model"


@settings(max_examples=60)
@given(st.data())
def test_any_flipped_bit_is_noticed_even_without_signatures(
    finished: Path, data: st.DataObject
) -> None:
    names = [WEIGHTS, STATEMENT.name, COPY.name, "plan.json", CARD.name]
    path = finished / data.draw(st.sampled_from(names))
    good = path.read_bytes()
    start, end = 0, len(good)
    if path.name == CARD.name:
        start, end = good.index(b"\nteapot:"), good.index(b"\n---\n", 10)
    flipped = bytearray(good)
    flipped[data.draw(st.integers(start, end - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(flipped)
    try:
        assert verify_model(finished, UNSIGNED).exit_code == 1
    finally:
        path.write_bytes(good)


@settings(max_examples=60)
@given(st.data())
def test_any_flipped_bit_of_a_bundle_is_noticed(finished: Path, data: st.DataObject) -> None:
    good = signer()((finished / STATEMENT.name).read_bytes())
    flipped = bytearray(good)
    flipped[data.draw(st.integers(0, len(good) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path = finished / BUNDLE.name
    path.write_bytes(flipped)
    try:
        assert verify_model(finished).exit_code in (1, 4, 5)
    finally:
        path.unlink()

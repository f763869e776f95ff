"""Data cut into shards: what is written, what reads it, and what is told of a shard that is not."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import teapot
from teapot import MixOptions, VerifyOptions
from teapot.canonical import loads
from teapot.cli.app import run
from teapot.digest import sha256_hex
from teapot.errors import DataError, DigestError, UsageError
from teapot.files import OutputPaths
from teapot.plugins import load_trainer
from teapot.shards import shard_name, shard_spans, stem_of
from teapot.usecases.lineage import find_lineage
from teapot.usecases.mask import mask_line
from tests.support.compositions import compose, manifest_of, restate, sign_again, write_project
from tests.support.modelfolders import finish
from tests.support.project import chat_rows, write_config, write_module

COUNT = 4
NAMES = [f"mix-0000{number}-of-00004.jsonl" for number in range(COUNT)]
SHARDS = [Path(name) for name in NAMES]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> teapot.Composition:
    """The same mix in one file."""
    return compose(write_project(tmp_path_factory.mktemp("whole")))


@pytest.fixture(scope="module")
def master(tmp_path_factory: pytest.TempPathFactory) -> teapot.Composition:
    """The composition that tests get copies of."""
    return compose(write_project(tmp_path_factory.mktemp("cut")), shards=COUNT)


@pytest.fixture
def made(
    master: teapot.Composition, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> teapot.Composition:
    """A signed composition in shards, in the working folder."""
    shutil.copytree(master.paths.data.parent, tmp_path / "project")
    monkeypatch.chdir(tmp_path / "project")
    return dataclasses.replace(master, paths=OutputPaths(Path("mix.jsonl")))


def verified(target: str | Path = "mix.jsonl", **options: Any) -> tuple[list[str], list[str]]:
    """Return the checks that do not hold, and what is told of shards."""
    (found,) = teapot.verify(target, options=VerifyOptions(**options))
    wrong = [one.name for one in found.results if one.status not in ("ok", "note", "skipped")]
    return wrong, [told for one in found.results if one.name == "shards" for told in one.details]


@given(st.integers(1, 10**10), st.integers(1, 500))
def test_spans_are_even_and_leave_no_line_out(lines: int, count: int) -> None:
    spans = shard_spans(lines, count)
    assert [span.start for span in spans] == [0, *(span.stop for span in spans[:-1])]
    assert (len(spans), spans[-1].stop) == (count, lines)
    sizes = [len(span) for span in spans]
    assert sizes == sorted(sizes, reverse=True) and sizes[0] - sizes[-1] <= 1


def test_names_are_those_that_loaders_of_shards_know() -> None:
    assert shard_name("train", 3, 64) == "train-00003-of-00064.jsonl"
    assert stem_of("train-00003-of-00064.jsonl") == "train"
    for other in (
        "train.jsonl",
        "train-3-of-64.jsonl",
        "-00003-of-00064.jsonl",
        "x-00003-of-00064",
    ):
        assert stem_of(other) is None


def test_shards_end_to_end_are_the_data_and_all_else_is_as_it_was(
    made: teapot.Composition, whole: teapot.Composition
) -> None:
    assert b"".join(map(Path.read_bytes, SHARDS)) == whole.paths.data.read_bytes()
    assert not made.paths.data.exists()
    assert made.paths.ledger.read_bytes() == whole.paths.ledger.read_bytes()
    stated = manifest_of(made)
    assert dataclasses.replace(made.data, shards=()) == whole.data
    assert stated.recipe.sha256() == whole.recipe_sha256
    assert [shard.name for shard in stated.data.shards] == NAMES
    assert [shard.records for shard in stated.data.shards] == [7, 7, 7, 6]
    for shard, path in zip(stated.data.shards, SHARDS, strict=True):
        written = path.read_bytes()
        assert (shard.sha256, shard.bytes) == (sha256_hex(written), len(written))
        assert written.count(b"\n") == shard.records
    value = loads(made.paths.manifest.read_bytes())
    assert [part["name"] for part in value["subject"]] == ["mix.jsonl", *NAMES]
    assert value["subject"][1]["digest"]["sha256"] == sha256_hex(SHARDS[0].read_bytes())
    was = loads(whole.paths.manifest.read_bytes())
    del value["subject"][1:], value["predicate"]["teapot_composition"]["data"]["shards"]
    assert value == was


@pytest.mark.parametrize("target", ["mix.jsonl", *NAMES[:2], "mix.manifest.json", "."])
def test_whatever_names_the_composition_verifies_it(made: teapot.Composition, target: str) -> None:
    assert verified(target) == ([], [])
    assert verified(target, records=True, rebuild=True, config=Path("mix.config")) == ([], [])


def _swap(first: Path, second: Path) -> None:
    held = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(held)


def _move_line() -> None:
    *lines, last = SHARDS[0].read_bytes().splitlines(keepends=True)
    SHARDS[0].write_bytes(b"".join(lines))
    SHARDS[1].write_bytes(last + SHARDS[1].read_bytes())


def _move_half_a_line() -> None:
    data = SHARDS[0].read_bytes()
    SHARDS[0].write_bytes(data[:-9])
    SHARDS[1].write_bytes(data[-9:] + SHARDS[1].read_bytes())


def _edit() -> None:
    SHARDS[2].write_bytes(SHARDS[2].read_bytes().replace(b"answer", b"ANSWER", 1))


def _link_out() -> None:
    Path("elsewhere").mkdir()
    SHARDS[2].rename("elsewhere/x")
    SHARDS[2].symlink_to("elsewhere/x")


@pytest.mark.parametrize(
    ("change", "checks", "told"),
    [
        (SHARDS[1].unlink, ["data", "shards", "merkle"],
         [f"{NAMES[1]} cannot be read: No such file or directory"]),
        (SHARDS[3].unlink, ["data", "shards", "merkle"],
         [f"{NAMES[3]} cannot be read: No such file or directory"]),
        (lambda: _swap(SHARDS[1], SHARDS[2]), ["data", "shards", "merkle"],
         [f"{NAMES[1]} holds what is stated of {NAMES[2]}",
          f"{NAMES[2]} holds what is stated of {NAMES[1]}"]),
        (lambda: SHARDS[3].rename("mix-00004-of-00004.jsonl"), ["data", "shards", "merkle"],
         [f"{NAMES[3]} cannot be read: No such file or directory",
          "mix-00004-of-00004.jsonl is no part of this composition: remove it"]),
        (_edit, ["data", "shards", "merkle"], [f"{NAMES[2]} was altered: expected sha256 "]),
        (_link_out, ["data", "shards", "merkle"],
         [f"{NAMES[2]} is a symbolic link that leads out of its folder"]),
        (_move_line, ["shards"], [f"{NAMES[0]} was altered", f"{NAMES[1]} was altered"]),
        (_move_half_a_line, ["data", "shards", "merkle", "lines"],
         [f"{NAMES[0]} was altered", f"{NAMES[1]} was altered"]),
        (lambda: shutil.copy(SHARDS[0], "mix-00000-of-00005.jsonl"), ["shards"],
         ["mix-00000-of-00005.jsonl is no part of this composition: remove it"]),
        (lambda: shutil.copy(SHARDS[0], "mix.jsonl"), ["shards"],
         ["mix.jsonl is no part of this composition: remove it"]),
    ],
    ids=["missing", "last-missing", "swapped", "renamed", "altered", "link-out", "line-moved",
         "half-a-line-moved", "another", "whole-beside"],
)  # fmt: skip
def test_a_shard_that_is_not_as_stated_is_named_at_its_place(
    made: teapot.Composition, change: Callable[[], object], checks: list[str], told: list[str]
) -> None:
    change()
    wrong, faults = verified()
    assert wrong == checks
    assert len(faults) == len(told)
    assert all(fault.startswith(start) for fault, start in zip(faults, told, strict=True)), faults
    with pytest.raises(DataError, match=r"shards: expected 4 shards, found"):
        teapot.verified("mix.jsonl")
    if checks != ["shards"] or change is _move_line:
        with pytest.raises(DataError, match="is not what its manifest states"):
            teapot.prove("mix.jsonl", "1")


def _rename_first(value: Any) -> None:
    value["predicate"]["teapot_composition"]["data"]["shards"][0]["name"] = "mix-0-of-4.jsonl"
    value["subject"][1]["name"] = "mix-0-of-4.jsonl"


def _uneven(value: Any) -> None:
    shards = value["predicate"]["teapot_composition"]["data"]["shards"]
    shards[0]["records"], shards[3]["records"] = 6, 7


def _grow(value: Any) -> None:
    value["predicate"]["teapot_composition"]["data"]["shards"][0]["bytes"] += 1


def _other_subject(value: Any) -> None:
    value["subject"][1]["digest"]["sha256"] = "0" * 64


@pytest.mark.parametrize(
    ("change", "check", "told"),
    [
        (_rename_first, "schema", "a shard is named 'mix-0-of-4.jsonl', expected 'mix-00000-of-"),
        (_other_subject, "schema", "says one thing in two ways"),
        (lambda value: value["subject"].pop(), "schema", "says one thing in two ways"),
        (_uneven, "sums", f"lines of {NAMES[0]}: stated 6, 27 in 4 shards give 7"),
        (_grow, "sums", "bytes by shard: stated"),
    ],
)
def test_a_manifest_that_lies_of_shards_is_a_fault(
    made: teapot.Composition, change: Callable[[Any], object], check: str, told: str
) -> None:
    restate(made, change)
    (found,) = teapot.verify("mix.manifest.json")
    details = [line for one in found.results if one.name == check for line in one.details]
    assert any(told in line for line in details), details


def test_what_is_verified_gives_the_lines_of_all_shards(
    made: teapot.Composition, whole: teapot.Composition
) -> None:
    proven = teapot.verified(NAMES[1])
    assert list(proven.lines()) == whole.paths.data.read_bytes().splitlines()
    _move_half_a_line()  # end to end they are still what was verified
    with pytest.raises(DigestError, match=rf"{NAMES[0]}: has changed since it was verified"):
        list(proven.lines())


def test_explain_prove_and_mask_read_shards(made: teapot.Composition) -> None:
    line = 17
    record = json.loads(SHARDS[2].read_bytes().splitlines()[line - 15])
    text = record["messages"][0]["content"]
    for target in ("mix.jsonl", NAMES[0], "mix.manifest.json"):
        (answer,) = teapot.explain(target, [text])
        assert any(line in one.lines for one in answer.explanations)
    proven = teapot.prove(NAMES[3], str(line))
    assert proven.sentence.startswith("line 17 of mix.jsonl is the record with sha256 ")
    masked = mask_line("mix.jsonl", line, load_trainer("apertus")[0])
    assert text in "".join(piece.text for piece in masked.pieces)


def test_a_models_data_is_found_in_shards(
    made: teapot.Composition, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    model = Path("model")
    finish(model, made)
    assert run(["audit", "model", "--example", "17", "--json"]) == 0
    example = json.loads(capfdbinary.readouterr()[0])["example"]
    record = json.loads(SHARDS[2].read_bytes().splitlines()[2])
    assert example["messages"] == record["messages"]
    text = record["messages"][0]["content"]
    assert run(["trace", text, "model"]) == 0
    assert b"by its text, in mix.jsonl" in capfdbinary.readouterr()[0]
    _move_line()
    found = find_lineage(model, manifest_of(made), made.manifest_sha256, composition=Path())
    assert found.data is None
    assert found.results[1].found is not None and "was altered" in found.results[1].found


def test_the_config_says_it_and_the_command_says_it_louder(tmp_path: Path) -> None:
    write_module(tmp_path, "t/a", chat_rows("a", 9))
    config = write_config(tmp_path, {"t/a": 1}, output={"file": "train.jsonl", "shards": 3})

    def files() -> list[str]:
        return sorted(path.name for path in tmp_path.glob("train*.jsonl"))

    output = tmp_path / "train.jsonl"
    teapot.compose(config, output=output)
    three = [f"train-0000{number}-of-00003.jsonl" for number in range(3)]
    assert files() == three
    for shards, left in ((2, ["train-00000-of-00002.jsonl", "train-00001-of-00002.jsonl"]),
                         (1, ["train.jsonl"]), (None, three), (1, ["train.jsonl"])):  # fmt: skip
        teapot.compose(config, MixOptions(shards=shards), output=output)
        assert files() == left, "data that was cut in another way was left"
        (found,) = teapot.verify(output, options=VerifyOptions(allow_unsigned=True))
        assert found.is_ok


def test_what_no_manifest_tells_of_is_never_written_over(tmp_path: Path) -> None:
    write_module(tmp_path, "t/a", chat_rows("a", 9))
    config = write_config(tmp_path, {"t/a": 1})
    output, mine = tmp_path / "train.jsonl", tmp_path / "train-00000-of-00007.jsonl"
    mine.write_text("precious")
    with pytest.raises(UsageError, match=r"00007\.jsonl: is there and has no manifest"):
        teapot.compose(config, MixOptions(shards=2), output=output)
    teapot.compose(config, output=output)
    with pytest.raises(UsageError, match=r"00007\.jsonl: is there and its manifest does not tell"):
        teapot.compose(config, MixOptions(shards=2), output=output)
    mine.rename(tmp_path / "mine")
    teapot.compose(config, MixOptions(shards=2), output=output)
    output.write_text("precious")
    with pytest.raises(UsageError, match=r"train\.jsonl: is there and its manifest does not tell"):
        teapot.compose(config, output=output)
    assert (tmp_path / "mine").read_text() == output.read_text() == "precious"


def test_too_many_shards_and_names_of_shards_are_refused(tmp_path: Path) -> None:
    write_module(tmp_path, "t/a", chat_rows("a", 3))
    config = write_config(tmp_path, {"t/a": 1})
    output = tmp_path / "train.jsonl"
    with pytest.raises(DataError, match="has 3 lines, too few for 4 shards; ask for fewer"):
        teapot.compose(config, MixOptions(shards=4), output=output)
    with pytest.raises(UsageError, match="10001 shards were asked for, expected 1 to 10,000"):
        teapot.compose(config, MixOptions(shards=10_001), output=output)
    with pytest.raises(UsageError, match="is the name of a shard"):
        teapot.compose(config, output=tmp_path / NAMES[0])
    assert not list(tmp_path.glob("train*"))


def test_shards_may_differ_from_the_published(made: teapot.Composition) -> None:
    Path("manifests").mkdir()
    shutil.copy(made.paths.manifest, "manifests/mix.manifest.json")
    compose(Path("mix.config"), shards=2)
    (found,) = teapot.verify("mix.jsonl")
    assert [one.status for one in found.results if one.name == "published"] == ["ok"]
    compose(Path("mix.config"), shards=2, seed=7)
    sign_again(made)
    assert verified()[0] == ["published"]

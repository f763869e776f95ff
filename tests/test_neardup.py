"""Duplicates but for words: what is dropped, what stands for it, and that nothing else decides."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy
import pytest
from datasketch import MinHash, MinHashLSH
from hypothesis import given, settings
from hypothesis import strategies as st

import teapot
from teapot.errors import ConfigError, MissingExtraError
from teapot.manifestfile import number_faults, read_manifest, recipe_faults
from teapot.model.likeness import Near
from teapot.neardup import Alike, near_pairs
from teapot.sketches import band_keys, bands_of
from tests.support.project import chat_row, write_config, write_module
from tests.support.ways import assert_same_in_every_way, composed, files_of, ledger_of

NEAR = {"policy": "drop", "match": "near"}
SAID = random.Random(7)
VOCABULARY = [f"word{number}" for number in range(4000)]


def text(words: int = 60) -> str:
    return " ".join(SAID.choices(VOCABULARY, k=words))


def altered(said: str, *places: int) -> str:
    words = said.split()
    for place in places:
        words[place] = "altered"
    return " ".join(words)


BASE = [text() for _ in range(8)]
ROWS = [chat_row(f"a-{n}", said, f"Answer {n}: {said[:40]}") for n, said in enumerate(BASE)]
LOUD = chat_row("loud", f"«{BASE[0].upper()}!»", f"answer 0 — {BASE[0][:40]}…")
NEARLY = chat_row("nearly", altered(BASE[1], 30), f"Answer 1: {BASE[1][:40]}")
UNLIKE = chat_row("unlike", altered(BASE[2], *range(0, 60, 4)), f"Answer 2: {BASE[2][:40]}")
EQUAL = {**NEARLY, "id": "equal"}


def mix(folder: Path, **duplicates: Any) -> Path:
    write_module(folder, "t/a", ROWS)
    write_module(folder, "t/b", [LOUD, NEARLY, UNLIKE, EQUAL])
    asked = {**NEAR, "prefer": ["t/a"], **duplicates}
    return write_config(folder, {"t/a": 1, "t/b": 1}, duplicates=asked)


def test_what_says_nearly_the_same_is_dropped_and_its_twin_named(tmp_path: Path) -> None:
    made = composed(mix(tmp_path))
    rows = ledger_of(made)
    assert {name for name, row in rows.items() if row["fate"] == "dropped"} == {
        "loud", "nearly", "equal",
    }  # fmt: skip
    assert rows["loud"]["reason"] == "near-duplicate"
    assert rows["loud"]["detail"] == "the same words as t/a t-a row 1, which stands for it"
    for name in ("nearly", "equal"):
        assert rows[name]["detail"].startswith("like t/a t-a row 2, which stands for it: 1")
        assert rows[name]["detail"].endswith(" of 128 minima are equal")
    assert made.report.near_duplicates == 3
    assert made.report.modules[1].dropped == {"near-duplicate": 3}
    (checked,) = teapot.verify(made.paths.data, options=teapot.VerifyOptions(allow_unsigned=True))
    assert checked.is_ok


def test_the_recipe_holds_all_parameters_and_the_manifest_the_library(tmp_path: Path) -> None:
    made = composed(mix(tmp_path, near={"threshold": 0.7, "ngram": 3, "seed": 9}))
    manifest = read_manifest(made.paths.manifest.read_bytes(), "m")
    bands, rows = bands_of(Near(threshold=teapot.model.likeness.Decimal("0.7")))
    assert manifest.recipe.likeness == {
        "match": "near", "threshold": "0.7", "ngram": "3", "permutations": "128", "seed": "9",
        "bands": str(bands), "rows": str(rows),
    }  # fmt: skip
    assert manifest.versions["datasketch"].startswith("2.")
    assert list(number_faults(manifest)) == list(recipe_faults(manifest)) == []


def test_without_prefer_the_draw_rank_decides_and_never_the_order_of_rows(tmp_path: Path) -> None:
    rows = [*ROWS, LOUD, NEARLY, UNLIKE]
    kept = []
    for place, order in enumerate((rows, rows[::-1])):
        folder = tmp_path / str(place)
        write_module(folder, "t/a", order)
        made = composed(write_config(folder, {"t/a": 1}, duplicates=NEAR))
        lines = made.paths.data.read_bytes().splitlines()
        kept.append({row["id"] for row in map(json.loads, lines)})
        assert len(kept[-1]) == 9
    assert kept[0] == kept[1]


def test_equal_words_alone_are_told_without_minhash(tmp_path: Path) -> None:
    made = composed(mix(tmp_path, match="normalized"))
    rows = ledger_of(made)
    dropped = {name: row["reason"] for name, row in rows.items() if row["fate"] == "dropped"}
    assert dropped["loud"] == "near-duplicate" and len(dropped) == 2
    assert {"equal", "nearly"} & dropped.keys() and "duplicate" in dropped.values()
    manifest = read_manifest(made.paths.manifest.read_bytes(), "m")
    assert manifest.recipe.likeness == {"match": "normalized"}
    assert "datasketch" not in manifest.versions


def test_with_keep_they_are_counted_and_stay(tmp_path: Path) -> None:
    made = composed(mix(tmp_path, policy="keep"))
    assert (made.report.near_duplicates, made.data.records) == (3, 12)
    manifest = read_manifest(made.paths.manifest.read_bytes(), "m")
    assert list(number_faults(manifest)) == list(recipe_faults(manifest)) == []


def test_no_chain_of_small_changes_drops_what_is_unlike_all_that_is_kept(tmp_path: Path) -> None:
    chain = [text(100)]
    for step in range(12):
        chain.append(altered(chain[-1], *range(step * 8, step * 8 + 3)))
    rows = [chat_row(f"c-{n}", said, "Well.") for n, said in enumerate(chain)]
    write_module(tmp_path, "t/a", rows)
    made = composed(write_config(tmp_path, {"t/a": 1}, duplicates=NEAR))
    ledger = ledger_of(made)
    kept = [name for name, row in ledger.items() if row["fate"] == "kept"]
    assert 1 < len(kept) < 13
    for row in ledger.values():
        if row["fate"] == "dropped":
            twin = row["detail"].split(" row ")[1].split(",")[0]
            assert f"c-{int(twin) - 1}" in kept


def test_turns_of_the_system_and_texts_without_words_make_nothing_near(tmp_path: Path) -> None:
    system = {"role": "system", "content": text(200)}
    rows = [chat_row(f"s-{n}", text(12), text(12)) for n in range(4)]
    for row in rows:
        row["conversations"] = [system, *row["conversations"]]
    turns = [("☕?", "…"), ("☕", "!"), ("🍵", "!"), ("a < b", "Yes."), ("a > b", "Yes.")]
    signs = [chat_row(f"s-{n}", *said) for n, said in enumerate(turns, start=4)]
    write_module(tmp_path, "t/a", [*rows, *signs])
    made = composed(write_config(tmp_path, {"t/a": 1}, duplicates=NEAR))
    ledger = ledger_of(made)
    dropped = {name for name, row in ledger.items() if row["fate"] == "dropped"}
    assert len(dropped) == 1 and dropped < {"s-4", "s-5"}, "alike but for punctuation"


@pytest.mark.parametrize("compiled", [True, False])
def test_neither_threads_blocks_code_nor_engine_change_a_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compiled: bool
) -> None:
    config = mix(tmp_path)
    first = assert_same_in_every_way(config, monkeypatch, compiled=compiled, block_bytes=700)
    monkeypatch.setattr("teapot.scratch.ROWS_IN_MEMORY", 4)
    assert files_of(composed(config, "spilled")) == first


def test_an_altered_count_is_noticed(tmp_path: Path) -> None:
    made = composed(mix(tmp_path))
    data = made.paths.manifest.read_bytes()
    manifest = read_manifest(data.replace(b'"near": 3', b'"near": 2'), "m")
    assert list(number_faults(manifest)) == ["near duplicates: stated 2, the parts sum to 3"]


@pytest.mark.parametrize("threshold", ["0.3", "1.0", "high"])
def test_a_threshold_that_cannot_be_is_refused(tmp_path: Path, threshold: str) -> None:
    value = threshold if threshold == "high" else float(threshold)
    with pytest.raises(ConfigError, match="threshold"):
        composed(mix(tmp_path, near={"threshold": value}))


def test_a_missing_library_is_told_before_anything_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "datasketch", None)
    bands_of.cache_clear()
    config = mix(tmp_path)
    (tmp_path / "modules/t/t-a.jsonl").write_text("not read\n")
    with pytest.raises(MissingExtraError, match=r"teapot\[near\]"):
        composed(config)


@settings(max_examples=25, deadline=None)
@given(st.randoms(use_true_random=False), st.sampled_from(["0.5", "0.7", "0.8", "0.9"]))
def test_whom_to_compare_is_what_the_librarys_index_finds(
    chance: random.Random, threshold: str
) -> None:
    near = Near(threshold=teapot.model.likeness.Decimal(threshold), permutations=32)
    base = [chance.getrandbits(32) for _ in range(40)]
    sets = [
        [value if chance.random() > share else chance.getrandbits(32) for value in base]
        for share in (0, 0.01, 0.05, 0.1, 0.2, 0.3, 0.5, 1)
    ]
    hashes = []
    for values in sets:
        made = MinHash(num_perm=32, hashfunc=int, scheme="affine32")
        made.update_batch(values)
        hashes.append(made)
    lsh = MinHashLSH(num_perm=32, params=bands_of(near))
    for number, made in enumerate(hashes):
        lsh.insert(number, made)
    sketches = numpy.zeros(len(sets), dtype=[("text", "u1", (16,)), ("minima", "<u4", (32,))])
    sketches["text"][:, 0] = range(len(sets))
    sketches["minima"] = [made.hashvalues for made in hashes]
    keys = band_keys(sketches, bands_of(near))
    for number, made in enumerate(hashes):
        ours = numpy.flatnonzero((keys == keys[:, [number]]).any(axis=0)).tolist()
        assert ours == sorted(lsh.query(made))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(*[st.integers(0, 2)] * 6), max_size=12))
def test_pairs_connect_exactly_what_brute_force_connects(signatures: list[tuple[int, ...]]) -> None:
    count = len(signatures)
    sketches = numpy.zeros(count, dtype=[("text", "u1", (16,)), ("minima", "<u4", (6,))])
    sketches["text"][:, 0] = range(count)
    sketches["minima"] = numpy.array(signatures, dtype=numpy.uint32).reshape(count, 6)
    keys = band_keys(sketches, (3, 2))
    buckets = numpy.stack([numpy.unique(column, return_inverse=True)[1] for column in keys], axis=1)
    records = 10 * numpy.arange(count)
    pairs = near_pairs(Alike(records, sketches, buckets.reshape(count, 4), 4)) // 10
    wanted = {frozenset([place]) for place in range(count)}
    for one in range(count):
        for other in range(one):
            equal = numpy.array(signatures[one]) == numpy.array(signatures[other])
            if equal.sum() >= 4 and any(equal[n : n + 2].all() for n in (0, 2, 4)):
                wanted = _joined(wanted, one, other)
    found = {frozenset([place]) for place in range(count)}
    for one, other in pairs.tolist():
        assert one != other and _joined(found, one, other) != found, "a pair too many"
        found = _joined(found, one, other)
    assert found == wanted


def _joined(groups: set[frozenset[int]], one: int, other: int) -> set[frozenset[int]]:
    both = {group for group in groups if one in group or other in group}
    return (groups - both) | {frozenset().union(*both)}

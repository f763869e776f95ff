"""Reviewers' verdicts in a mix: what each does, what it is bound to, and that every row is told."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import teapot
from teapot import MixOptions, VerifyOptions, rowscan
from teapot.errors import ConfigError, DataError
from teapot.ledger import read_ledger
from teapot.sources import jsonl as jsonl_source
from teapot.usecases.modulerecords import ModuleRecords
from tests.support.inline import inline_engine
from tests.support.project import chat_row, chat_rows, write_config, write_module
from tests.support.verdicts import digest_of, verdict, write_verdicts

ROWS = chat_rows("a", 12)
PUBLISHED = Path("modules/t/a.curation.v1.jsonl")
LOCAL = Path(".curations/t/a.curation.v1.jsonl")


def mix(folder: Path, *lines: dict[str, Any], unreviewed: str | None = None, **more: Any) -> Path:
    """Write a project whose module has these verdicts, and return its config."""
    write_module(folder, "t/a", ROWS, **more.pop("module", {}))
    write_verdicts(folder / PUBLISHED, *lines)
    use: Any = "published:v1"
    if unreviewed is not None:
        use = {"use": use, "unreviewed": unreviewed}
    return write_config(folder, {"t/a": 1}, curations={"t/a": use}, **more)


def composed(config: Path, name: str = "out", **options: Any) -> teapot.Composition:
    (config.parent / name).mkdir(exist_ok=True)
    given = MixOptions(**{"keep_parts": False, **options})
    return teapot.compose(config, given, output=config.parent / name / "mix.jsonl")


def ledger_of(made: teapot.Composition) -> dict[str, Any]:
    return {row["id"]: row for batch in read_ledger(made.paths.ledger) for row in batch}


def files_of(made: teapot.Composition) -> tuple[bytes, bytes, str]:
    """Return data and manifest; the manifest states the ledger's digest."""
    paths = made.paths
    return paths.data.read_bytes(), paths.manifest.read_bytes(), made.ledger.rows_sha256


def refused(config: Path) -> str:
    with pytest.raises((ConfigError, DataError)) as caught:
        composed(config)
    return str(caught.value)


def test_a_drop_leaves_the_mix_with_the_reviewers_reason(tmp_path: Path) -> None:
    config = mix(tmp_path, verdict(ROWS[2], "drop", reason="names a person"))
    made = composed(config)
    row = ledger_of(made)["a-3"]
    assert (row["fate"], row["reason"], row["lines"]) == ("dropped", "curated", [])
    assert row["detail"] == "drop by ada (published:v1): names a person"
    assert row["content_digest"] == digest_of(ROWS[2])
    assert b"Question 3 of a" not in made.paths.data.read_bytes()
    (module,) = made.report.modules
    assert (module.dropped, module.kept, made.data.records) == ({"curated": 1}, 11, 11)


def test_a_kept_row_is_recorded_as_reviewed(tmp_path: Path) -> None:
    made = composed(mix(tmp_path, verdict(ROWS[0], "keep", reason="good; do not delete")))
    row = ledger_of(made)["a-1"]
    assert (row["fate"], row["reason"]) == ("kept", None)
    assert row["detail"] == "keep by ada (published:v1): good; do not delete"
    assert ledger_of(made)["a-2"]["detail"] is None
    assert made.data.records == 12


def test_the_data_is_that_of_a_source_without_the_dropped_rows(tmp_path: Path) -> None:
    curated = composed(mix(tmp_path, *(verdict(row, "drop") for row in ROWS[3:7])))
    write_module(tmp_path, "t/a", [*ROWS[:3], *ROWS[7:]])
    without = composed(write_config(tmp_path, {"t/a": 1}), "without")
    assert curated.data.sha256 == without.data.sha256


def test_recipe_and_manifest_state_the_file_and_its_counts(tmp_path: Path) -> None:
    lines = [verdict(ROWS[0], "drop"), verdict(ROWS[1], "keep"), verdict("ab" * 32, "drop")]
    made = composed(mix(tmp_path, *lines))
    predicate = json.loads(made.paths.manifest.read_bytes())["predicate"]
    recipe = predicate["buildDefinition"]["externalParameters"]["recipe"]
    assert recipe["modules"][0]["curation"] == {
        "use": "published:v1", "unreviewed": "keep",
        "sha256": teapot.digest.sha256_hex((tmp_path / PUBLISHED).read_bytes()),
    }  # fmt: skip
    assert predicate["teapot_composition"]["modules"][0]["curation"] == {
        "verdicts": {"drop": 2, "keep": 1}, "matched": 2, "orphans": 1,
        "rows": {"drop": 1, "keep": 1, "unreviewed": 10},
    }  # fmt: skip


def test_a_mix_without_verdicts_states_nothing_of_them(tmp_path: Path) -> None:
    write_module(tmp_path, "t/a", ROWS)
    made = composed(write_config(tmp_path, {"t/a": 1}))
    assert b"curation" not in made.paths.manifest.read_bytes()


def test_a_verdict_on_an_edited_row_is_an_orphan_and_does_nothing(tmp_path: Path) -> None:
    config = mix(tmp_path, verdict(ROWS[0], "drop"))
    write_module(tmp_path, "t/a", [chat_row("a-1", "Edited?"), *ROWS[1:]])
    made = composed(config)
    assert ledger_of(made)["a-1"]["fate"] == "kept"
    (curation,) = [module.curation for module in made.report.modules]
    assert curation is not None and (curation.matched, curation.orphans) == (0, 1)
    assert any("decides of 1 record that no source holds" in told for told in made.report.warnings)


@pytest.mark.parametrize("compiled", [True, False])
def test_neither_threads_blocks_cache_nor_code_change_a_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compiled: bool
) -> None:
    lines = [verdict(ROWS[2], "drop"), verdict(ROWS[5], "keep")]
    config = mix(tmp_path, *lines, unreviewed="drop")
    first = files_of(composed(config, workers=1))
    monkeypatch.setattr(rowscan, "IS_COMPILED", compiled)
    for number, (workers, block) in enumerate([(1, 4 << 20), (2, 300), (3, 64)]):
        monkeypatch.setattr(jsonl_source, "BLOCK_BYTES", block)
        assert files_of(composed(config, str(number), workers=workers)) == first
    watched = composed(config, "watched", watcher=lambda *_: None)
    assert files_of(watched) == first


def test_what_is_in_the_cache_goes_through_new_verdicts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("teapot.partcache.LEAST_BYTES", 1)
    config = mix(tmp_path, verdict(ROWS[2], "drop"))
    cached = {"keep_parts": True, "cache": tmp_path / "cache"}
    cold = composed(config, "cold", **cached)
    assert list((tmp_path / "cache").rglob("*.part"))
    assert files_of(composed(config, "warm", **cached)) == files_of(cold)
    write_verdicts(tmp_path / PUBLISHED, verdict(ROWS[3], "drop"))
    other = composed(config, "other", **cached)
    assert {n for n, row in ledger_of(other).items() if row["fate"] == "dropped"} == {"a-4"}


def test_a_cluster_makes_the_same(tmp_path: Path) -> None:
    config = mix(tmp_path, verdict(ROWS[2], "drop"), verdict(ROWS[4], "keep"))
    engine = inline_engine(range_bytes=300, bucket_bytes=500)
    assert files_of(composed(config, "there", engine=engine)) == files_of(composed(config))


def test_verify_holds_and_rebuilds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = mix(tmp_path, verdict(ROWS[2], "drop"), verdict(ROWS[4], "keep"), unreviewed="drop")
    monkeypatch.chdir(tmp_path)
    made = teapot.compose(config, output="mix.jsonl")
    options = VerifyOptions(allow_unsigned=True, rebuild=True)
    (found,) = teapot.verify(made.paths.manifest, options=options)
    assert found.is_ok
    write_verdicts(tmp_path / PUBLISHED, verdict(ROWS[3], "drop"))
    (found,) = teapot.verify(made.paths.manifest, options=options)
    assert not found.is_ok


def test_verify_names_a_file_of_verdicts_that_is_not_what_was_applied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = mix(tmp_path, verdict(ROWS[2], "drop"))
    monkeypatch.chdir(tmp_path)
    made = teapot.compose(config, output="mix.jsonl")

    def status() -> str:
        options = VerifyOptions(allow_unsigned=True)
        (found,) = teapot.verify(made.paths.manifest, options=options)
        return next(r.status.value for r in found.results if r.name == "curation t/a")

    assert status() == "ok"
    write_verdicts(tmp_path / PUBLISHED, verdict(ROWS[3], "drop"))
    assert status() == "fault"
    (tmp_path / PUBLISHED).unlink()
    assert status() == "skipped"


def test_a_twin_that_was_reviewed_is_told_with_both(tmp_path: Path) -> None:
    config = mix(tmp_path, verdict(ROWS[0], "keep"), duplicates="drop")
    write_module(tmp_path, "t/a", [*ROWS, {**ROWS[0], "id": "twin"}])
    found = ledger_of(composed(config))
    (detail,) = [found[n]["detail"] for n in ("a-1", "twin") if found[n]["fate"] == "dropped"]
    assert detail.startswith("equal to t/a t-a row ")
    assert detail.endswith("which stands for it; keep by ada (published:v1)")


def test_a_review_and_a_mix_see_the_same_contents(tmp_path: Path) -> None:
    thoughtful = chat_row("thoughtful", "Why?", "<think>Hm.</think>So.")
    for strip in (True, False):
        config = mix(tmp_path, verdict(ROWS[0], "keep"), training={"strip_think": strip})
        write_module(tmp_path, "t/a", [*ROWS, thoughtful, chat_row("bad", "Why?", "<think>")],
                     on_bad_row="drop")  # fmt: skip
        seen = {example.content_digest.hex() for example in ModuleRecords.find("t/a", config)}
        rows = ledger_of(composed(config)).values()
        assert seen == {row["content_digest"] for row in rows if row["fate"] == "kept"}


@pytest.mark.parametrize(
    ("old", "new"),
    [('"matched": 1', '"matched": 3'), ('"drop": 1,', '"drop": 2,'), ('"keep": 1', '"keep": 4')],
)
def test_verify_adds_up_what_the_manifest_says_of_verdicts(
    tmp_path: Path, old: str, new: str
) -> None:
    made = composed(mix(tmp_path, verdict(ROWS[2], "drop"), verdict("ab" * 32, "keep")))
    text = made.paths.manifest.read_text()
    assert old in text
    made.paths.manifest.write_text(text.replace(old, new))
    (found,) = teapot.verify(made.paths.manifest, options=VerifyOptions(allow_unsigned=True))
    told = [
        line for result in found.results for line in result.details if "curation states" in line
    ]
    assert told


def test_verify_does_not_wait_for_a_pipe_in_the_place_of_verdicts(tmp_path: Path) -> None:
    made = composed(mix(tmp_path, verdict(ROWS[2], "drop")))
    (tmp_path / PUBLISHED).unlink()
    os.mkfifo(tmp_path / PUBLISHED)
    options = VerifyOptions(allow_unsigned=True, config=tmp_path / "mix.config")
    (found,) = teapot.verify(made.paths.manifest, options=options)
    assert [r.status.value for r in found.results if r.name == "curation t/a"] == ["skipped"]


def test_explain_shows_the_verdict(tmp_path: Path) -> None:
    config = mix(tmp_path, verdict(ROWS[2], "drop", reason="off"), verdict(ROWS[4], "keep"))
    found = [one.explanations[0] for one in teapot.explain(config, ["a-3", "a-5"])]
    assert [one.detail for one in found] == [
        "drop by ada (published:v1): off", "keep by ada (published:v1)",
    ]  # fmt: skip


@pytest.mark.parametrize(("unreviewed", "records"), [("keep", 11), ("drop", 1)])
def test_rows_without_a_verdict_stay_or_go_as_the_config_says(
    tmp_path: Path, unreviewed: str, records: int
) -> None:
    lines = [verdict(ROWS[0], "keep"), verdict(ROWS[1], "drop")]
    made = composed(mix(tmp_path, *lines, unreviewed=unreviewed))
    assert made.data.records == records
    (module,) = made.report.modules
    assert module.dropped.get("unreviewed", 0) == 11 - records
    assert module.read == module.kept + module.unused + sum(module.dropped.values())


def test_a_row_without_a_verdict_fails_the_run_where_the_config_says_so(tmp_path: Path) -> None:
    lines = [verdict(row, "keep") for row in ROWS[:10]]
    told = refused(mix(tmp_path, *lines, unreviewed="fail"))
    assert f"t/a t-a:11: no verdict on content {digest_of(ROWS[10])}" in told
    assert "2 rows without a verdict in published:v1" in told


def test_a_row_dropped_for_what_it_is_stays_so_and_its_verdict_matches(tmp_path: Path) -> None:
    config = mix(
        tmp_path, verdict(ROWS[0], "keep"), license={"allowed": ["Apache-2.0"]},
        module={"license": "mixed"},
    )  # fmt: skip
    licensed = [{**row, "license": "Apache-2.0"} for row in ROWS]
    write_module(tmp_path, "t/a", [{**ROWS[0], "license": "MIT"}, *licensed[1:]], license="mixed")
    made = composed(config)
    assert ledger_of(made)["a-1"]["reason"] == "license"
    assert made.report.modules[0].curation is not None
    assert made.report.modules[0].curation.matched == 1


def test_two_reviewers_who_differ_stop_the_run_and_both_are_named(tmp_path: Path) -> None:
    lines = [verdict(ROWS[0], "keep", "ada"), verdict(ROWS[0], "drop", "bob")]
    told = refused(mix(tmp_path, *lines))
    assert f"{digest_of(ROWS[0])}: ada says keep and bob says drop" in told
    settled = verdict(ROWS[0], "drop", "cyd", supersedes=["ada", "bob"])
    assert ledger_of(composed(mix(tmp_path, *lines, settled)))["a-1"]["reason"] == "curated"


def test_local_verdicts_lie_beside_the_config_or_in_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_module(tmp_path / "project", "t/a", ROWS)
    config = write_config(tmp_path / "project", {"t/a": 1}, curations={"t/a": "local:v1"})
    monkeypatch.chdir(tmp_path)
    assert "curations.t/a: no verdicts at" in refused(config)
    write_verdicts(tmp_path / LOCAL, verdict(ROWS[0], "drop"))
    assert composed(config).data.records == 11
    write_verdicts(tmp_path / "project" / LOCAL, *(verdict(row, "drop") for row in ROWS[:2]))
    assert composed(config).data.records == 10


def test_verdicts_on_a_module_that_is_not_there_are_an_error(tmp_path: Path) -> None:
    write_module(tmp_path, "t/a", ROWS)
    config = write_config(tmp_path, {"t/a": 1}, curations={"t/aa": "local:v1"})
    assert "curations.t/aa: is not a module of this config; did you mean t/a?" in refused(config)


def test_files_of_the_prototype_go_by_id_and_say_how_many_matched(tmp_path: Path) -> None:
    lines = [
        {"id": "a-1", "verdict": "DELETE", "note": "off topic"},
        {"id": "a-2", "action": "keep", "note": "good; do not delete"},
        {"id": "gone", "action": "delete"},
    ]
    made = composed(mix(tmp_path, *lines))
    found = ledger_of(made)
    assert found["a-1"]["detail"] == "drop by unnamed (published:v1): off topic"
    assert found["a-2"]["fate"] == "kept"
    assert any("2 of 3 ids matched" in warning for warning in made.report.warnings)


def test_the_output_never_overwrites_verdicts(tmp_path: Path) -> None:
    config = mix(tmp_path, verdict(ROWS[0], "drop"))
    with pytest.raises(teapot.errors.UsageError, match="is the verdicts on t/a"):
        teapot.compose(config, output=tmp_path / PUBLISHED)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kinds=st.lists(st.sampled_from(["keep", "drop", None]), min_size=12, max_size=12),
    unreviewed=st.sampled_from(["keep", "drop"]),
)
def test_every_row_has_the_fate_that_was_decided(
    tmp_path: Path, kinds: list[str | None], unreviewed: str
) -> None:
    lines = [verdict(row, kind) for row, kind in zip(ROWS, kinds, strict=True) if kind]
    stay = [kind == "keep" or (kind is None and unreviewed == "keep") for kind in kinds]
    config = mix(tmp_path, *lines, unreviewed=unreviewed)
    if not any(stay):
        assert "no usable row" in refused(config)
        return
    made = composed(config)
    found = [row for batch in read_ledger(made.paths.ledger) for row in batch]
    assert [row["fate"] == "kept" for row in found] == stay
    dropped = Counter(row["reason"] for row in found if row["fate"] == "dropped")
    assert made.report.modules[0].dropped == dict(sorted(dropped.items()))
    assert made.paths.data.read_bytes().count(b"\n") == sum(stay)
